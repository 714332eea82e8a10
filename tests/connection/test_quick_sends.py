"""Messages that are sent in one step in C, and what else such a call can do."""

from __future__ import annotations

import gc
import inspect
import socket
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import anyio
import pytest

from anyio_websocket import ConnectionClosed, WebSocketConnection
from anyio_websocket._connection import _send_kernels, _send_kernels_py
from anyio_websocket._connection._outbox import Outbox
from anyio_websocket._transport import SocketTransport

from ..support.peer import linked_by_sockets, over_socket
from ..support.stretch import make_ready

try:
    from anyio_websocket._connection import _send_kernels_c
except ImportError:
    in_c = None
else:
    # Not on Windows. It is not used if Python was chosen.
    in_c = getattr(_send_kernels_c, "quick_sends", None)
    if _send_kernels.quick_sends is not in_c:
        in_c = None

needs_c = pytest.mark.skipif(in_c is None, reason="_send_kernels_c is not built")


class Watched:
    """A ``send_message()`` in C, and what it has left to Python."""

    def __init__(self, **numbers: Any) -> None:
        self.left: list[object] = []
        limits = {"sends": 100, "stretch": 100.0, "batch": 1000, "message": 10**6}
        assert in_c is not None
        self.send: Any = in_c(
            self._in_python, monotonic, *{**limits, **numbers}.values()
        )

    async def _in_python(self, connection: Any, message: Any) -> None:
        self.left.append(message)


def refuse(outbox: Outbox, **fields: object) -> None:
    for name, value in fields.items():
        setattr(outbox, name, value)


class Locked:
    def __init__(self, value: bool) -> None:
        self.locked = lambda: value


NOT_PLAIN: dict[str, Callable[[Outbox], object]] = {
    "is no reply": lambda outbox: refuse(outbox, reply_due=False),
    "it is not its turn": lambda outbox: refuse(outbox, _turn=Locked(False)),
    "the application may be slow": lambda outbox: refuse(
        outbox, _quick_replies_needed=1
    ),
    "is no plain frame": lambda outbox: refuse(outbox, direct=None),
    "there is a batch": lambda outbox: refuse(outbox, _batch=[b"before"]),
    "there is a Ping": lambda outbox: refuse(outbox, _ping=b"before"),
    "there is a Pong": lambda outbox: refuse(outbox, _pong=b"before"),
    "the batch is not scheduled": lambda outbox: refuse(
        outbox, _batch=[b"before"], more_expected=True
    ),
    "the batch is large": lambda outbox: refuse(
        outbox,
        _batch=[b"before"],
        more_expected=True,
        _batch_is_scheduled=True,
        _batch_size=999,
    ),
    "the lock is held": lambda outbox: refuse(outbox, _lock=Locked(True)),
    "the lock cannot tell": lambda outbox: refuse(outbox, _lock=object()),
    "the clock is wrong": lambda outbox: refuse(outbox, last_yield=object()),
    "something is unsent": lambda outbox: refuse_at(outbox, unsent=b"before"),
    "it cannot tell what is unsent": lambda outbox: refuse(outbox, direct=object()),
    "it is closed": lambda outbox: refuse_at(outbox, _descriptor=-1),
    "the budget is unknown": lambda outbox: refuse(outbox, _fairness=object()),
    "the budget is spent": lambda outbox: setattr(outbox._fairness, "sends", 100),
    "there is no key": lambda outbox: refuse(
        outbox, direct=None, masked=(outbox.direct, iter(()))
    ),
}


def refuse_at(outbox: Outbox, **fields: object) -> None:
    """Have a transport that is like the real one, but for some attributes."""
    real: Any = outbox.direct
    names = ("unsent", "_descriptor", "_readiness")
    found = {name: getattr(real, name) for name in names}
    refuse(outbox, direct=types.SimpleNamespace(**{**found, **fields}))


@needs_c
@pytest.mark.parametrize("case", NOT_PLAIN)
async def test_what_is_not_plain_is_left_to_python(case: str) -> None:
    async with linked_by_sockets() as (_, server):
        outbox = make_ready(server)
        saved = {name: getattr(outbox, name) for name in OutboxNames}
        NOT_PLAIN[case](outbox)
        before = {name: getattr(outbox, name) for name in OutboxNames}
        watched = Watched()
        await watched.send(server, b"message")
        assert watched.left == [b"message"]
        assert before == {name: getattr(outbox, name) for name in OutboxNames}
        refuse(outbox, **saved)
        outbox._fairness.sends = 0
        await watched.send(server, b"message")
        assert watched.left == [b"message"]


OutboxNames = _send_kernels_py.OutboxFields.__slots__


