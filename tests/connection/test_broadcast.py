"""One message to many connections."""

from __future__ import annotations

import logging
import math
import socket
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from anyio_websocket import (
    BroadcastReport,
    ConnectionClosed,
    PerMessageDeflate,
    WebSocketConnection,
    broadcast,
    broadcast_with_checkpoints,
)
from anyio_websocket._connection._fairness import LIMIT
from anyio_websocket._protocol._deflate import Deflater
from anyio_websocket._protocol._frame_writer import FrameWriter
from anyio_websocket.testing import Frame

from ..support.crowds import connecting, frames_at, frames_until_idle
from ..support.frames import BINARY, PING, TEXT, frame
from ..support.peer import Opener, over_socket
from ..support.sockets import reset

KILOBYTE = bytes(1000)


def counts(report: BroadcastReport) -> tuple[int, int, int]:
    return report.sent, report.skipped, report.disconnected


def fill(connection: WebSocketConnection, limit: int = 10_000) -> int:
    """Broadcast until the peer is slow; return how many messages were sent."""
    sent = 0
    while True:
        report = broadcast([connection], b"%04d" % sent + KILOBYTE, limit=limit)
        if report.slow:
            assert report == BroadcastReport(0, 1, 0, (connection,))
            return sent
        assert report == BroadcastReport(1, 0, 0, ())
        sent += 1


async def test_a_stuck_peer_delays_nobody_and_takes_bounded_memory() -> None:
    async with connecting() as connect:
        stuck, _ = connect()
        others = [connect() for _ in range(10)]
        everyone = {stuck, *(connection for connection, _ in others)}
        for _ in range(30):
            report = broadcast(everyone, KILOBYTE, limit=10_000)
            # No other task has run, and they have it.
            for _, peer in others:
                assert frames_at(peer) == [Frame(BINARY, KILOBYTE)]
            assert stuck._core.outbox.unsent_bytes() <= 10_000
        assert report == BroadcastReport(10, 1, 0, (stuck,))
        assert stuck.closed is None
        report = broadcast(everyone, "text", slow="disconnect", limit=10_000)
        assert report.slow == ()  # it is short, and there is room for it
        report = broadcast(everyone, KILOBYTE, slow="disconnect", limit=10_000)
        assert report == BroadcastReport(10, 0, 1, (stuck,))
        with pytest.raises(ConnectionClosed, match=r"1006.*too slow: \d+ bytes waited"):
            await stuck.get_message()
        await stuck.wait_closed()
        assert stuck._core.outbox.unsent_bytes() == 0
        assert broadcast(everyone, "more") == BroadcastReport(10, 1, 0, ())
        for _, peer in others:
            assert [found.opcode for found in frames_at(peer)] == [TEXT, BINARY, TEXT]


@pytest.mark.parametrize("is_client", [False, True])
async def test_a_peer_that_reads_again_has_all_that_was_sent(is_client: bool) -> None:
    async with connecting() as connect:
        connection, peer = connect(is_client=is_client)
        for _ in range(2):
            sent = fill(connection)
            assert sent > 5
            found = await frames_until_idle(peer)
            expected = [b"%04d" % number + KILOBYTE for number in range(sent)]
            assert [frame.payload for frame in found] == expected
            assert connection._core.outbox.unsent_bytes() == 0


async def test_what_the_limit_says() -> None:
    async with connecting() as connect:
        connection, peer = connect()
        large = bytes(100_000)
        # Nothing waits, so no message is too large.
        assert broadcast([connection], large, limit=0).sent == 1
        waiting = connection._core.outbox.unsent_bytes()
        assert 50_000 < waiting < len(large)
        assert broadcast([connection], b"", limit=0).skipped == 1
        size = len(frame(TEXT, b"ten bytes!", mask=None))
        assert broadcast([connection], "ten bytes!", limit=waiting).skipped == 1
        assert broadcast([connection], "ten bytes!", limit=waiting + size).sent == 1
        assert broadcast([connection], large, limit=math.inf).sent == 1
        found = await frames_until_idle(peer)
        assert [len(frame.payload) for frame in found] == [100_000, 10, 100_000]


async def test_a_waiting_message_is_in_memory_once() -> None:
    async with connecting() as connect:
        crowd = [connect()[0] for _ in range(3)]
        for connection in crowd:
            fill(connection)
        broadcast(crowd, KILOBYTE, limit=math.inf)
        queues = [[*connection._core.outbox._queue][-1] for connection in crowd]
        assert len({id(payload) for _, payload in queues}) == 1


