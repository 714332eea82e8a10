"""Reading: tasks that take turns, bursts, and receivers that are cancelled."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from anyio_websocket._connection._decoding import LAST_EVENTS
from anyio_websocket._connection._fairness import LIMIT
from anyio_websocket._protocol import Close
from anyio_websocket._protocol._kernels_py import BLOCK
from anyio_websocket._transport import SocketTransport, TransportLost
from anyio_websocket.testing import Frame

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame,
)
from ..support.peer import (
    Opener,
    closed_with,
    linked,
    linked_by_sockets,
    server_of_raw_client,
)

pytestmark = pytest.mark.virtual_time


async def test_fragments_are_joined(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.max_receive = 1  # and whatever they are cut into
        await peer.send_frame(TEXT, b"one ", fin=False)
        await peer.send_frame(PING, b"between")
        await peer.send_frame(CONTINUATION, "zwölf".encode())
        assert await connection.get_message() == "one zwölf"
        assert await peer.receive_frame() == Frame(PONG, b"between")
        tasks.cancel_scope.cancel()


async def test_frames_in_one_read_with_the_handshake(opener: Opener) -> None:
    mask = b"\1\2\3\4" if opener is server_of_raw_client else None
    glued = frame(TEXT, b"first", mask=mask) + frame(BINARY, b"second", mask=mask)
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, glued=glued)
        await peer.send_frame(TEXT, b"third")
        assert await connection.get_message() == "first"
        assert await connection.get_message() == b"second"
        assert await connection.get_message() == "third"
        tasks.cancel_scope.cancel()


async def test_a_message_for_a_cancelled_receiver_goes_to_the_next() -> None:
    # The second waits without reading. A message that is read in the background for it
    # must not get lost when it is cancelled in that very moment.
    got: list[str | bytes] = []
    async with linked() as (client, server), anyio.create_task_group() as tasks:
        await anyio.sleep(1)  # the background task reads now
        scope = anyio.CancelScope()

        async def first() -> None:
            with scope:
                got.append(await server.get_message())

        async def second() -> None:
            got.append(await server.get_message())

        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        await client.send_message("a")
        scope.cancel()
        await client.send_message("b")
        await anyio.wait_all_tasks_blocked()
        got.sort(key=str)
        if got == ["a"]:
            assert await server.get_message() == "b"
        else:
            assert got == ["a", "b"]
        tasks.cancel_scope.cancel()


async def test_F1_cancelling_get_message_loses_nothing() -> None:
    count = 200
    got: list[str | bytes] = []
    async with linked() as (client, server), anyio.create_task_group() as tasks:

        async def send() -> None:
            for i in range(count):
                await client.send_message(str(i))
                for _ in range(i % 5):
                    await anyio.lowlevel.checkpoint()

        async def receive(passes: int) -> None:
            # Cancelled after a number of passes through the scheduler, so that it
            # strikes before, in and after the pass in which a message arrives.
            async def strike(scope: anyio.CancelScope) -> None:
                for _ in range(passes):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            async with anyio.create_task_group() as inner:
                inner.start_soon(strike, inner.cancel_scope)
                while True:
                    got.append(await server.get_message())

        tasks.start_soon(send)
        passes = 0
        while len(got) < count:
            await receive(passes % 7)
            passes += 1
    assert got == [str(i) for i in range(count)]


async def test_a_burst_gives_way_to_others(opener: Opener) -> None:
    # F8: 420 messages are there, but the other task has its turns, and a cancellation
    # is seen.
    turns = 0
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        await peer.stream.send(peer.frame(TEXT, b"x") * 420)
        await connection.get_message()
        tasks.start_soon(other)
        for _ in range(310):
            await connection.get_message()
        assert turns >= 2
        with anyio.CancelScope() as scope:
            scope.cancel()
            for _ in range(101):
                await connection.get_message()
        assert scope.cancelled_caught
        tasks.cancel_scope.cancel()


async def test_F8_what_fills_a_long_queue_gives_way_to_others(opener: Opener) -> None:
    turns = 0
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=math.inf)

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        await peer.stream.send(peer.frame(TEXT, b"x") * 4000 + peer.frame(PONG, b"p"))
        tasks.start_soon(other)
        await connection.ping(b"p")
        assert turns >= 4000 // 100
        tasks.cancel_scope.cancel()


async def test_a_burst_of_pings_gives_way_to_others(opener: Opener) -> None:
    turns = 0
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        await peer.stream.send(peer.frame(PING) * 1000 + peer.frame(TEXT, b"x"))
        tasks.start_soon(other)
        assert await connection.get_message() == "x"
        assert turns >= 10
        tasks.cancel_scope.cancel()


async def test_closing_takes_over_from_a_task_that_reads(opener: Opener) -> None:
    # Over a stream that sends without a pass of the scheduler, so that the reading
    # task has not left yet when the closing one wants to read.
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)

        async def send(data: bytes) -> None:
            stream._outgoing.data += data
            stream._outgoing.change()

        stream.send = send  # type: ignore[method-assign, assignment]

        async def receive() -> None:
            assert await closed_with(connection) == CloseReason(1000, None)

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection.aclose)
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.aclose()
        with anyio.fail_after(1):
            await connection.wait_closed()


async def test_the_next_task_reads_at_once(opener: Opener) -> None:
    # And need not wait until the background task does.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        done = [anyio.Event(), anyio.Event()]

        async def receive() -> None:
            done[int(await connection.get_message())].set()

        tasks.start_soon(receive)
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        for i in range(2):
            await peer.send_frame(TEXT, b"%d" % i)
            with anyio.fail_after(0.05):  # seconds, less than a tick
                await done[i].wait()
        tasks.cancel_scope.cancel()


async def test_H12_a_close_that_is_read_later_does_not_replace_what_we_sent(
    opener: Opener,
) -> None:
    # It is read later if the stream was lost: then what is unread is decoded.
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks)
        state = connection._core.close_state
        sent = state.sent = CloseReason(1011, "keepalive ping timeout")
        connection._core.reader._handle_control(Close(1000, ""))
        assert state.sent is sent
        tasks.cancel_scope.cancel()


class NoMemory:
    """Stands in for what takes memory when a message comes."""

    def __call__(self, *args: object) -> NoReturn:
        raise MemoryError


@pytest.mark.parametrize("what", ["feed", "take_messages", "put"])
async def test_G10_no_memory_for_what_was_received(
    opener: Opener, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        core = connection._core
        with pytest.MonkeyPatch.context() as patch:
            if what == "feed":
                patch.setattr(type(core.engine._codec), what, NoMemory())
            elif what == "take_messages":
                core.engine.take_messages = NoMemory()
            else:
                patch.setattr(type(core.reader._inbox), what, NoMemory())
            await peer.send_frame(TEXT, b"lost")
            await peer.send_frame(TEXT, b"behind")
            await anyio.sleep(1)
        assert await closed_with(connection) == CloseReason(
            1006, "receiving failed: MemoryError"
        )
        await connection.wait_closed()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is MemoryError


async def receive_large(
    receive_into: Callable[[SocketTransport, memoryview], int], message: bytes
) -> tuple[str | bytes, str | bytes]:
    """Send a message both ways at once; return what is received, instead of an error.

    :param receive_into: stands in for the method of the transport

    """
    found: dict[bool, str | bytes] = {}

    async def receive(end: WebSocketConnection) -> None:
        try:
            found[end.is_client] = await end.get_message()
        except (ConnectionClosed, MemoryError) as exc:
            found[end.is_client] = repr(exc)

    async def send(end: WebSocketConnection) -> None:
        with suppress(ConnectionClosed):
            await end.send_message(message)

    async with linked_by_sockets(max_message_size=len(message)) as ends:
        for end in ends:
            transport = end._core.transport
            assert isinstance(transport, SocketTransport)
            transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SocketTransport, "receive_into", receive_into)
            async with anyio.create_task_group() as tasks:
                for end in ends:
                    tasks.start_soon(receive, end)
                await anyio.wait_all_tasks_blocked()
                for end in ends:
                    tasks.start_soon(send, end)
    return found[False], found[True]


async def test_a_large_message_is_received_in_its_place() -> None:
    message = bytes(range(256)) * 12_000
    sizes: dict[bool, int] = {False: 0, True: 0}
    receive_into = SocketTransport.receive_into

    def receive(transport: SocketTransport, place: memoryview) -> int:
        size = receive_into(transport, place)
        sizes[len(place) > BLOCK] += size  # pieces that are unmasked are short
        return size

    assert await receive_large(receive, message) == (message, message)
    assert sizes[True]
    assert sizes[False]


@pytest.mark.parametrize("error", [MemoryError, TransportLost])
async def test_G10_F7_no_more_of_a_large_message(error: type[Exception]) -> None:
    def fail(transport: SocketTransport, place: memoryview) -> NoReturn:
        raise error

    for found in await receive_large(fail, bytes(3_000_000)):
        if error is MemoryError:
            assert found == "MemoryError()"
        else:
            assert "1006" in str(found)


async def test_F12_how_much_is_decoded_when_the_stream_is_lost(opener: Opener) -> None:
    # Nobody else can run meanwhile. The rest is decoded when it is asked for.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        core = connection._core
        close = peer.frame(CLOSE, close_payload(4000))
        core.engine.receive_data(peer.frame(PONG) * 2 * LAST_EVENTS + close)
        core.reader.decode_last()
        left = len(core.engine._codec._buffer) - core.engine._codec._offset  # type: ignore[attr-defined]
        decoded = 2 * LAST_EVENTS - left // len(peer.frame(PONG))
        assert LIMIT < decoded <= LAST_EVENTS
        assert connection.closed is None
        assert await closed_with(connection) == CloseReason(4000, None)
        tasks.cancel_scope.cancel()