@needs_c
async def test_its_clock_is_the_one_of_python() -> None:
    watched = Watched(stretch=10.0)
    async with linked_by_sockets() as (_, server):
        for ago, left in ((9, []), (11, [b"message"]), (9, [])):
            make_ready(server).last_yield.time = monotonic() - ago
            await watched.send(server, b"message")
            assert watched.left == left
            watched.left.clear()


@needs_c
async def test_a_batch_needs_no_descriptor() -> None:
    watched = Watched()
    async with linked_by_sockets() as (_, server):
        outbox = make_ready(server)
        outbox.more_expected = outbox._batch_is_scheduled = True
        real = outbox.direct
        refuse_at(outbox, _descriptor=None)
        await watched.send(server, b"one")
        assert outbox._batch == [b"\x82\x03one"]
        refuse(outbox, direct=real, _batch=[], _batch_is_scheduled=False)
        assert watched.left == []


@needs_c
async def test_messages_that_are_left_to_python() -> None:
    watched = Watched(message=5)
    async with linked_by_sockets() as (client, server):
        for message in (b"12345", "12345", "\ud800"):
            outbox = make_ready(server)
            await watched.send(server, message)
            assert outbox.reply_due
            assert watched.left.pop() == message
        await watched.send(server, bytearray(b"1"))
        assert watched.left.pop() == b"1"
        for connection in (object(), types.SimpleNamespace(_core=client)):
            await watched.send(connection, b"1")
            assert watched.left.pop() == b"1"
        core = types.SimpleNamespace(outbox=object())
        await watched.send(types.SimpleNamespace(_core=core), b"1")
        assert watched.left.pop() == b"1"
        slow = Watched(stretch=0.0)
        make_ready(server)
        await slow.send(server, b"1")
        assert slow.left == [b"1"]


@needs_c
@pytest.mark.parametrize("by_client", [False, True])
async def test_plain_messages_of_any_size(by_client: bool) -> None:
    watched = Watched()
    async with linked_by_sockets() as ends:
        sender, receiver = ends if by_client else ends[::-1]
        socket_of(sender).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10**6)
        outbox = make_ready(sender)
        outbox._lock = anyio.Lock()  # free
        for message in ("", b"1", "t\u00e4xt", b"2" * 126, "x" * 3000, b"3" * 70_000):
            make_ready(sender)
            sent, sends = outbox.bytes_sent, outbox._fairness.sends
            await watched.send(sender, message)
            assert await receiver.get_message() == message
            size = len(message.encode() if isinstance(message, str) else message)
            header = 2 if size < 126 else 4 if size < 65_536 else 10
            assert outbox.bytes_sent == sent + header + 4 * by_client + size
            assert outbox._fairness.sends == sends + 1
            assert outbox.checked_since_receive
            assert not outbox.reply_due
        assert watched.left == []


@needs_c
async def test_keys_are_used_once() -> None:
    async with linked_by_sockets() as (client, server):
        outbox = make_ready(client)
        assert outbox.masked is not None
        transport, keys = outbox.masked
        used: list[bytes] = []

        def noted() -> Any:
            for key in keys:
                used.append(key)
                yield key

        outbox.masked = transport, noted()
        for i in range(100):
            make_ready(client)
            outbox._fairness.sends = 0
            await client.send_message(b"%d" % i)
            assert await server.get_message() == b"%d" % i
        assert len(set(used)) == len(used) == 100
        assert {len(key) for key in used} == {4}


@needs_c
async def test_a_batch() -> None:
    watched = Watched()
    async with linked_by_sockets() as (client, server):
        outbox = make_ready(server)
        outbox.more_expected = True
        assert outbox._schedule_batch()
        await watched.send(server, "one")
        await watched.send(server, b"two")
        assert outbox._batch == [b"\x81\x03one", b"\x82\x03two"]
        assert outbox._batch_size == 10
        assert outbox.bytes_sent == 0
        assert await client.get_message() == "one"
        assert await client.get_message() == b"two"
        assert watched.left == []


@needs_c
@pytest.mark.parametrize("outcome", ["lost", "interrupt", "short"])
async def test_a_signal_while_a_key_is_made(outcome: str) -> None:
    """Its handler may end the connection, or raise what no ``except`` may take."""
    watched = Watched()
    async with linked_by_sockets() as (client, _):
        outbox = make_ready(client)
        assert outbox.masked is not None

        def keys() -> Iterator[bytes]:
            if outcome == "lost":
                client._core.close_state.connection_lost("by a signal handler")
            elif outcome == "interrupt":
                raise KeyboardInterrupt
            yield b"key"

        outbox.masked = outbox.masked[0], keys()
        call = watched.send(client, b"1")
        if outcome == "interrupt":
            with pytest.raises(KeyboardInterrupt):
                await call
            assert inspect.getcoroutinestate(call) == "CORO_CLOSED"
        else:
            await call
        assert watched.left == ([] if outcome == "interrupt" else [b"1"])
        assert outbox.bytes_sent == 0