NO_CONTEXT = PerMessageDeflate(
    server_no_context_takeover=True, client_no_context_takeover=True, threshold=10
)
CONTEXT = PerMessageDeflate(threshold=10)


async def test_a_frame_is_made_once_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compressed: list[bytes] = []
    compress = Deflater.compress

    def counted(self: Deflater, payload: bytes) -> bytes | None:
        compressed.append(payload)
        return compress(self, payload)

    monkeypatch.setattr(Deflater, "compress", counted)
    text = "wörld " * 10
    async with connecting() as connect, anyio.create_task_group() as tasks:
        kinds = [None, NO_CONTEXT, CONTEXT]
        sides = [(kind, is_client) for kind in kinds for is_client in (False, True)]
        pairs: list[tuple[WebSocketConnection, WebSocketConnection]] = []
        for kind, is_client in sides * 2:
            connection, peer = connect(kind, is_client=is_client)
            pairs.append(
                (
                    connection,
                    over_socket(
                        *(peer.dup(), tasks, kind),
                        is_client=not is_client,
                        ping_interval=None,
                    ),
                )
            )
        crowd = [ours for ours, _ in pairs]
        # Two servers' connections with context takeover, and four clients'.
        for compress_, times in ((None, 1), (True, 1 + 2 + 4), (False, 0)):
            compressed.clear()
            assert broadcast(crowd, text, compress=compress_).sent == len(crowd)
            assert len(compressed) == times
            for ours, theirs in pairs:
                assert await theirs.get_message() == text
                # The next message finds the compressor as the peer has it.
                await ours.send_message(text + text)
                assert await theirs.get_message() == text + text
        compressed.clear()
        assert broadcast(crowd, "short").sent == len(crowd)  # below the threshold
        assert compressed == []
        tasks.cancel_scope.cancel()


async def test_texts_bytes_and_buffers() -> None:
    async with connecting() as connect:
        connection, peer = connect()
        buffer = bytearray(b"buffer")
        assert broadcast({connection}, "wörld").sent == 1
        broadcast({connection}, b"[1]", text=True)
        broadcast({connection}, "wörld", text=False)
        broadcast([connection, connection], memoryview(buffer))
        assert frames_at(peer) == [
            Frame(TEXT, "wörld".encode()),
            Frame(TEXT, b"[1]"),
            Frame(BINARY, "wörld".encode()),
            Frame(BINARY, b"buffer"),
            Frame(BINARY, b"buffer"),
        ]
        sent = fill(connection)
        broadcast({connection}, buffer, limit=math.inf)
        buffer[:] = b"change"
        assert (await frames_until_idle(peer))[sent] == Frame(BINARY, b"buffer")


async def test_mistakes_send_nothing() -> None:
    async with connecting() as connect:
        connection, peer = connect()
        crowd: Any = {connection}
        wrong: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
            (connection, "text", {}, TypeError, "several connections, such as a set"),
            ([connection, 1], "text", {}, TypeError, "objects, not int"),
            ("text", crowd, {}, ValueError, "message must be str, bytes"),
            (crowd, ["a", "part"], {}, ValueError, "message must be str, bytes"),
            (crowd, "\ud800", {}, ValueError, "surrogates"),
            (crowd, b"\xff", {"text": True}, ValueError, "utf-8"),
            (crowd, "text", {"slow": "wait"}, ValueError, 'must be "skip" or "disc'),
            (crowd, "text", {"limit": -1}, ValueError, "limit must be zero or more"),
            (crowd, "text", {"limit": None}, TypeError, "limit must be a number"),
            (crowd, "text", {"compress": 1}, TypeError, "compress must be a bool"),
            (crowd, "text", {"text": "x"}, TypeError, "text must be a bool"),
        ]
        for connections, message, options, error, match in wrong:
            with pytest.raises(error, match=match):
                broadcast(connections, message, **options)
            with pytest.raises(error, match=match):
                await broadcast_with_checkpoints(connections, message, **options)
        with pytest.raises(RuntimeError, match="another thread"):
            await anyio.to_thread.run_sync(broadcast, crowd, "text")
        assert frames_at(peer) == []

        def in_thread() -> BroadcastReport:
            return anyio.from_thread.run_sync(broadcast, crowd, "text")

        assert (await anyio.to_thread.run_sync(in_thread)).sent == 1
        assert counts(broadcast((), "text")) == (0, 0, 0)


