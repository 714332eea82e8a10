"""Waiting for the next message in C: the same as in Python, whatever happens."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import socket
import struct
import sys
import time
import types
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from anyio_websocket import ConnectionClosed, WebSocketConnection
from anyio_websocket._connection import _reader_fields, _reader_fields_py
from anyio_websocket._connection._fairness import LIMIT, LONG_TURN
from anyio_websocket._connection._inbox import Inbox
from anyio_websocket._transport import SocketTransport

from ..support.backends import under_asyncio
from ..support.frames import BINARY, PING, frame
from ..support.peer import linked_by_sockets
from ..support.sockets import reset

_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

IN_C: type | None
try:
    from anyio_websocket._connection._reader_fields_c import ReaderFields as IN_C
except ImportError:  # not built
    IN_C = None


Pair = tuple[WebSocketConnection, Callable[[bytes], None], WebSocketConnection]


@asynccontextmanager
async def waiting_pair(**options: Any) -> AsyncGenerator[Pair]:
    """A server's end, what sends bytes to it, and its peer."""
    async with linked_by_sockets(**options) as (theirs, ours):
        transport = theirs._core.transport
        assert isinstance(transport, SocketTransport)

        def send(data: bytes) -> None:
            assert transport.write(data)

        yield ours, send, theirs


async def begun(connection: WebSocketConnection) -> asyncio.Task[str | bytes]:
    """Begin to wait for a message."""
    task = asyncio.create_task(connection.get_message())
    while not connection._core.reader.reading:
        await asyncio.sleep(0)
    return task


