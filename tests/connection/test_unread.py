"""What is read when the stream is lost; see also ``test_last_words``."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyio_websocket import ConnectionClosed
from anyio_websocket._connection._unread import (
    MAX_READS,
    READ_SIZE,
    cancel_later,
    read_unread,
)
from anyio_websocket._protocol import Engine
from anyio_websocket._transport import SocketTransport

from ..support.frames import TEXT
from ..support.peer import Opener, mangled
from ..support.streams import failing


async def test_E13_all_that_is_there_is_read() -> None:
    # UNIX sockets: what one end sends is at the other in the same moment.
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    transport = SocketTransport(ours)
    with theirs:
        assert read_unread(transport) == b""
        theirs.sendall(b"x" * 150_000)
        assert read_unread(transport) == b"x" * 150_000
        theirs.sendall(b"last")
    assert read_unread(transport) == b"last"
    await transport.abort()
    assert read_unread(transport) == b""  # an error is the end
    assert MAX_READS * READ_SIZE > 6 * 2**20  # what Linux lets a socket store


async def test_E13_an_attempt_to_receive_ends() -> None:
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_later, scope)
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.virtual_time
async def test_E7_every_receiver_learns_of_the_end_while_a_sender_reads_what_is_left(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks)

        async def receive() -> None:
            for _ in range(3):  # it calls again before the other task has run
                with pytest.raises(ConnectionClosed):
                    await ws.get_message()

        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await ws.send_message(bytes(100_000))

        with anyio.fail_after(1):
            async with anyio.create_task_group() as users:
                users.start_soon(receive)
                users.start_soon(receive)
                users.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                await peer.stream.aclose()
                await ws.aclose()


@pytest.mark.parametrize("gives_up", [False, True])
async def test_E13_F1_F3_what_a_sender_has_read_comes_first_and_is_not_lost(
    opener: Opener, gives_up: bool
) -> None:
    received = anyio.Event()

    async with anyio.create_task_group() as tasks:
        # So that nothing is read before the sender or the receiver does.
        ws, peer, stream = await opener(tasks, message_queue_size=0)
        messages = [mangled(peer, TEXT, text) for text in (b"one", b"two")]

        async def receive(max_bytes: int = 65_536) -> bytes:
            if not messages:
                return await type(stream).receive(stream, max_bytes)
            if not received.is_set():
                await checkpoint()
                received.set()
            return messages.pop(0)  # the second without waiting

        stream.receive = receive  # type: ignore[method-assign]
        stream.before_send = failing(anyio.BrokenResourceError())
        sending = anyio.CancelScope()

        async def send() -> None:
            with sending, pytest.raises(ConnectionClosed):
                await ws.send_message("")

        with anyio.fail_after(5):
            async with anyio.create_task_group() as users:
                users.start_soon(send)
                # Before the sender can go on, which has received the first message.
                await received.wait()
                if gives_up:
                    sending.cancel()
                assert await ws.get_message() == "one"
                if not gives_up:
                    assert await ws.get_message() == "two"
        assert sending.cancelled_caught == gives_up
        await peer.stream.aclose()
        await ws.aclose()


async def test_E13_G10_an_error_in_what_a_sender_has_read_comes_as_it_is(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(self: Engine, data: bytes) -> None:
        raise MemoryError

    async with anyio.create_task_group() as tasks:
        ws, peer, stream = await opener(tasks, message_queue_size=0)
        await peer.stream.send(mangled(peer, TEXT, b"unread"))
        stream.before_send = failing(anyio.BrokenResourceError())
        monkeypatch.setattr(Engine, "receive_data", no_memory)
        with pytest.raises(MemoryError):
            await ws.send_message("")
        assert ws.closed is not None
        assert ws.closed.reason == "receiving failed: MemoryError"
        await ws.aclose()
