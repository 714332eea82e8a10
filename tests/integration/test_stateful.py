"""Two peers send, receive, ping, give up, stall and close, in any order.

Hypothesis draws a program for each side's four tasks; a virtual clock lets the longest
stall cost nothing. Whatever happens, messages arrive whole, in order and once, and
those of one ``send_messages()`` in one piece; only of a message that is received in
parts the rest may be skipped; those whose sending had returned before a
Close that the peer received are not lost; no send waits longer than ``send_timeout``
for a peer that takes nothing; both sides agree on how it ended; and it ends, for every
task that waits.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from anyio_websocket import ConnectionClosed, WebSocketConnection
from anyio_websocket._connection import _decoding, _sent_fragments

from ..support.backends import Backend, params
from ..support.peer import linked, linked_by_sockets
from ..support.steps import Way, cancelled_at, ways
from ..support.sweeps import EVERY

CLOSING = 3  # seconds
MARGIN = 0.01  # seconds
SILENCE = 6  # seconds that no keepalive takes for the end, and a little less


class Send(NamedTuple):
    """Send a message; with ``patience`` it is given up after so many steps."""

    size: int
    is_text: bool = True
    patience: int | None = None


class SendMany(NamedTuple):
    """Send several messages at once."""

    sizes: list[int]
    is_text: bool = True
    patience: int | None = None


class Receive(NamedTuple):
    """Receive a message, if one comes."""

    in_parts: bool = False
    patience: int | None = None


class Ping(NamedTuple):
    """Ping, and wait for the Pong."""

    patience: int | None = None


class Pause(NamedTuple):
    """Do nothing."""

    seconds: float


class Freeze(NamedTuple):
    """Let nothing come over the network to this side; only streams can do it."""

    seconds: float


class Close(NamedTuple):
    """Close."""

    patience: int | None = None


Step = Send | SendMany | Receive | Ping | Pause | Freeze | Close


class Settings(NamedTuple):
    """What the two are connected by."""

    over_sockets: bool
    compression: bool
    queue_size: float
    keepalive: bool
    send_timeout: float | None
    capacity: int
    max_receive: int
    client_closes: bool  # when all tasks are done
    two_receive: bool  # on each side
    way: int  # which of those to cancel

    def core(
        self,
    ) -> AbstractAsyncContextManager[tuple[WebSocketConnection, WebSocketConnection]]:
        """Connect."""
        options: dict[str, Any] = {
            "disconnect_timeout": CLOSING,
            "message_queue_size": self.queue_size,
            "ping_interval": 3 if self.keepalive else None,
            "ping_timeout": 4,
            "send_timeout": self.send_timeout,
            "max_message_size": 20_000,
        }
        if self.over_sockets:
            return linked_by_sockets(self.compression, **options)
        options["compression"] = self.compression
        return linked(65536, client=options, server=options)

    def may_give_up(self, silence: float) -> bool:
        """Say whether a side may end the connection because the other was silent."""
        return (self.keepalive and silence >= SILENCE) or (
            self.send_timeout is not None and silence >= self.send_timeout
        )


class Call:
    """A message that was given to ``send_message``, and what became of it.

    :param batch: numbers the call of ``send_messages()``, if that was it

    """

    def __init__(self, message: str | bytes, batch: int | None) -> None:
        self.message = message
        self.batch = batch
        self.returned = False


class Side:
    """One of the two: what it did, and what it was told.

    :param ws: its connection
    :param code: with which it closes
    :param name: stands in its messages
    :param way: how it gives up

    """

    def __init__(self, ws: WebSocketConnection, code: int, name: str, way: Way) -> None:
        self.ws = ws
        self.code = code
        self.name = name
        self.way = way
        self.calls: dict[int, list[Call]] = {}  # by task, in order
        self.received: dict[int, list[str | bytes]] = {}  # by task
        self.beginnings: list[str | bytes] = []  # of messages whose rest was skipped
        self.sends: list[tuple[float, float]] = []  # from when to when each took
        self.freezes: list[tuple[float, float]] = []
        self.closed_first = False  # that is, before it heard of the other's Close
        # whether it gave up in a frame or in closing, or closed without an answer
        self.broke_off = False

    async def perform(self, task: int, program: list[Step]) -> None:
        """Do what one of its tasks has to do."""
        self.calls[task] = []
        try:
            for step in program:
                await self._do(task, step)
        except ConnectionClosed:
            assert self.ws.closed is not None

    async def read(self, task: int, program: list[Step]) -> None:
        """Do what a reading task has to do, and then receive until the end."""
        self.received[task] = []
        await self.perform(task, program)
        with pytest.raises(ConnectionClosed):
            while True:
                await self._receive(task)

    async def close(self, patience: int | None = None) -> None:
        """Close, or give it up."""
        if self.ws.closed is None:
            self.closed_first = True
        started = anyio.current_time()
        if not await self._attempt(lambda: self.ws.aclose(self.code), patience):
            self.broke_off = True
        took = anyio.current_time() - started
        assert took < CLOSING + MARGIN
        self.broke_off |= took > CLOSING - MARGIN

    async def _receive(self, task: int, in_parts: bool = False) -> None:
        if in_parts:
            message = await self._receive_parts()
        else:
            message = await self.ws.get_message()
        self.received[task].append(message)

    async def _receive_parts(self) -> str | bytes:
        found: list[Any] = []
        try:
            async with self.ws.receive_fragments() as parts:
                async for part in parts:
                    found.append(part)  # noqa: PERF401  # it may be cancelled
        except BaseException:
            if found:
                self.beginnings.append(type(found[0])().join(found))
            raise
        message: str | bytes = type(found[0])().join(found)
        return message

    async def _send(self, task: int, sizes: list[int], step: Send | SendMany) -> None:
        calls = self.calls[task]
        batch = len(calls) if isinstance(step, SendMany) else None
        new: list[Call] = []
        for number, size in enumerate(sizes, len(calls)):
            text = f"{self.name} {task} {number} ".ljust(size, "ü")
            new.append(Call(text if step.is_text else text.encode(), batch))
        calls += new
        messages: list[Any] = [call.message for call in new]
        # If it was cancelled in the middle, the connection would have to end.
        if batch is None and step.patience is None and sizes[0] % 2:
            whole = messages[0]
            messages[0] = [whole[i : i + 40] for i in range(0, len(whole), 40)]

        async def send() -> None:
            if batch is None:
                await self.ws.send_message(messages[0])
            else:
                await self.ws.send_messages(messages)

        started = anyio.current_time()
        try:
            returned = await self._attempt(send, step.patience)
        finally:
            self.sends.append((started, anyio.current_time()))
        for call in new:
            call.returned = returned
        if self.ws.closed is not None and not returned:
            self.broke_off = True

    async def _do(self, task: int, step: Step) -> None:
        if isinstance(step, Send):
            await self._send(task, [step.size], step)
        elif isinstance(step, SendMany):
            await self._send(task, step.sizes, step)
        elif isinstance(step, Receive):
            receive = partial(self._receive, task, step.in_parts)
            await self._attempt(receive, step.patience)
        elif isinstance(step, Ping):
            await self._attempt(self.ws.ping, step.patience)
            if self.ws.closed is not None and step.patience is not None:
                self.broke_off = True
        elif isinstance(step, Pause):
            await anyio.sleep(step.seconds)
        elif isinstance(step, Freeze):
            self._freeze(step.seconds)
        else:
            await self.close(step.patience)

    def _freeze(self, seconds: float) -> None:
        stream = getattr(self.ws._core.transport, "_stream", None)
        if stream is not None:
            now = anyio.current_time()
            self.freezes.append((now, now + seconds))

            async def wait() -> None:
                for _, until in self.freezes:
                    if until > anyio.current_time():
                        await anyio.sleep_until(until)

            stream.before_receive = wait

    async def _attempt(
        self, work: Callable[[], Awaitable[object]], patience: int | None
    ) -> bool:
        """Do something, and give it up after some steps; say whether it was done."""
        done = False

        async def whole() -> None:
            nonlocal done
            await work()
            done = True

        await cancelled_at(patience, whole(), self.way)
        return done


def check_order(received: list[str | bytes], calls: list[Call]) -> list[Call]:
    """Demand messages in order and once; return those calls that came after them."""
    rest = iter(calls)
    for message in received:
        for call in rest:
            if call.message == message:
                break
            assert not call.returned, f"{call.message!r} is missing before {message!r}"
        else:
            pytest.fail(f"{message!r} came twice, out of order, or was never sent")
    return list(rest)


def but_for_skipped(
    calls: list[Call], got: list[str | bytes], beginnings: list[str | bytes]
) -> list[Call]:
    """Leave out the messages of which somebody has received the beginning only.

    :param beginnings: what was received of them; those that are found are removed

    """
    skipped: list[Call] = []
    for call in sorted(calls, key=lambda call: not call.returned):
        for beginning in sorted(beginnings, key=len, reverse=True):
            if call.message not in got and begins(call.message, beginning):
                beginnings.remove(beginning)
                skipped.append(call)
                break
    return [call for call in calls if call not in skipped]


def begins(message: str | bytes, beginning: str | bytes) -> bool:
    return type(message) is type(beginning) and (message[: len(beginning)] == beginning)


def check_batches(received: list[str | bytes], calls: list[Call]) -> None:
    """Demand the first of the messages that were sent at once, with none in between."""
    for batch in {call.batch for call in calls if call.batch is not None}:
        sent = [call.message for call in calls if call.batch == batch]
        count = sum(message in sent for message in received)
        if count:
            start = received.index(sent[0])
            assert received[start : start + count] == sent[:count]


def number_of(message: str | bytes, word: int) -> int:
    words = message.split(" " if isinstance(message, str) else b" ")  # type: ignore[arg-type]
    return int(words[word])


def check(one: Side, other: Side, silence: float, how: Settings) -> None:
    """Demand that what one side received is what the other sent."""
    assert one.ws.closed is not None
    assert one.ws._core.close_state.closed
    skips = bool(one.beginnings)
    for task, calls in other.calls.items():
        got: list[str | bytes] = []
        for received in one.received.values():
            mine = [message for message in received if number_of(message, 1) == task]
            assert mine == sorted(mine, key=lambda message: number_of(message, 2))
            got += mine
            if not (how.two_receive or skips):
                check_batches(received, calls)
        got.sort(key=lambda message: number_of(message, 2))
        missing = check_order(got, but_for_skipped(calls, got, one.beginnings))
        if one.ws.closed.code == other.code and not one.closed_first:
            # Its Close came behind all of them.
            assert not any(call.returned for call in missing)
    if one.ws.closed.code == 1006:
        assert one.broke_off or other.broke_off or how.may_give_up(silence)
    if how.send_timeout is not None:
        longest = how.send_timeout * 1.25 + MARGIN
        for began, ended in one.sends:
            for frozen, thawed in other.freezes:
                assert min(ended, thawed) - max(began, frozen) <= longest


def check_codes(client: Side, server: Side, may_give_up: bool) -> None:
    """Demand that both keep the code that they received."""
    assert client.ws.closed is not None
    assert server.ws.closed is not None
    codes = client.ws.closed.code, server.ws.closed.code
    if 1006 in codes or any(side.broke_off for side in (client, server)):
        assert set(codes) <= {1006, client.code, server.code}
    elif client.closed_first and server.closed_first:
        own = client.code, server.code
        # They crossed; or one side waited too long for the other, and lost the stream
        # before it could read the other's Close.
        assert codes == own[::-1] or (may_give_up and set(codes) <= set(own))
    else:
        assert client.closed_first or server.closed_first
        first = client if client.closed_first else server
        assert codes == (first.code, first.code)


async def play(how: Settings, programs: list[list[Step]], backend: str) -> None:
    """Run everything, and check what came of it."""
    choice = ways(backend)
    way = choice[how.way % len(choice)]
    stalls = [
        sum(step.seconds for step in program if isinstance(step, Pause | Freeze))
        for program in programs
    ]
    short = mock.patch.object(_sent_fragments, "FRAGMENT_SIZE", 100)
    with short, anyio.fail_after(30 + sum(stalls)):
        async with how.core() as (client_ws, server_ws):
            client = Side(client_ws, 4000, "client", way)
            server = Side(server_ws, 3000, "server", way)
            for side in (client, server):
                stream = getattr(side.ws._core.transport, "_stream", None)
                if stream is not None:
                    stream.narrow(how.capacity, how.max_receive)
            async with anyio.create_task_group() as readers:
                for i, side in enumerate((client, server) * (1 + how.two_receive), 4):
                    readers.start_soon(side.read, i // 2, programs[i])
                async with anyio.create_task_group() as senders:
                    for i, side in enumerate((client, server) * 2):
                        senders.start_soon(side.perform, i // 2, programs[i])
                await (client if how.client_closes else server).close()
    check(client, server, max(stalls), how)
    check(server, client, max(stalls), how)
    check_codes(client, server, how.may_give_up(max(stalls)))


patience = st.none() | st.none() | st.integers(0, 12)
sizes = st.integers(0, 60) | st.integers(0, 2000) | st.just(9000)
seconds = st.sampled_from([0.05, 0.3, 1, 2.5, 8])
steps: dict[type[Step], st.SearchStrategy[Step]] = {
    Send: st.builds(Send, sizes, st.booleans(), patience),
    SendMany: st.builds(
        SendMany, st.lists(sizes, min_size=1, max_size=4), st.booleans(), patience
    ),
    Receive: st.builds(Receive, st.booleans(), patience),
    Ping: st.builds(Ping, patience),
    Pause: st.builds(Pause, seconds),
    Freeze: st.builds(Freeze, seconds),
    Close: st.builds(Close, patience),
}
# Most of it is sending and receiving, because nothing shows after a Close.
of_senders = st.sampled_from(
    [Send] * 13 + [SendMany] * 3 + [Ping] * 3 + [Pause] * 3 + [Close]
)
of_readers = st.sampled_from([Receive] * 8 + [Pause] * 3 + [Freeze])
programs = st.tuples(
    *[st.lists(of_senders.flatmap(steps.__getitem__), max_size=12)] * 4,
    *[st.lists(of_readers.flatmap(steps.__getitem__), max_size=12)] * 4,
).map(list)
connections = st.builds(
    Settings,
    over_sockets=st.booleans(),
    compression=st.booleans(),
    queue_size=st.sampled_from([0, 1, 16, math.inf]),
    keepalive=st.booleans(),
    send_timeout=st.sampled_from([None, 2]),
    capacity=st.sampled_from([200, 2000, 65536]),
    max_receive=st.sampled_from([50, 65536]),
    client_closes=st.booleans(),
    two_receive=st.booleans(),
    way=st.integers(0, 3),
)


# seconds; it takes few, but to shrink what it finds takes more
@pytest.mark.timeout(300)
@pytest.mark.parametrize("make_backend", params(virtual_time=True))
@settings(
    max_examples=100 // EVERY,
    phases=set(Phase) - {Phase.explain},  # which traces every line
    suppress_health_check=[HealthCheck.too_slow],
)
@given(connections, programs)
def test_D7_E6_to_E9_E17_F1_to_F5_G13_any_program(
    make_backend: Callable[[], Backend], how: Settings, programs: list[list[Step]]
) -> None:
    backend, options = make_backend()
    job = partial(play, how, programs, backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decoding, "INBOX_SIZE", 0)  # so that three messages fill it
        if backend == "trio":
            import trio

            # Not by anyio.run(), whose early versions do not pass the clock on.
            trio.run(job, **options)
        else:
            anyio.run(job, backend=backend, backend_options=options)
