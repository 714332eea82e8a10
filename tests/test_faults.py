"""A fault at every single operation of the stream, and a cancellation at every step.

Each scenario is played once to count its steps, and then again for each of them. In
the end nobody waits, both streams are closed, and nothing was raised but what is
documented.
"""

from __future__ import annotations

import ssl
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketError,
    wrap_client_stream,
    wrap_server_stream,
)

from .support.peer import linked
from .support.streams import MemoryStream, stream_pair

pytestmark = pytest.mark.virtual_time

Scenario = Callable[[WebSocketConnection], Awaitable[object]]
OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "disconnect_timeout": 3,
    "ping_interval": 5,
    "ping_timeout": 5,
}
BUDGET = 30  # seconds: every one of these together, and some more
LARGE = bytes(range(256)) * 20


class BlackHole(Exception):
    """Not raised: the operation just never comes back."""


FAULTS: list[Callable[[], Exception]] = [
    lambda: OSError(5, "input/output error"),
    lambda: ssl.SSLError(1, "bad record"),
    anyio.BrokenResourceError,
    lambda: anyio.BusyResourceError("sending to"),
    lambda: RuntimeError("unable to perform operation; the handler is closed"),
    BlackHole,
]


class Faulty:
    """Counts the operations of a stream, and spoils one.

    :param stream: whose
    :param at: which, from 0; ``None`` for none
    :param fault: what happens then

    """

    def __init__(
        self, stream: MemoryStream, at: int | None, fault: Callable[[], Exception]
    ) -> None:
        self.count = 0
        self._stream = stream
        self._at = at
        self._fault = fault
        stream.before_receive = stream.before_send = self
        stream.before_eof = stream.before_close = self

    async def __call__(self) -> None:
        self.count += 1
        if self.count - 1 != self._at:
            return
        error = self._fault()
        if not isinstance(error, BlackHole):
            raise error
        while not self._stream.closed:
            await anyio.sleep(0.1)
        raise anyio.ClosedResourceError


# -- scenarios, against an echo --------------------------------------------------


async def nothing(ws: WebSocketConnection) -> None:
    pass


async def echo(ws: WebSocketConnection) -> None:
    for message in ("text", b"binary", ""):
        await ws.send_message(message)
        assert await ws.get_message() == message


async def large(ws: WebSocketConnection) -> None:
    await ws.send_message(LARGE)
    assert await ws.get_message() == LARGE


async def ping(ws: WebSocketConnection) -> None:
    await ws.ping()
    await ws.pong(b"unasked")
    await ws.ping(b"again")


async def many_senders(ws: WebSocketConnection) -> None:
    errors: list[ConnectionClosed] = []

    async def send(i: int) -> None:
        try:
            await ws.send_message(bytes([i]) * 500)
        except ConnectionClosed as exc:
            errors.append(exc)

    async with anyio.create_task_group() as tasks:
        for i in range(5):
            tasks.start_soon(send, i)
    sent = [bytes([i]) * 500 for i in range(5)]  # in any order, but whole
    for _ in range(5 - len(errors)):
        sent.remove(await ws.get_message())  # type: ignore[arg-type]


async def close_with_messages_waiting(ws: WebSocketConnection) -> None:
    for _ in range(5):
        await ws.send_message("never fetched")
    await ws.aclose(4000, "enough")


async def the_peer_closes(ws: WebSocketConnection) -> None:
    await ws.send_message("close")
    await ws.wait_closed()


async def idle_for_long(ws: WebSocketConnection) -> None:
    await anyio.sleep(12)  # with keepalive
    await echo(ws)


SCENARIOS: list[Scenario] = [
    nothing,
    echo,
    large,
    ping,
    many_senders,
    close_with_messages_waiting,
    the_peer_closes,
    idle_for_long,
]


async def echo_back(tasks: Any, stream: MemoryStream) -> None:
    """Serve one client; never complain."""
    try:
        asked = await wrap_server_stream(tasks, stream, **OPTIONS)
        async with await asked.accept() as ws:
            async for message in ws:
                if message == "close":
                    return
                await ws.send_message(message)
    except WebSocketError:
        pass


async def play(
    scenario: Scenario, *, on_client: bool, at: int | None, fault: Any
) -> int:
    """Play a scenario with a fault on one side; return how many operations it has."""
    ours, theirs = stream_pair(capacity=2000)
    faulty = Faulty(ours if on_client else theirs, at, fault)
    with anyio.fail_after(BUDGET):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(echo_back, tasks, theirs)
            try:
                ws = await wrap_client_stream(
                    tasks, ours, "example.org", "/", **OPTIONS
                )
                try:
                    await scenario(ws)
                finally:
                    await ws.aclose()
                    assert ws.closed is not None
            except WebSocketError:
                assert at is not None
    assert ours.closed
    assert theirs.closed
    return faulty.count


