"""A fault at every single operation of the stream, in every scenario of a connection.

Each scenario is played once to count its operations, and then again for each of them.
In the end no task waits, the streams are closed, nothing is left running, nothing
warns, and only documented exceptions were raised. A client and a server of the library
talk to each other, or one of them to a peer that sends any bytes, or a server to
several clients.

What is played is chosen so that a fault strikes each operation, and not each byte: the
errors that look alike take turns, and where a play has very many operations only some
of them are spoilt (``spread``).
"""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import anyio
import pytest
from anyio.abc import TaskGroup

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketError,
    WebSocketRequest,
    WebSocketServer,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.testing import (
    MemoryListener,
    MemoryStream,
    ScriptedPeer,
    memory_stream_pair,
)

from ..support.backends import tasks_now
from ..support.faults import (
    ERRORS,
    FAULTS,
    PLAIN,
    SHORT,
    SLOW,
    BlackHole,
    Ended,
    Faulty,
    Manner,
)
from ..support.frames import BINARY, MASK, PING, PONG, TEXT, frame
from ..support.peer import Opener
from ..support.sweeps import swept

pytestmark = [pytest.mark.virtual_time, pytest.mark.sweep]

Act = Callable[[WebSocketConnection], Awaitable[object]]
Fault = Callable[[], Exception]
CLOSING = 3  # seconds
OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "disconnect_timeout": CLOSING,
    "ping_interval": 5,
    "ping_timeout": 5,
}
BUDGET = 30  # seconds: every one of these together, and some more
MARGIN = 0.01  # seconds: virtual time only moves while all tasks wait
LARGE = bytes(range(256)) * 12  # more than is on the way at once