@pytest.mark.virtual_time
async def test_over_streams(opener: Opener) -> None:
    # A write may wait there: a job of the background task does it.
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, capacity=3000)
        sent = fill(connection)
        assert sent == 9
        assert (await peer.receive_frame()).payload == b"0000" + KILOBYTE
        await anyio.wait_all_tasks_blocked()
        # The stream tells nothing before it has taken all of a piece.
        waiting = connection._core.outbox.unsent_bytes()
        assert 9000 < waiting <= 10_000
        assert broadcast({connection}, KILOBYTE, limit=waiting).slow
        for number in range(1, sent):
            assert (await peer.receive_frame()).payload == b"%04d" % number + KILOBYTE
        fill(connection)
        await anyio.wait_all_tasks_blocked()
        broadcast({connection}, KILOBYTE, slow="disconnect", limit=0)
        await connection.wait_closed()
        assert stream.closed


async def test_one_that_fails_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    frame_message = FrameWriter.frame_message
    async with connecting() as connect:
        failing, lost = connect(is_client=True)[0], connect()
        others = [connect() for _ in range(2)]
        writer: Any = failing._core.engine._codec

        def frame_or_fail(self: FrameWriter, *args: Any, **kwargs: Any) -> bytes:
            if self is writer:
                raise MemoryError
            return frame_message(self, *args, **kwargs)

        monkeypatch.setattr(FrameWriter, "frame_message", frame_or_fail)
        lost[1].close()
        everyone = [others[0][0], failing, lost[0], others[1][0]]
        assert broadcast(everyone, "text") == BroadcastReport(2, 2, 0, ())
        for _, peer in others:
            assert frames_at(peer) == [Frame(TEXT, b"text")]
        for connection in (failing, lost[0]):
            with pytest.raises(ConnectionClosed, match="1006"):
                await connection.get_message()
        await failing.wait_closed()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], MemoryError)


async def test_what_a_lost_peer_sent_may_change_the_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connecting() as connect:
        (lost, theirs), (other, peer) = connect(), connect()
        everyone = {lost, other}
        theirs.sendall(frame(PING, b"last"))
        reset(theirs)

        def change() -> None:
            everyone.clear()
            raise ValueError("a bug in what reads it")

        monkeypatch.setattr(type(lost._core), "before_lost", lambda _: change())
        assert counts(broadcast(everyone, "text")) == (1, 1, 0)
        assert not everyone
        assert frames_at(peer) == [Frame(TEXT, b"text")]
        await lost.wait_closed()


async def test_only_what_is_sent_counts() -> None:
    async with connecting() as connect:
        crowd = [
            connect(deflate, is_client=is_client, count_messages=True)[0]
            for deflate in (None, NO_CONTEXT, CONTEXT)
            for is_client in (False, True)
        ]
        for connection in crowd:
            sent = fill(connection)
            statistics = connection.statistics()
            assert statistics.messages_sent == sent - statistics_lag(connection)
            assert 8000 < statistics.unsent_bytes <= 10_000


def statistics_lag(connection: WebSocketConnection) -> int:
    """Return how many messages are not framed yet, as each peer's is another."""
    queue = [*connection._core.outbox._queue]
    return sum(frame is not bytes for frame, _ in queue)


def peek(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


async def test_giving_way() -> None:
    passes = 0

    async def count_passes() -> None:
        nonlocal passes
        while True:
            await anyio.lowlevel.checkpoint()
            passes += 1

    async with connecting() as connect, anyio.create_task_group() as tasks:
        connection, peer = connect()
        tasks.start_soon(count_passes)
        crowd = [connection] * (2 * LIMIT + 1)
        report = await broadcast_with_checkpoints(crowd, b"", limit=math.inf)
        assert report == BroadcastReport(len(crowd), 0, 0, ())
        assert passes >= 1
        assert len(await frames_until_idle(peer)) == len(crowd)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await broadcast_with_checkpoints((), b"")
        assert scope.cancelled_caught

        with anyio.CancelScope() as scope:

            async def cancel() -> None:
                while not peek(peer):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            tasks.start_soon(cancel)
            await broadcast_with_checkpoints(crowd, b"", limit=math.inf)
        assert scope.cancelled_caught
        assert len(await frames_until_idle(peer)) in (LIMIT, 2 * LIMIT)
        tasks.cancel_scope.cancel()