@pytest.mark.parametrize("on_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_F7_a_fault_at_every_operation(
    scenario: Scenario, on_client: bool
) -> None:
    count = await play(scenario, on_client=on_client, at=None, fault=None)
    assert count > 5
    for at in range(count + 1):
        # All faults look alike to us but for one, so not all are at every operation.
        for fault in FAULTS if scenario is echo else (FAULTS[at % 5], FAULTS[-1]):
            await play(scenario, on_client=on_client, at=at, fault=fault)


# -- cancellation ----------------------------------------------------------------


@types.coroutine
def stepped(
    work: Coroutine[Any, Any, Any], on_step: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and tell each time when it is about to give way."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            trap = work.send(value) if error is None else work.throw(error)
        except StopIteration as exc:
            return exc.value
        on_step()
        value = error = None
        try:
            value = yield trap
        except BaseException as exc:
            error = exc


async def cancelled_at(at: int | None, work: Coroutine[Any, Any, Any]) -> int:
    """Cancel some work at a step; return how many it had until then."""
    count = 0

    def step() -> None:
        nonlocal count
        if count == at:
            scope.cancel()
        count += 1

    with anyio.CancelScope() as scope:
        await stepped(work, step)
    return count


async def send_small(ws: WebSocketConnection) -> None:
    await ws.send_message("small")


async def send_large(ws: WebSocketConnection) -> None:
    await ws.send_message(LARGE)


async def send_in_turn(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.send_message, LARGE)
        await anyio.lowlevel.checkpoint()
        await ws.send_message("behind")


async def receive(ws: WebSocketConnection) -> None:
    await ws.send_message("for me")
    assert await ws.get_message() == "for me"


async def ping_once(ws: WebSocketConnection) -> None:
    await ws.ping()


async def close(ws: WebSocketConnection) -> None:
    await ws.aclose(4000)


async def usable_or_closed(ws: WebSocketConnection, stream: MemoryStream) -> None:
    """The connection works, with whole messages in order; or it is over."""
    if ws.closed is not None:
        await ws.wait_closed()
        assert stream.closed
        with pytest.raises(ConnectionClosed):
            await ws.send_message("too late")
        return
    await ws.send_message("the last one")
    rest = []
    while (message := await ws.get_message()) != "the last one":
        rest.append(message)
    assert len(set(rest)) == len(rest)
    assert set(rest) <= {"small", "for me"} or set(rest) <= {LARGE, "behind"}


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize(
    "operation", [send_small, send_large, send_in_turn, receive, ping_once, close]
)
async def test_F1_to_3_cancelled_at_every_step(
    operation: Callable[[WebSocketConnection], Coroutine[Any, Any, None]],
    compression: bool,
) -> None:
    async def play(at: int | None) -> int:
        options = {**OPTIONS, "compression": compression}
        async with linked(1000, client=options, server=options) as (ws, server):

            async def answer() -> None:
                with suppress(ConnectionClosed):
                    async for message in server:
                        await server.send_message(message)

            stream: Any = ws._link.transport._stream  # type: ignore[attr-defined]
            with anyio.fail_after(BUDGET):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(answer)
                    count = await cancelled_at(at, operation(ws))
                    await usable_or_closed(ws, stream)
                    await ws.aclose()
        return count

    count = await play(None)
    assert count > 0
    for at in range(count):
        await play(at)


async def test_F6_handshakes_cancelled_at_every_step() -> None:
    async def play(client: int | None, server: int | None) -> tuple[int, int]:
        counts = [0, 0]
        ours, theirs = stream_pair()
        with anyio.fail_after(BUDGET):
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    async def work() -> None:
                        try:
                            asked = await wrap_server_stream(tasks, theirs, **OPTIONS)
                            await (await asked.accept()).wait_closed()
                        except WebSocketError:
                            pass

                    counts[1] = await cancelled_at(server, work())
                    await theirs.aclose()

                async def connect() -> None:
                    async def work() -> None:
                        try:
                            ws = await wrap_client_stream(
                                tasks, ours, "example.org", "/", **OPTIONS
                            )
                        except WebSocketError:
                            assert server is not None
                        else:
                            await ws.aclose()

                    counts[0] = await cancelled_at(client, work())

                tasks.start_soon(serve)
                tasks.start_soon(connect)
        assert ours.closed
        return counts[0], counts[1]

    clients, servers = await play(None, None)
    assert clients > 3
    assert servers > 2
    for at in range(clients):
        await play(at, None)
    for at in range(servers):
        await play(None, at)