def spread(count: int, most: int = 25) -> Iterable[int]:
    """Choose operations all over a play: each, or ``most`` of very many."""
    return range(0, count + 1, 1 + count // most)


def faults_at(at: int) -> list[Fault]:
    """Choose what may go wrong at one operation."""
    return [ERRORS[at % len(ERRORS)], Ended, BlackHole]


def cases(
    count: int, choose: Callable[[int], list[Fault]] = faults_at
) -> Iterator[tuple[int, Fault]]:
    """Choose places in a play, and what goes wrong at each."""
    for at in spread(count):
        for fault in choose(at):
            yield at, fault


@asynccontextmanager
async def nothing_left() -> AsyncGenerator[TaskGroup]:
    """A nursery whose tasks end by themselves, and in time."""
    before = tasks_now()
    with anyio.fail_after(BUDGET):
        async with anyio.create_task_group() as tasks:
            yield tasks
    assert tasks_now() == before


async def ends(ws: WebSocketConnection) -> CloseReason:
    """Close a connection, which takes no longer than it may."""
    started = anyio.current_time()
    await ws.aclose()
    assert anyio.current_time() - started <= CLOSING + MARGIN
    await ws.wait_closed()
    for call in (ws.ping, partial(ws.send_message, "too late")):
        with pytest.raises(ConnectionClosed):
            await call()
    with pytest.raises(ConnectionClosed):
        while True:  # what came before the end is still there
            await ws.get_message()
    assert ws.closed is not None
    return ws.closed


async def is_told(call: Callable[[], Awaitable[object]]) -> None:
    """Wait for something until the connection is over."""
    with pytest.raises(ConnectionClosed):
        await call()


# -- both sides are ours: what a client does, with an echo ------------------------


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


async def E6_pings_at_the_end(ws: WebSocketConnection) -> None:
    async def ping(payload: bytes) -> None:
        with suppress(ConnectionClosed):
            await ws.ping(payload)

    async with anyio.create_task_group() as tasks:
        for i in range(4):
            tasks.start_soon(ping, bytes([i]))
        tasks.start_soon(ws.aclose)


async def E7_both_close_at_once(ws: WebSocketConnection) -> None:
    await ws.send_message("close")
    await ws.aclose(4001)
    # Whose Close came first is for the network to say.
    assert ws.closed is not None
    assert ws.closed.code in (1000, 4001, 1006)


async def E8_sending_while_closing(ws: WebSocketConnection) -> None:
    async def send(size: int) -> None:
        with suppress(ConnectionClosed):
            while True:
                await ws.send_message(bytes(size))

    async with anyio.create_task_group() as tasks:
        for size in (1, 900):
            tasks.start_soon(send, size)
        await anyio.sleep(0.01)
        tasks.start_soon(ws.aclose, 4000)
    assert ws.closed is not None


async def E9_closed_by_many_tasks(ws: WebSocketConnection) -> None:
    async def close() -> None:
        try:
            await ws.get_message()
        finally:
            await ws.aclose(4000)

    async with anyio.create_task_group() as tasks:
        with suppress(ConnectionClosed):
            for _ in range(3):
                tasks.start_soon(ws.aclose, 4000)
            await close()


async def F4_everything_at_once(ws: WebSocketConnection) -> None:
    async def repeat(call: Callable[[], Awaitable[object]]) -> None:
        with suppress(ConnectionClosed):
            for _ in range(4):
                await call()

    async with anyio.create_task_group() as tasks:
        for call in (
            partial(ws.send_message, "small"),
            partial(ws.send_message, b"middle" * 100),
            ws.ping,
            ws.pong,
            ws.get_message,
            ws.get_message,
        ):
            tasks.start_soon(repeat, call)
    await ws.aclose()


async def F6_left_by_cancellation(ws: WebSocketConnection) -> None:
    with anyio.move_on_after(1) as scope:
        async with ws, anyio.create_task_group() as tasks:
            tasks.start_soon(ws.get_message)
            tasks.start_soon(ws.wait_closed)
            await ws.get_message()
    assert scope.cancelled_caught
    assert ws.closed is not None


SCENARIOS: list[Act] = [
    nothing,
    echo,
    large,
    ping,
    many_senders,
    close_with_messages_waiting,
    the_peer_closes,
    idle_for_long,
    E6_pings_at_the_end,
    E7_both_close_at_once,
    E8_sending_while_closing,
    E9_closed_by_many_tasks,
    F4_everything_at_once,
    F6_left_by_cancellation,
]


async def echo_back(tasks: TaskGroup, stream: MemoryStream) -> None:
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
    scenario: Act,
    *,
    on_client: bool = True,
    at: int | None = None,
    fault: Fault = BlackHole,
    manner: Manner = PLAIN,
) -> int:
    """Play a scenario with a fault on one side; return how many operations it has."""
    ours, theirs = memory_stream_pair()
    manner.apply(ours, theirs)
    client = Faulty(ours, at if on_client else None, fault, manner)
    server = Faulty(theirs, None if on_client else at, fault, manner)
    async with nothing_left() as tasks:
        tasks.start_soon(echo_back, tasks, theirs)
        try:
            ws = await wrap_client_stream(tasks, ours, "example.org", "/", **OPTIONS)
            try:
                await scenario(ws)
            finally:
                await ends(ws)
        except* WebSocketError:  # alone, or of a nursery in the scenario
            assert at is not None
    assert ours.closed
    assert theirs.closed
    return client.count if on_client else server.count


@pytest.mark.parametrize("on_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_E6_to_E9_F4_F6_F7_a_fault_at_every_operation(
    scenario: Act, on_client: bool
) -> None:
    count = await play(scenario, on_client=on_client)
    assert count >= 4
    choose = (lambda _: FAULTS) if scenario is echo else faults_at
    for at, fault in swept(cases(count, choose)):
        await play(scenario, on_client=on_client, at=at, fault=fault)
    gc.collect()  # what was not closed or awaited warns now, and fails the test


@pytest.mark.parametrize("manner", [SHORT, SLOW], ids=lambda manner: manner.name)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_E6_to_E9_F4_F6_F7_short_and_slow_streams(
    scenario: Act, manner: Manner
) -> None:
    count = await play(scenario, manner=manner)
    # In pieces a fault can strike between any two bytes, and with delays in the middle
    # of anything: the same as above, at a few places of many.
    for number, at in swept(enumerate(spread(count, 5))):
        fault = faults_at(at)[number % 3]
        await play(scenario, at=at, fault=fault, manner=manner)
    gc.collect()