@under_asyncio
async def test_messages_that_come_alone_and_together() -> None:
    async with waiting_pair() as (ours, send, theirs):
        reader = ours._core.reader
        for i in range(3):
            task = await begun(ours)
            send(frame(BINARY, b"%d" % i))
            assert await task == b"%d" % i
        begins = reader.reads_begun
        task = await begun(ours)
        assert reader.reads_begun == begins + 1
        rest = frame(BINARY, b"three")
        send(frame(BINARY, b"one") + frame(BINARY, b"two") + rest[:3])
        assert await task == b"one"
        assert await ours.get_message() == b"two"
        task = asyncio.create_task(ours.get_message())
        send(rest[3:])
        assert await task == b"three"
        task = await begun(ours)
        send(frame(BINARY, b"whole") + frame(PING, b"ping") + frame(BINARY, b"x")[:1])
        assert await task == b"whole"  # something is left, which is looked at later
        task = asyncio.create_task(ours.get_message())
        send(frame(BINARY, b"x")[1:])
        assert await task == b"x"
        task = await begun(ours)
        send(frame(PING, b"ping"))
        await asyncio.sleep(0.01)
        assert not task.done()
        send(frame(BINARY, b"after a Ping"))
        assert await task == b"after a Ping"
        # A cancelled wait, in C and then in Python, loses nothing.
        task = await begun(ours)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not reader.reading
        task = await begun(ours)
        send(frame(PING, b"ping"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ours.get_message()
        await theirs.send_message("kept")
        assert await ours.get_message() == "kept"


@under_asyncio
async def test_large_messages() -> None:
    async with waiting_pair() as (ours, _, theirs):
        for size in (65_532, 70_000, 200_000, 5):
            task = await begun(ours)
            await theirs.send_message(bytes(size))
            assert await task == bytes(size)


@under_asyncio
async def test_a_read_that_came_back_full() -> None:
    async with waiting_pair(receive_buffer_size=10) as (ours, send, _):
        for message in (b"four", b"four", b"3", b"four"):
            task = await begun(ours)
            send(frame(BINARY, message))
            assert await task == message
            assert ours._core.reader._was_full is (len(message) == 4)


@under_asyncio
async def test_several_tasks_wait() -> None:
    async with waiting_pair() as (ours, send, _):
        tasks = [await begun(ours)]
        tasks += [asyncio.create_task(ours.get_message()) for _ in range(2)]
        await asyncio.sleep(0)
        for i in range(3):
            send(frame(BINARY, b"%d" % i))
            await asyncio.sleep(0.005)
        assert [await task for task in tasks] == [b"0", b"1", b"2"]
        task = await begun(ours)
        ping = asyncio.create_task(ours.ping())  # it waits for the task that reads
        await asyncio.sleep(0)
        send(frame(BINARY, b"message"))
        assert await task == b"message"
        await ping
        task = await begun(ours)
        ping = asyncio.create_task(ours.ping())
        await asyncio.sleep(0)
        task.cancel()  # then the other one reads
        await ping


@under_asyncio
async def test_the_end() -> None:
    async with waiting_pair() as (ours, _, theirs):
        task = await begun(ours)
        closing = asyncio.create_task(theirs.aclose(1000))
        with pytest.raises(ConnectionClosed):
            await task
        await closing
    async with waiting_pair() as (ours, _, theirs):
        task = await begun(ours)
        await ours.aclose(4000)
        with pytest.raises(ConnectionClosed):
            await task
        with pytest.raises(ConnectionClosed):
            await ours.get_message()
    for how in (lambda sock: sock.close(), reset):
        async with waiting_pair() as (ours, _, theirs):
            transport: Any = theirs._core.transport
            task = await begun(ours)
            sock = transport._socket.dup()
            if how is reset:
                reset(sock)
                transport._socket.setsockopt(*_LINGER)
            await transport.abort()
            with pytest.raises(ConnectionClosed) as caught:
                await task
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1006
            sock.close()


@under_asyncio
async def test_coroutines_that_are_closed() -> None:
    async with waiting_pair() as (ours, send, _):
        reader: Any = ours._core.reader
        assert inspect.iscoroutinefunction(ours.get_message)
        for after_ping in (False, True):
            waiting = ours.get_message()
            waiting.send(None)
            assert reader.reading
            if after_ping:
                send(frame(PING, b""))
                await asyncio.sleep(0)
            waiting.close()
            assert not reader.reading
        never_begun = reader.next_message()
        never_begun.close()
        never_begun = reader.next_message()
        with pytest.raises(KeyError):
            never_begun.throw(KeyError())
        send(frame(BINARY, b"message"))
        assert await ours.get_message() == b"message"


async def _broken_at(
    ours: WebSocketConnection, send: Callable[[bytes], None], name: str
) -> None:
    """Wait for a message while a part of the reader is no such part."""
    reader: Any = ours._core.reader
    whole = getattr(reader, name)
    setattr(reader, name, object())
    try:
        with pytest.raises((AttributeError, TypeError)):
            waiting = ours.get_message()
            waiting.send(None)
    finally:
        setattr(reader, name, whole)
    assert not reader.reading


@under_asyncio
async def test_a_bug_comes_out_and_leaves_the_reader_free() -> None:
    async with waiting_pair() as (ours, send, _):
        for name in ("_inbox", "_state", "_outbox", "reads_begun"):
            await _broken_at(ours, send, name)
        if _reader_fields.ReaderFields is IN_C:
            for name in ("_future", "_receive_size"):
                await _broken_at(ours, send, name)
        task = await begun(ours)
        send(frame(BINARY, b"message"))
        assert await task == b"message"


@under_asyncio
async def test_an_error_between_the_bytes_and_the_message() -> None:
    for method in ("take_received", "on_unread", "look_later", "connection_lost"):
        async with waiting_pair() as (ours, send, theirs):
            core: Any = ours._core
            holder = {
                "take_received": core.engine,
                "connection_lost": core.close_state,
            }.get(method, core)

            class Failing(type(holder)):  # type: ignore[misc]
                __slots__ = ()

            def fail(*args: object) -> None:
                raise MemoryError

            setattr(Failing, method, fail)
            task = await begun(ours)
            whole, holder.__class__ = type(holder), Failing
            if method == "connection_lost":
                theirs_transport: Any = theirs._core.transport
                await theirs_transport.abort()
            else:
                core.on_watchlist = method != "on_unread"
                send(frame(BINARY, b"message") + frame(BINARY, b"half")[:2])
            with pytest.raises(MemoryError):
                await task
            holder.__class__ = whole
            assert not core.reader.reading


@under_asyncio
async def test_replies_that_were_collected_leave_before_it_waits() -> None:
    async with waiting_pair() as (ours, _, theirs):
        outbox: Any = ours._core.outbox
        outbox._batch.append(ours._core.engine.frame_message(b"collected"))
        outbox.more_expected = True
        task = await begun(ours)
        assert await theirs.get_message() == b"collected"
        assert outbox.more_expected is False
        task.cancel()


@under_asyncio
async def test_the_connection_is_told_that_no_task_reads() -> None:
    async with waiting_pair() as (ours, send, _):
        task = await begun(ours)
        ours._core.on_watchlist = False
        send(frame(BINARY, b"message"))
        await task
        assert ours._core.on_watchlist
        task = await begun(ours)
        reader = ours._core.reader
        connection, reader._connection = reader._connection, None
        send(frame(BINARY, b"message"))
        assert await task == b"message"
        reader._connection = connection


@pytest.mark.skipif(
    _reader_fields.ReaderFields is not IN_C, reason="_reader_fields_c is not used"
)
@under_asyncio
async def test_it_cannot_be_awaited_twice() -> None:
    async with waiting_pair() as (ours, send, _):
        waiting: Any = ours._core.reader.next_message()
        asyncio.get_running_loop().call_soon(send, frame(BINARY, b"message"))
        assert await waiting == b"message"
        with pytest.raises(RuntimeError, match="cannot reuse"):
            waiting.send(None)
        with pytest.raises(RuntimeError, match="cannot reuse"):
            waiting.throw(KeyError())
        waiting.close()
        abandoned: Any = ours._core.reader.next_message()
        abandoned.send(None)
        abandoned.close()
        assert not ours._core.reader.reading


@pytest.mark.skipif(
    _reader_fields.ReaderFields is not IN_C, reason="_reader_fields_c is not used"
)
@under_asyncio
async def test_the_garbage_collector_sees_what_it_refers_to() -> None:
    async with waiting_pair() as (ours, _, _):
        reader: Any = ours._core.reader
        waiting = reader.next_message()
        waiting.send(None)
        assert reader in gc.get_referents(waiting)
        assert reader._future in gc.get_referents(reader)
        waiting.close()


async def test_it_takes_what_take_would() -> None:
    """Each state in which messages may have been decoded, once in both ways."""
    async with linked_by_sockets(message_queue_size=10) as (ours, _):
        reader: Any = ours._core.reader
        outbox, fairness = reader._outbox, reader._fairness
        noted: list[str] = []

        class Noting(type(reader)):  # type: ignore[misc]
            __slots__ = ()

            def _pass_on(self) -> None:
                noted.append("passed on")

        def outcome(state: tuple[Any, ...], function: Callable[[], object]) -> object:
            reader._ahead = list(state[0])
            reader._inbox.clear()
            for message in state[1]:
                reader._inbox.put(message)
            fairness.events, outbox.checked_since_receive = state[2:4]
            reader._last_yield.time = state[4]
            reader._receivers, reader._woken, reader._others = state[5]
            reader._undecoded, outbox.more_expected = state[6], not state[6]
            noted.clear()
            return (
                function(),
                list(reader._ahead),
                list(reader._inbox.messages),
                fairness.events,
                outbox.checked_since_receive,
                outbox.more_expected,
                reader._undecoded,
                list(noted),
            )

        now = time.monotonic()
        no_others: tuple[Any, ...] = ((), 0, ())
        waiting = asyncio  # anything that is there
        whole, reader.__class__ = type(reader), Noting
        taken = 0
        for state in itertools.product(
            ((), ("a",), (b"b", "c")),
            ((), ("d",)),
            (0, 98, LIMIT - 1, LIMIT, LONG_TURN),
            (False, True),
            (now - 1, now + 100),
            (no_others, ([waiting], 0, ()), ((), 1, ()), ((), 0, [waiting])),
            (False, True),
        ):
            wanted = outcome(state, reader.take)
            assert outcome(state, reader.take_next) == wanted
            taken += wanted[0] is not None  # type: ignore[index]
        assert taken > 100
        outcome((["a"], (), 0, True, now, no_others, False), list)
        for holder, name in ((fairness, "events"), (reader._last_yield, "time")):
            outbox.checked_since_receive = False
            setattr(holder, name, "none")
            with pytest.raises(TypeError):
                reader.take_next()
            setattr(holder, name, 0)
            assert reader._ahead == ["a"]
        reader._ahead = ()
        reader.__class__ = whole


@pytest.mark.skipif(IN_C is None, reason="_reader_fields_c is not built")
def test_fields() -> None:
    in_c: Any = sys.modules["anyio_websocket._connection._reader_fields_c"]
    for name in ("ReaderFields", "InboxFields"):
        in_python = getattr(_reader_fields_py, name)
        fields = vars(getattr(in_c, name)).keys() - vars(object).keys()
        methods = {"next_message", "take_next", "__module__"}
        assert sorted(fields - methods) == [*in_python.__slots__]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others tell no sizes")
def test_an_inbox_is_as_small_as_in_python_and_frees_its_messages() -> None:
    class InPython:
        __slots__ = ("_bytes", "_max_bytes", "_max_messages", "messages")

    inbox = Inbox(1, 1)
    assert sys.getsizeof(inbox) == sys.getsizeof(InPython())

    inbox.put("message")
    freed = weakref.ref(inbox.messages)
    del inbox
    assert freed() is None


async def test_an_inbox_that_is_none_is_asked_by_name() -> None:
    async with linked_by_sockets() as (ours, _):
        reader: Any = ours._core.reader
        inbox = reader._inbox
        reader._inbox = types.SimpleNamespace(messages=())
        assert reader.take_next() is None
        del reader._inbox.messages
        with pytest.raises(AttributeError):
            reader.take_next()
        reader._inbox = inbox
        del inbox.messages
        with pytest.raises(AttributeError):
            reader.take_next()
        inbox.clear()
        assert reader.take_next() is None


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="others do not count blocks"
)
@under_asyncio
async def test_it_keeps_nothing() -> None:
    async with waiting_pair() as (ours, send, _):

        async def exchange(times: int) -> None:
            for _ in range(times):
                task = await begun(ours)
                send(frame(BINARY, b"message"))
                await task
                task = await begun(ours)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                task = await begun(ours)
                send(frame(PING, b"") + frame(BINARY, b"message"))
                await task

        await exchange(20)
        before = sys.getallocatedblocks()
        await exchange(300)
        assert sys.getallocatedblocks() - before < 250


def test_trio_shows_where_a_task_waits() -> None:
    trio: Any = pytest.importorskip("trio")

    async def main() -> list[str]:
        async with linked_by_sockets() as (ours, _), trio.open_nursery() as nursery:
            nursery.start_soon(ours.get_message)
            await trio.testing.wait_all_tasks_blocked()
            (task,) = nursery.child_tasks
            names = [found.f_code.co_name for found, _ in task.iter_await_frames()]
            nursery.cancel_scope.cancel()
        return names

    pytest.importorskip("trio.testing")
    names = trio.run(main)
    assert names[:3] == ["get_message", "message", "receive"]