def socket_of(connection: WebSocketConnection) -> socket.socket:
    transport = connection._core.transport
    assert isinstance(transport, SocketTransport)
    return transport._socket


async def expect_closed(connection: WebSocketConnection, message: bytes) -> None:
    with pytest.raises(ConnectionClosed):
        await connection.send_message(message)


def fill(sock: socket.socket) -> int:
    """Send empty messages until no more are taken; return how many were."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            count += sock.send(b"\x82\x00")
    return count


async def test_a_peer_that_takes_a_part() -> None:
    messages = [bytes([i]) * 100_000 for i in range(64)]
    async with linked_by_sockets() as (client, server), anyio.create_task_group() as tg:
        outbox = server._core.outbox

        async def send_all() -> None:
            for message in messages:
                make_ready(server)
                await server.send_message(message)

        tg.start_soon(send_all)
        await anyio.wait_all_tasks_blocked()
        assert outbox._is_locked()
        assert outbox._transport.unsent
        for message in messages:
            assert await client.get_message() == message
        assert not outbox._is_locked()
        assert outbox.bytes_sent == 64 * 100_010


@pytest.mark.parametrize("size", [10, 5000])
async def test_a_peer_that_takes_nothing(size: int) -> None:
    one, other = socket.socketpair()
    with one:  # which nobody reads
        async with anyio.create_task_group() as tasks:
            server = over_socket(other, tasks, is_client=False)
            fill(other)
            outbox = make_ready(server)
            tasks.start_soon(expect_closed, server, b"y" * size)
            await anyio.wait_all_tasks_blocked()
            frame = server._core.engine.frame_message(b"y" * size)
            assert outbox._transport.unsent == frame
            assert outbox.bytes_sent == len(frame)
            assert outbox._is_locked()
            await server._core.abort()


async def test_a_socket_that_broke() -> None:
    async with linked_by_sockets() as (_, server):
        outbox = make_ready(server)
        socket_of(server).shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionClosed) as caught:
            await server.send_message(b"message")
        assert caught.value.nothing_sent
        assert type(caught.value.__cause__) is BrokenPipeError
        assert outbox.bytes_sent == 0
        assert outbox.direct is None
        assert outbox.masked is None
        with pytest.raises(ConnectionClosed):
            await server.send_message(b"message")


async def test_memory_is_short_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(outbox: Outbox) -> anyio.Lock:
        raise MemoryError

    monkeypatch.setattr(Outbox, "_get_lock", fail)
    async with linked_by_sockets() as (_, server):
        with pytest.raises(MemoryError):
            while True:
                make_ready(server)
                await server.send_message(bytes(100_000))
        reason = server.closed
        assert reason is not None
        assert reason.code == 1006
        assert reason.reason == "sending failed: MemoryError"


def failing(connection: object, message: object) -> None:
    raise ZeroDivisionError


@needs_c
async def test_a_coroutine_that_cannot_be_made() -> None:
    assert in_c is not None
    send: Any = in_c(failing, monotonic, 1, 1.0, 1, 1)
    with pytest.raises(ZeroDivisionError):
        await send(1, b"")
    with pytest.raises(ZeroDivisionError):
        repr(send(1, b""))
    with pytest.raises(ZeroDivisionError):
        _ = send(1, b"").cr_await
    with pytest.raises(TypeError):
        in_c(failing)


@needs_c
def test_cycles_are_found() -> None:
    class Holder:
        """Refers to what refers to it."""

    def in_python(connection: object, message: object) -> Any:
        return holder

    holder = Holder()
    assert in_c is not None
    holder.function = in_c(in_python, monotonic, 1, 1.0, 1, 1)  # type: ignore[attr-defined]
    call: Any = holder.function(holder, b"")  # type: ignore[attr-defined]
    assert call.__class__ is Holder  # it was made
    holder.call = call  # type: ignore[attr-defined]
    outbox = Outbox.__new__(Outbox)
    outbox._batch = [outbox]  # type: ignore[list-item]
    gone = weakref.ref(holder)
    count = sum(type(found) is Outbox for found in gc.get_objects())
    holder = call = outbox = None  # type: ignore[assignment]
    del in_python
    gc.collect()
    assert gone() is None
    assert sum(type(found) is Outbox for found in gc.get_objects()) < count