# -- the peer says and does anything ----------------------------------------------


async def silent(peer: ScriptedPeer) -> None:
    await peer.receive_all()


async def deaf(peer: ScriptedPeer) -> None:
    await anyio.sleep_forever()


async def flooding(peer: ScriptedPeer) -> None:
    while True:
        await peer.send_frame(TEXT, b"x" * 100)
        await anyio.sleep(0.2)  # or virtual time would stand still


async def closing(peer: ScriptedPeer) -> None:
    await peer.send_close(4001, "theirs")


async def leaving(peer: ScriptedPeer) -> None:
    await peer.send_frame(TEXT, b"the last word")
    await peer.stream.aclose()


async def mistaken(peer: ScriptedPeer) -> None:
    await peer.send_frame(5)


async def oversized(peer: ScriptedPeer) -> None:
    mask = MASK if peer.is_client else None
    await peer.stream.send(frame(BINARY, length=2**40, mask=mask))
    await flooding(peer)


async def flooding_pings(peer: ScriptedPeer) -> None:
    for i in range(100):
        await peer.send_frame(PING, b"%d" % i)
    await peer.send_frame(TEXT, b"through")


async def closing_behind_pings(peer: ScriptedPeer) -> None:
    for _ in range(3):
        assert (await peer.receive_frame()).opcode == PING
    await peer.send_frame(PONG, b"another one's")
    await peer.send_close(4001)
    await peer.receive_all()


async def talking_on(peer: ScriptedPeer) -> None:
    await peer.receive_frame()  # our Close
    await peer.send_frame(PING, b"ping")
    await peer.send_frame(TEXT, b"text")
    await peer.send_frame(PONG, b"")
    await peer.send_close(4001)
    await peer.stream.send(b"and anything")
    await peer.receive_all()


async def is_over(ws: WebSocketConnection) -> None:
    await is_told(ws.get_message)


async def is_not_missed(ws: WebSocketConnection) -> None:
    await anyio.sleep(12)  # in which the background task reads
    assert ws.closed is not None


