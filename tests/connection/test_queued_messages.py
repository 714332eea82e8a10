"""Messages of broadcasts among those that tasks send, and at the end."""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import ConnectionClosed, WebSocketConnection, broadcast
from anyio_websocket._connection._sent_fragments import FRAGMENT_SIZE
from anyio_websocket._protocol import PerMessageDeflate

from ..support.crowds import connecting, frames_until_idle
from ..support.frames import CLOSE, PING
from ..support.peer import Opener, linked_by_sockets, over_socket
from ..support.sources import Source

LARGE = "x" * 100_000  # more than the socket takes


@asynccontextmanager
async def linked(
    **options: Any,
) -> AsyncGenerator[tuple[WebSocketConnection, WebSocketConnection]]:
    async with linked_by_sockets(ping_interval=None, **options) as (client, server):
        yield server, client


def cast(connection: WebSocketConnection, text: str, **options: Any) -> None:
    """Broadcast to one connection, which is never slow."""
    assert broadcast([connection], text, limit=math.inf, **options).sent == 1


@pytest.mark.parametrize("compression", [False, True])
async def test_messages_of_a_task_keep_their_order(compression: bool) -> None:
    # With compression, each of these is compressed with the context of those before.
    async with linked(compression=compression) as (ours, theirs):

        async def send_all() -> None:
            cast(ours, "first", compress=True)
            await ours.send_message(LARGE * compression_factor)
            cast(ours, "third", compress=True)
            cast(ours, LARGE * compression_factor, compress=True)
            cast(ours, "fifth", compress=True)
            await ours.send_message("sixth")
            await ours.send_messages(["seventh", "eighth"])
            cast(ours, "ninth", compress=True)

        compression_factor = 10 if compression else 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            found = [await theirs.get_message() for _ in range(9)]
        large = LARGE * compression_factor
        first = ["first", large, "third", large, "fifth", "sixth"]
        assert found == [*first, "seventh", "eighth", "ninth"]


async def test_a_task_that_waits_is_overtaken_and_not_kept() -> None:
    async with connecting() as connect, anyio.create_task_group() as tasks:
        ours, peer = connect()
        tasks.start_soon(ours.send_message, LARGE)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ours.send_message, "waits")
        await anyio.wait_all_tasks_blocked()
        cast(ours, "broadcast")
        found = [frame.payload for frame in await frames_until_idle(peer)]
        assert found == [LARGE.encode(), b"broadcast", b"waits"]
        # However fast broadcasts follow each other, a sender gets its turn.
        cast(ours, LARGE)
        is_sent = anyio.Event()

        async def send() -> None:
            await ours.send_message("at last")
            is_sent.set()

        tasks.start_soon(send)
        data = bytearray()
        rounds = 0
        while not is_sent.is_set():
            rounds += 1
            assert rounds < 500
            await anyio.lowlevel.checkpoint()
            while not broadcast([ours], LARGE[:1000], limit=20_000).slow:
                pass
            with suppress(BlockingIOError):
                data += peer.recv(4000)
        assert b"at last" in data


async def test_a_waiting_task_that_is_cancelled_leaves_the_queue_to_a_job() -> None:
    async with connecting() as connect, anyio.create_task_group() as tasks:
        ours, peer = connect()
        lock = ours._core.outbox._get_lock()
        await lock.acquire()
        scope = anyio.CancelScope()

        async def send() -> None:
            with scope:
                await ours.send_message("never")

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        # All in the same pass: the task is handed the lock, and is cancelled.
        cast(ours, "queued")
        lock.release()
        scope.cancel()
        await anyio.lowlevel.checkpoint()
        await ours.send_message("after it")
        found = [frame.payload for frame in await frames_until_idle(peer)]
        assert found == [b"queued", b"after it"]


