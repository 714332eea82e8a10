"""The outbox: what goes out before what, and senders that are cancelled."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed
from anyio_websocket._connection._background import BackgroundTask
from anyio_websocket._connection._closing import Closing
from anyio_websocket._connection._outbox import ALONE, HELD, NO_GUESS, TURN, Outbox
from anyio_websocket._options import ConnectionSettings
from anyio_websocket._transport._streams import transport_of

from ..support.frames import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    close_payload,
)
from ..support.peer import (
    Opener,
    linked_by_sockets,
)
from ..support.sockets import pair, read, reset
from ..support.streams import MemoryStream, failing, stream_pair


class _Nobody:
    """Owns a closing, and does nothing about it."""

    def on_closing(self) -> None:
        pass

    def on_closed(self) -> None:
        pass


def same(frame: bytes) -> bytes:
    return frame


def outbox(stream: MemoryStream, background: BackgroundTask) -> tuple[Outbox, Closing]:
    transport = transport_of(stream)
    closing = Closing(transport, _Nobody())
    return Outbox(transport, closing, background), closing


async def test_a_pong_goes_before_the_next_message() -> None:
    # Whoever comes first to the lock, the sender or the job that writes answers.
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, _ = outbox(
            ours, BackgroundTask(tasks, ConnectionSettings())
        )  # which runs no job before it starts
        box.pong(b"old pong, ")
        box.pong(b"pong, ")
        await box.send(same, b"message")
        assert not box.has_pong
        assert await theirs.receive() == b"pong, message"


async def test_nothing_goes_after_a_close() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, closing = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        box.pong(b"pong, ")
        box.queue_close(b"close")
        closing.begin(CloseReason(1000, None), by_us=True)
        with pytest.raises(ConnectionClosed):
            await box.send(same, b"message")
        await box.flush()
        assert await theirs.receive() == b"pong, close"


async def test_nothing_goes_out_once_it_is_over() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, closing = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        await closing.abort()
        box.pong(b"pong")
        await box.flush()
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()


async def test_a_message_that_waits_longer_than_others() -> None:
    # A job of the attendant's that was asked for before there is an attendant's task.
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        background = BackgroundTask(tasks, ConnectionSettings())
        background.hold()
        box, _ = outbox(ours, background)
        box.pong(b"pong")
        with anyio.fail_after(5):
            assert await theirs.receive() == b"pong"
        background.release()


async def test_a_stream_has_no_next_pass() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, _ = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        box.hold = True
        await box.send(same, b"message")
        assert await theirs.receive() == b"message"


async def test_F2_who_is_cancelled_sends_no_answer_over_a_stream() -> None:
    # Every write waits there, and one that is cancelled costs the connection.
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, closing = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        for box.burst, box.hold in ((0, False), (0, True), (1, True)):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await box.send(same, b"answer")
            assert scope.cancelled_caught
            assert closing.reason is None
        await box.send(same, b"message")
        assert await theirs.receive() == b"message"


# -- over sockets of our own, which take what they can at once -------------------


@asynccontextmanager
async def box_and_peer() -> AsyncGenerator[tuple[Outbox, Closing, socket.socket]]:
    """An outbox over a socket with small buffers, and the socket at its other end."""
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        background = BackgroundTask(tasks, ConnectionSettings())
        background.hold()
        closing = Closing(transport, _Nobody())
        box = Outbox(transport, closing, background)
        box.hold = True
        with anyio.fail_after(10):
            yield box, closing, theirs
        background.release()


async def test_what_is_held_back_leaves_with_what_is_written() -> None:
    async with box_and_peer() as (box, _, theirs):
        await box.send(same, b"held, ")
        await box.send(same, b"held too, ")
        box.pong(b"pong")
        assert await read(theirs, 20) == b"held, held too, pong"


async def test_a_burst_is_held_back() -> None:
    async with box_and_peer() as (box, _, theirs):
        box.hold = False
        for i in range(ALONE + 3):
            await box.send(same, b"%d" % i)
        assert len(box._held) == 4  # all but the first
        assert await read(theirs, ALONE + 3) == b"01234"
        assert not box._held


async def test_who_is_cancelled_sends_nothing_but_an_answer() -> None:
    async with box_and_peer() as (box, _, theirs):
        box.hold = False
        with anyio.CancelScope() as scope:
            scope.cancel()
            await box.send(same, b"unasked")
        assert scope.cancelled_caught
        box.burst = 0  # as who has received
        with anyio.CancelScope() as scope:
            scope.cancel()
            await box.send(same, b"answer")
            await box.send(same, b"unasked")
        assert scope.cancelled_caught
        assert await read(theirs, 6) == b"answer"


async def test_who_mostly_sends_is_no_burst() -> None:
    async with box_and_peer() as (box, _, theirs):
        box.hold = False
        held = 0
        for _ in range(NO_GUESS + 2 * ALONE + 2):
            await box.send(same, b"x")
            held += len(box._held)
            assert await read(theirs, 1) == b"x"
            await anyio.sleep(0.01)
        assert held == 2  # the first guess, and the next one after a while


async def test_no_more_is_held_back_than_the_limit() -> None:
    async with box_and_peer() as (box, _, theirs):
        half = bytes(HELD // 2)
        with anyio.move_on_after(0.05) as scope:
            await box.send(same, half)
            await box.send(same, half)
            assert not scope.cancel_called
            await box.send(same, b"x")  # is one too much, so it has to wait for all
        assert scope.cancelled_caught
        assert await read(theirs, HELD + 1) == half + half + b"x"


async def test_what_waited_for_its_turn_is_written_at_once() -> None:
    async with box_and_peer() as (box, _, theirs), anyio.create_task_group() as tasks:
        box.hold = False
        async with box._the_lock():
            tasks.start_soon(box.send, same, b"message")
            await anyio.wait_all_tasks_blocked()
        assert await read(theirs, 7) == b"message"


async def test_what_was_held_back_and_does_not_fit() -> None:
    async with box_and_peer() as (box, _, theirs):
        await box.send(same, bytes(HELD))
        box.release()
        assert await read(theirs, HELD) == bytes(HELD)


async def test_what_was_held_back_when_the_connection_broke() -> None:
    async with box_and_peer() as (box, closing, theirs):
        await box.send(same, b"held")
        reset(theirs)
        box.release()
        assert closing.reason == CloseReason(1006, None)
        assert isinstance(closing.cause, OSError)


async def test_what_was_held_back_when_it_was_over() -> None:
    async with box_and_peer() as (box, closing, theirs):
        await box.send(same, b"held")
        await closing.abort()
        box.release()
        await anyio.wait_readable(theirs)
        assert theirs.recv(10) == b""


@pytest.mark.virtual_time
async def test_F4_who_gives_way_keeps_its_place() -> None:
    # After so many sends that did not wait the others have a turn, and one of them may
    # send as well.
    async with linked_by_sockets(message_queue_size=math.inf) as (client, server):
        for _ in range(TURN):
            await client.send_message("one of many")
        called: list[str] = []

        async def send(name: str) -> None:
            called.append(name)
            await client.send_message(name)

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(send, name)
        for _ in range(TURN):
            assert await server.get_message() == "one of many"
        assert [await server.get_message() for _ in called] == called


# -- of a whole connection, over a stream ----------------------------------------


@pytest.mark.virtual_time
async def test_E8_sending_and_closing_race(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, capacity=1000)
        outcome: list[str] = []

        async def send() -> None:
            try:
                await connection.send_message(b"x" * 5000)
            except ConnectionClosed:
                outcome.append("closed")
            else:
                outcome.append("sent")

        for _ in range(3):
            tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection.aclose)
        # The frame that is on its way comes whole, then the Close, then nothing.
        assert await peer.receive() == Frame(BINARY, b"x" * 5000)
        assert await peer.receive() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.send_eof()
        assert await peer.receive_all() == b""
    assert sorted(outcome) == ["closed", "closed", "sent"]


@pytest.mark.virtual_time
async def test_F2_cancelled_while_waiting_its_turn(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, capacity=1000)
        tasks.start_soon(connection.send_message, b"x" * 5000)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1) as scope:
            await connection.send_message("never sent")
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connection.send_message("never sent")
        assert await peer.receive() == Frame(BINARY, b"x" * 5000)
        await connection.send_message("sent")
        assert await peer.receive() == Frame(TEXT, b"sent")
        assert connection.closed is None
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_F3_cancelled_in_the_middle_of_a_frame(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, capacity=1000)
        with anyio.move_on_after(1) as scope:
            await connection.send_message(b"x" * 5000)
        assert scope.cancelled_caught
        assert connection.closed is not None
        assert connection.closed.code == 1006
        assert stream.closed
        with pytest.raises(ConnectionClosed):
            await connection.send_message("x")
        await connection.aclose()


@pytest.mark.virtual_time
async def test_sending_fails(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        error = OSError("the wire is cut")
        stream.before_send = failing(error)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("x")
        assert caught.value.__cause__ is error
        assert connection.closed == CloseReason(1006, None)
        await connection.aclose()
        assert stream.closed