async def send_in_vain(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(is_told, partial(ws.send_message, LARGE))
        await anyio.sleep(1)
        tasks.start_soon(ws.aclose)


async def send_and_give_up(ws: WebSocketConnection) -> None:
    with anyio.move_on_after(1) as scope:
        await ws.send_message(LARGE)
    assert scope.cancelled_caught


async def get_through(ws: WebSocketConnection) -> None:
    assert await ws.get_message() == "through"


async def ping_in_vain(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        for i in range(3):
            tasks.start_soon(is_told, partial(ws.ping, bytes([i])))


async def hear_and_see_the_end(ws: WebSocketConnection) -> None:
    assert await ws.get_message() == "the last word"
    await is_told(ws.get_message)


async def close_with_4000(ws: WebSocketConnection) -> None:
    await ws.aclose(4000)


class Against(NamedTuple):
    """A scenario with a peer by hand, and how it ends if nothing else goes wrong."""

    name: str
    peer: Callable[[ScriptedPeer], Awaitable[object]]
    act: Act
    code: int


AGAINST = [
    Against("E1_never_answers", silent, nothing, 1000),
    Against("E1_never_reads", deaf, send_in_vain, 1000),
    Against("E1_floods_instead", flooding, nothing, 1000),
    Against("E2_closes_and_stays", closing, is_over, 4001),
    Against("E2_closes_while_no_task_reads", closing, is_not_missed, 4001),
    Against("E2_a_mistake_and_silence", mistaken, is_over, 1002),
    Against("E3_a_flood_of_pings", flooding_pings, get_through, 1000),
    Against("E4_is_gone", deaf, is_over, 1006),
    Against("E4_is_gone_while_no_task_reads", deaf, is_not_missed, 1006),
    Against("E5_a_mistake_and_a_flood", oversized, is_over, 1009),
    Against("E6_no_pongs", closing_behind_pings, ping_in_vain, 4001),
    Against("E7_closes_as_well", closing, close_with_4000, 4001),
    Against("E7_leaves", leaving, hear_and_see_the_end, 1006),
    Against("E8_talks_while_we_close", talking_on, close_with_4000, 4001),
    Against("F5_does_not_read", deaf, send_and_give_up, 1006),
]


async def play_against(
    scenario: Against,
    opener: Opener,
    at: int | None = None,
    fault: Fault = BlackHole,
    manner: Manner = PLAIN,
) -> int:
    """Play it, with a fault on our side; return how many operations it has."""

    async def be_the_peer(peer: ScriptedPeer) -> None:
        with suppress(
            anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream
        ):
            await scenario.peer(peer)

    async with nothing_left() as tasks:
        ws, peer, stream = await opener(tasks, **OPTIONS)
        manner.apply(stream)
        faulty = Faulty(stream, at, fault, manner)
        async with anyio.create_task_group() as others:
            others.start_soon(be_the_peer, peer)
            try:
                try:
                    await scenario.act(ws)
                finally:
                    reason = await ends(ws)
            except WebSocketError:
                assert at is not None
            others.cancel_scope.cancel()
    if at is None:
        assert reason.code == scenario.code
    assert stream.closed
    return faulty.count


@pytest.mark.parametrize("scenario", AGAINST, ids=lambda scenario: scenario.name)
async def test_E1_to_E8_F5_F7_a_fault_and_a_bad_peer(
    scenario: Against, opener: Opener
) -> None:
    count = await play_against(scenario, opener)
    for at, fault in swept(cases(count)):
        await play_against(scenario, opener, at, fault)
    for manner in (SHORT, SLOW):
        count = await play_against(scenario, opener, manner=manner)
        for number, at in swept(enumerate(spread(count, 5))):
            fault = faults_at(at)[number % 3]
            await play_against(scenario, opener, at, fault, manner)
    gc.collect()


# -- a server among its clients -----------------------------------------------------


async def serve(asked: WebSocketRequest) -> None:
    """Echo, and end as a client wants it."""
    ws = await asked.accept()
    async for message in ws:
        if message == "return":
            return
        if message == "raise":
            raise ValueError("a mistake in the handler")
        if message == "use it after its end":
            await ws.aclose(4000)
        await ws.send_message(message)


async def visit(
    tasks: TaskGroup, stream: MemoryStream, *messages: str
) -> CloseReason | None:
    """Say some things to the server, and hear how it ends."""
    ws = await wrap_client_stream(tasks, stream, "example.org", "/", **OPTIONS)
    try:
        for message in messages:
            await ws.send_message(message)
            assert await ws.get_message() == message
    except ConnectionClosed:
        pass
    await ws.aclose()
    return ws.closed


async def play_on_server(
    last_words: str, at: int | None = None, fault: Fault = BlackHole
) -> tuple[int, CloseReason | None]:
    """Spoil one client of a server; the next must not notice."""
    listener = MemoryListener(2000)
    reason = None
    async with nothing_left() as tasks:
        server = WebSocketServer(serve, [listener], **OPTIONS)
        await tasks.start(server.run)
        theirs, ours = listener.pair()
        faulty = Faulty(theirs, at, fault)
        with suppress(WebSocketError):
            reason = await visit(tasks, ours, "hello", last_words)
        served = await visit(tasks, listener.connect(), "hello", "return")
        assert served == CloseReason(1000, None)
        started = anyio.current_time()
        await server.aclose()
        assert anyio.current_time() - started <= CLOSING + MARGIN
    assert ours.closed
    assert theirs.closed
    return faulty.count, reason


@pytest.mark.parametrize(
    ("last_words", "code"),
    [("return", 1000), ("raise", 1011), ("use it after its end", 4000)],
)
async def test_E12_F7_G2_a_server_outlives_every_fault(
    last_words: str, code: int
) -> None:
    count, reason = await play_on_server(last_words)
    assert reason == CloseReason(code, None)
    for at, fault in swept(cases(count)):
        await play_on_server(last_words, at, fault)
    gc.collect()