@pytest.mark.virtual_time
async def test_it_waits_for_the_end_of_a_message_in_fragments(opener: Opener) -> None:
    full = b"f" * FRAGMENT_SIZE
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        for _ in range(2):
            source = Source()
            tasks.start_soon(connection.send_message, source)
            await anyio.wait_all_tasks_blocked()
            cast(connection, "before it begins")
            assert (await peer.receive_frame()).payload == b"before it begins"
            source.put(full)
            assert (await peer.receive_frame()).fin is False
            tasks.start_soon(connection.send_message, "behind it")
            await anyio.wait_all_tasks_blocked()
            cast(connection, "one")
            cast(connection, "two")
            await peer.send_frame(PING, b"ping")
            assert (await peer.receive_frame()).payload == b"ping"
            source.put(b"end")
            source.end()
            for payload in (b"end", b"one", b"two", b"behind it"):
                assert (await peer.receive_frame()).payload == payload
        # A message that is not finished: what waits for its end is dropped.
        with anyio.CancelScope() as scope:
            tasks.start_soon(connection.send_message, source := Source())
            source.put(full)
            assert (await peer.receive_frame()).fin is False
            cast(connection, "dropped")
            scope.cancel()
        tasks.start_soon(connection.aclose, 3000)
        assert (await peer.receive_frame()).opcode == CLOSE
        tasks.cancel_scope.cancel()


async def test_the_last_fragment_is_being_written() -> None:
    async with linked() as (ours, theirs), anyio.create_task_group() as tasks:
        source = Source()
        tasks.start_soon(ours.send_message, source)
        source.put(b"f" * FRAGMENT_SIZE, LARGE.encode())
        source.end()
        await anyio.wait_all_tasks_blocked()
        cast(ours, "next")
        assert len(await theirs.get_message()) == FRAGMENT_SIZE + len(LARGE)
        assert await theirs.get_message() == "next"


@pytest.mark.parametrize("waits", [False, True])
async def test_closing_sends_it_first(waits: bool) -> None:
    async with linked() as (ours, theirs), anyio.create_task_group() as tasks:
        cast(ours, LARGE)
        if waits:
            await anyio.wait_all_tasks_blocked()
        cast(ours, "last")
        tasks.start_soon(ours.aclose, 3000)
        assert [message async for message in theirs_messages(theirs)] == [LARGE, "last"]
        assert theirs.closed is not None
        assert theirs.closed.code == 3000
        with pytest.raises(ConnectionClosed):
            await ours.send_message("too late")


async def theirs_messages(theirs: WebSocketConnection) -> AsyncGenerator[str | bytes]:
    while True:
        try:
            yield await theirs.get_message()
        except ConnectionClosed:
            return


async def test_an_abort_writes_what_it_can() -> None:
    async with linked() as (ours, theirs):
        # It waits for a message in fragments that ends in this pass, say.
        ours._core.outbox.mid_message = True
        cast(ours, "last")
        ours._core.outbox.mid_message = False
        await ours._core.abort()
        assert await theirs.get_message() == "last"


async def test_a_reply_to_a_close_goes_behind_it() -> None:
    async with linked() as (ours, theirs), anyio.create_task_group() as tasks:
        cast(ours, LARGE)
        cast(ours, "last")
        tasks.start_soon(theirs.aclose)
        await ours.wait_closed()
        assert ours.closed is not None
        assert ours.closed.code == 1000


async def test_frames_that_cannot_be_made_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.ERROR)
    async with anyio.create_task_group() as tasks:
        one, other = socket.socketpair()
        with other:
            ours = over_socket(
                *(one, tasks, PerMessageDeflate()), is_client=False, ping_interval=None
            )

            def fail(*args: object, **kwargs: object) -> bytes:
                raise MemoryError

            lock = ours._core.outbox._get_lock()
            await lock.acquire()
            monkeypatch.setattr(type(ours._core.engine._codec), "frame_message", fail)
            cast(ours, "text", compress=True)
            ours._core.outbox._unlock(lock)  # writes it, as nobody else waits
            with pytest.raises(ConnectionClosed, match="sending failed: MemoryError"):
                await ours.get_message()
            await ours.wait_closed()
            assert other.recv(100) == b""
    assert caplog.records


async def test_the_peer_of_a_queue_is_lost() -> None:
    async with linked() as (ours, theirs):
        lock = ours._core.outbox._get_lock()
        await lock.acquire()
        cast(ours, "text")
        await theirs._core.abort()
        ours._core.outbox._unlock(lock)
        with pytest.raises(ConnectionClosed, match="1006"):
            await ours.send_message("text")
        await ours.wait_closed()
