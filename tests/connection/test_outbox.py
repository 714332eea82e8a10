"""The outbox: what goes out before what, and senders that are cancelled."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed
from anyio_websocket._connection._background import BackgroundTask
from anyio_websocket._connection._close_state import CloseState
from anyio_websocket._connection._fairness import LIMIT, FairnessBudget
from anyio_websocket._connection._joined_frames import MAX_SIZE
from anyio_websocket._connection._outbox import (
    QUICK_REPLIES,
    Outbox,
)
from anyio_websocket._settings import ConnectionSettings
from anyio_websocket._transport._streams import transport_of
from anyio_websocket.testing import Frame, MemoryStream, memory_stream_pair

from ..support.frames import BINARY, CLOSE, TEXT, close_payload
from ..support.peer import (
    Opener,
    linked_by_sockets,
)
from ..support.sockets import pair, read, reset
from ..support.streams import failing
from ..support.stretch import calls_until_cancelled, set_max_stretch
from ..support.watched import StubConnection


def same(frame: bytes) -> bytes:
    return frame


async def send(box: Outbox, frame: Callable[[bytes], bytes], payload: bytes) -> None:
    """Send a message as a connection does."""
    if (rest := box.start_send(frame, payload)) is not None:
        await rest


def note_received(box: Outbox) -> None:
    """Do what a reader does when it has waited for something and received it."""
    box.reply_due = True
    box.last_yield.time = time.monotonic()


def outbox(
    stream: MemoryStream, background: BackgroundTask
) -> tuple[Outbox, CloseState]:
    transport = transport_of(stream)
    state = CloseState(transport, StubConnection())
    return Outbox(transport, state, background, FairnessBudget()), state


async def test_a_pong_goes_before_the_next_message() -> None:
    # Whichever gets the lock first, the sender or the job that writes Pongs.
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        box, _ = outbox(
            ours, BackgroundTask(tasks, ConnectionSettings())
        )  # which runs no job before it starts
        box.send_pong(b"old pong, ")
        box.send_pong(b"pong, ")
        await send(box, same, b"message")
        assert not box.has_pong
        assert await theirs.receive() == b"pong, message"


async def test_E3_a_flood_of_pings_makes_one_job() -> None:
    ours, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        background = BackgroundTask(tasks, ConnectionSettings())
        box, _ = outbox(ours, background)
        for _ in range(3):
            box.send_pong(b"pong")
        assert len(background._jobs) == 1


async def test_nothing_goes_after_a_close() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        box, state = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        box.send_pong(b"pong, ")
        box.queue_close(b"close")
        state.begin(CloseReason(1000, None), by_us=True)
        with pytest.raises(ConnectionClosed):
            await send(box, same, b"message")
        await box.flush()
        assert await theirs.receive() == b"pong, close"


async def test_nothing_goes_out_once_it_is_over() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        box, state = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        await state.abort()
        box.send_pong(b"pong")
        await box.flush()
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()


async def test_a_message_that_waits_longer_than_others() -> None:
    # A job that is started before the background task runs.
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        background = BackgroundTask(tasks, ConnectionSettings())
        background.retain()
        box, _ = outbox(ours, background)
        box.send_pong(b"pong")
        with anyio.fail_after(5):
            assert await theirs.receive() == b"pong"
        background.release()


async def test_a_stream_has_no_next_pass() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        box, _ = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        box.more_expected = True
        await send(box, same, b"message")
        assert await theirs.receive() == b"message"


async def test_F2_a_cancelled_task_sends_no_reply_over_a_stream() -> None:
    # Every write waits there, and one that is cancelled costs the connection.
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        box, state = outbox(ours, BackgroundTask(tasks, ConnectionSettings()))
        for box.reply_due, box.more_expected in (
            (True, False),
            (True, True),
            (False, True),
        ):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await send(box, same, b"answer")
            assert scope.cancelled_caught
            assert state.reason is None
        await send(box, same, b"message")
        assert await theirs.receive() == b"message"


# -- over sockets of our own, which take what they can at once -------------------


@asynccontextmanager
async def box_and_peer() -> AsyncGenerator[tuple[Outbox, CloseState, socket.socket]]:
    """An outbox over a socket with small buffers, and the socket at its other end."""
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        background = BackgroundTask(tasks, ConnectionSettings())
        background.retain()
        state = CloseState(transport, StubConnection())
        box = Outbox(transport, state, background, FairnessBudget())
        box.more_expected = True
        note_received(box)
        box._quick_replies_needed = 0
        with anyio.fail_after(10):
            yield box, state, theirs
        background.release()


async def test_a_batch_leaves_with_what_is_written() -> None:
    async with box_and_peer() as (box, _, theirs):
        await send(box, same, b"held, ")
        await send(box, same, b"held too, ")
        box.send_pong(b"pong")
        assert await read(theirs, 20) == b"held, held too, pong"


async def test_F9_a_burst_of_quick_replies_is_collected() -> None:
    async with box_and_peer() as (box, _, theirs):
        box._quick_replies_needed = QUICK_REPLIES
        note_received(box)
        for i in range(QUICK_REPLIES + 3):
            await send(box, same, b"%d" % i)
        assert len(box._batch) == 3
        assert await read(theirs, QUICK_REPLIES + 3) == b"012345"


async def test_F9_a_slow_reply_ends_the_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    async with box_and_peer() as (box, _, theirs):
        await send(box, same, b"quick, ")
        assert box._batch
        set_max_stretch(monkeypatch, 0)  # as if it took longer
        await send(box, same, b"slow, ")
        assert not box._batch
        set_max_stretch(monkeypatch, 100)
        await send(box, same, b"quick")
        assert not box._batch  # it has to show again that it keeps up
        theirs.setblocking(True)
        assert theirs.recv(100) == b"quick, slow, quick"


async def test_F9_what_is_sent_unasked_leaves_at_once() -> None:
    async with box_and_peer() as (box, _, theirs):
        box.more_expected = False
        for i in range(20):
            await send(box, same, b"x")
            assert theirs.recv(100) == b"x", i


async def test_a_cancelled_task_sends_nothing_but_a_reply() -> None:
    async with box_and_peer() as (box, _, theirs):
        box.more_expected = False
        box.reply_due = False
        with anyio.CancelScope() as scope:
            scope.cancel()
            await send(box, same, b"unasked")
        assert scope.cancelled_caught
        note_received(box)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await send(box, same, b"answer")
            await send(box, same, b"unasked")
        assert scope.cancelled_caught
        assert await read(theirs, 6) == b"answer"


async def test_F11_a_slow_reply_looks_for_a_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with box_and_peer() as (box, state, _):
        set_max_stretch(monkeypatch, 0)  # as if all took longer
        for _ in range(3):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await send(box, same, b"answer")
            assert scope.cancelled_caught
        assert state.reason is None


async def test_F11_a_task_that_computes_and_sends_lets_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Only so can the event loop see that a deadline has passed.
    async with box_and_peer() as (box, _, theirs):
        set_max_stretch(monkeypatch, 0)  # as if it computed before each call
        for call in (
            partial(send, box, same, b"x"),
            partial(box.send_all, same, [b"x"]),
        ):
            sent = await calls_until_cancelled(call)
            assert sent <= 2
            # What was sent is with the kernel, and its sender was told so.
            assert theirs.recv(100) == b"x" * sent
        set_max_stretch(monkeypatch, 100)
        note_received(box)
        await send(box, same, b"quick")


async def test_a_batch_is_bounded() -> None:
    async with box_and_peer() as (box, _, theirs):
        half = bytes(MAX_SIZE // 2)
        with anyio.move_on_after(0.05) as scope:
            await send(box, same, half)
            await send(box, same, half)
            assert not scope.cancel_called
            await send(box, same, b"x")  # is one too much, so it has to wait for all
        assert scope.cancelled_caught
        assert await read(theirs, MAX_SIZE + 1) == half + half + b"x"


async def test_what_waited_for_the_lock_is_written_at_once() -> None:
    async with box_and_peer() as (box, _, theirs), anyio.create_task_group() as tasks:
        box.more_expected = False
        async with box._get_lock():
            tasks.start_soon(send, box, same, b"message")
            await anyio.wait_all_tasks_blocked()
        assert await read(theirs, 7) == b"message"


async def test_a_batch_that_is_not_taken_at_once() -> None:
    async with box_and_peer() as (box, _, theirs):
        await send(box, same, bytes(MAX_SIZE))
        box.end_batch()
        assert await read(theirs, MAX_SIZE) == bytes(MAX_SIZE)


async def test_a_batch_when_the_connection_broke() -> None:
    async with box_and_peer() as (box, state, theirs):
        await send(box, same, b"held")
        reset(theirs)
        box.end_batch()
        assert state.reason == CloseReason(1006, None)
        assert isinstance(state.cause, OSError)


async def test_a_batch_when_the_connection_is_closed() -> None:
    async with box_and_peer() as (box, state, theirs):
        await send(box, same, b"held")
        await state.abort()
        box.end_batch()
        await anyio.wait_readable(theirs)
        assert theirs.recv(10) == b""


@pytest.mark.virtual_time
async def test_F4_a_sender_that_gives_way_keeps_its_place() -> None:
    # After so many sends that did not wait the others have a turn, and one of them may
    # send as well.
    async with linked_by_sockets(message_queue_size=math.inf) as (client, server):
        for _ in range(LIMIT):
            await client.send_message("one of many")
        called: list[str] = []

        async def send(name: str) -> None:
            called.append(name)
            await client.send_message(name)

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(send, name)
        for _ in range(LIMIT):
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
        assert await peer.receive_frame() == Frame(BINARY, b"x" * 5000)
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.send_eof()
        assert await peer.receive_all() == b""
    assert sorted(outcome) == ["closed", "closed", "sent"]


@pytest.mark.virtual_time
async def test_F2_cancelled_while_another_task_sends(opener: Opener) -> None:
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
        assert await peer.receive_frame() == Frame(BINARY, b"x" * 5000)
        await connection.send_message("sent")
        assert await peer.receive_frame() == Frame(TEXT, b"sent")
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


async def test_F8_a_task_that_only_sends_lets_others_run() -> None:
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            await anyio.lowlevel.checkpoint()
            others += 1

    async with pair() as (transport, _), anyio.create_task_group() as tasks:
        background = BackgroundTask(tasks, ConnectionSettings())
        background.retain()
        state = CloseState(transport, StubConnection())
        box = Outbox(transport, state, background, FairnessBudget())
        tasks.start_soon(count)
        for _ in range(10 * LIMIT):
            await send(box, same, b"x")
            assert not transport.unsent  # so nothing else makes the sender wait
        background.release()
        tasks.cancel_scope.cancel()
    assert others >= 6


def no_memory(*args: object) -> NoReturn:
    raise MemoryError


async def test_G10_a_quick_reply_that_cannot_be_framed() -> None:
    async with box_and_peer() as (box, state, _):
        with pytest.raises(MemoryError):
            await send(box, no_memory, b"x")
        assert state.reason == CloseReason(1006, "sending failed: MemoryError")


async def test_G10_a_message_whose_rest_cannot_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with box_and_peer() as (box, state, _):
        monkeypatch.setattr(type(box._transport), "flush", no_memory)
        with pytest.raises(MemoryError):
            await send(box, same, bytes(2**20))
        assert state.reason == CloseReason(1006, "sending failed: MemoryError")
        assert not box._is_locked()
