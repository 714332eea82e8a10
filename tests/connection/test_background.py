"""Reading in the background, while the application does not ask for messages."""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason
from anyio_websocket._connection._background import TICK, BackgroundTask
from anyio_websocket._settings import ConnectionSettings
from anyio_websocket.testing import Frame

from ..support.frames import CLOSE, PING, PONG, TEXT, close_payload
from ..support.peer import (
    Opener,
    closed_with,
)
from ..support.watched import StubConnection

pytestmark = pytest.mark.virtual_time


async def test_pings_are_answered_while_no_task_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_frame(TEXT, b"message")
        await peer.send_frame(PING, b"alive?")
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"alive?")
        assert await connection.get_message() == "message"
        tasks.cancel_scope.cancel()


async def test_a_close_is_noticed_while_no_task_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_frame(TEXT, b"message")
        await peer.send_close(4000)
        with anyio.fail_after(4):
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
            await connection.wait_closed()
        assert connection.closed == CloseReason(4000, None)
        assert await connection.get_message() == "message"
        assert await closed_with(connection) == CloseReason(4000, None)
        await connection.wait_closed()


@pytest.mark.parametrize("size", [0, 1, 3])
async def test_F5_reading_stops_when_the_queue_is_full(
    opener: Opener, size: int
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=size)
        await peer.stream.send(peer.frame(TEXT, b"x" * 10_000) * 3)
        await anyio.sleep(1)
        with anyio.move_on_after(1) as scope:  # more than the streams hold
            for _ in range(30):
                await peer.send_frame(TEXT, b"x" * 10_000)
        assert scope.cancelled_caught
        for _ in range(3):
            assert await connection.get_message() == "x" * 10_000
        tasks.cancel_scope.cancel()


async def test_background_reading_goes_on_when_a_slot_is_free(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=0)
        await peer.stream.send(peer.frame(TEXT, b"1") + peer.frame(TEXT, b"2"))
        await peer.send_frame(PING, b"behind")
        await anyio.sleep(1)
        assert await connection.get_message() == "1"
        with pytest.raises(TimeoutError), anyio.fail_after(1):
            await peer.receive_frame()  # "2" has taken the slot
        assert await connection.get_message() == "2"
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"behind")
        tasks.cancel_scope.cancel()


async def test_background_reading_ends_when_a_task_reads(opener: Opener) -> None:
    # It waits in receive(); a task that asks for a message gets the next one, and
    # reads by itself from then on.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await anyio.sleep(1)
        for i in range(3):
            await peer.send_frame(TEXT, b"%d" % i)
            assert await connection.get_message() == str(i)
        await anyio.sleep(1)
        await peer.send_frame(PING)
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_background_reading_goes_on_after_it_handed_over_a_message(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await anyio.sleep(1)  # seconds; the background task reads by then
        await peer.send_frame(TEXT, b"1")
        assert await connection.get_message() == "1"  # waits, and never reads itself
        await peer.send_frame(PING)
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_background_reading_begins_again_after_a_task_has_waited_long(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def send_later() -> None:
            await anyio.sleep(1)
            await peer.send_frame(TEXT, b"1")

        tasks.start_soon(send_later)
        assert await connection.get_message() == "1"  # reads by itself, over many ticks
        await peer.send_frame(PING)
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_background_reading_begins_again_after_a_task_took_over(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=1)
        await peer.send_frame(TEXT, b"1")
        await anyio.sleep(1)  # seconds; then the queue is full, and reading stops

        async def send_later() -> None:
            await anyio.sleep(0.05)
            await peer.send_frame(TEXT, b"2")

        tasks.start_soon(send_later)
        assert await connection.get_message() == "1"
        assert await connection.get_message() == "2"  # reads before it could go on
        await peer.send_frame(PING)
        with anyio.fail_after(1):
            assert await peer.receive_frame() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_unlimited_queue(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, message_queue_size=math.inf, max_message_size=math.inf
        )
        for i in range(100):
            await peer.send_frame(TEXT, b"%d" % i)
        await anyio.sleep(1)
        assert [await connection.get_message() for _ in range(100)] == [
            str(i) for i in range(100)
        ]
        tasks.cancel_scope.cancel()


async def test_the_task_ends_with_its_connection(opener: Opener) -> None:
    # It sleeps then, and there is no keepalive that would wake it.
    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            _, peer, _ = await opener(tasks, ping_interval=None)
            await anyio.sleep(0.5)
            await peer.send_close(1000)
            await peer.receive_frame()
            await peer.stream.aclose()


class Unread(StubConnection):
    """A connection that no task reads; counts how often one was started."""

    def __init__(self) -> None:
        self.reads = 0

    def is_being_read(self) -> bool:
        return False

    async def read_in_background(self) -> bool:
        self.reads += 1
        return False


async def test_E18_each_connection_on_the_watchlist_is_read_once() -> None:
    async with anyio.create_task_group() as tasks:
        background = BackgroundTask(tasks, ConnectionSettings())
        one, later, busy = Unread(), Unread(), Unread()
        for connection in (one, later, busy):
            background.add(connection)
        background.watch(one)
        await anyio.sleep(TICK / 2)
        background.watch(later)  # the check of the first one comes soon
        busy.is_read_in_background = True
        background.watch(busy)
        await anyio.sleep(3 * TICK)
        assert [connection.reads for connection in (one, later, busy)] == [1, 1, 0]
        tasks.cancel_scope.cancel()


async def test_the_task_ends_with_the_last_release() -> None:
    with anyio.fail_after(1):
        async with anyio.create_task_group() as tasks:
            background = BackgroundTask(tasks, ConnectionSettings())
            background.retain()
            background.retain()
            await anyio.sleep(0.1)
            background.release()
            await anyio.sleep(0.1)
            assert background._running
            background.release()
    assert not background._running


@pytest.mark.parametrize("size", [0, 1, 16, math.inf])
async def test_E17_how_far_reading_goes_on(opener: Opener, size: float) -> None:
    waiting = int(min(size + 1, 2000))  # messages
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=size)
        frames = b"".join(peer.frame(TEXT, b"%d" % i) for i in range(waiting))
        await peer.stream.send(frames + peer.frame(PING, b"p") * (size == math.inf))
        if size == math.inf:  # with a number, nothing is read behind the last message
            with anyio.fail_after(5):
                assert await peer.receive_frame() == Frame(PONG, b"p")
        await anyio.sleep(5)
        assert len(connection._core.reader._inbox.messages) == waiting
        assert [await connection.get_message() for _ in range(waiting)] == [
            str(i) for i in range(waiting)
        ]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("size", [0, 1, 16])
async def test_E17_a_close_behind_so_many_messages_is_seen(
    opener: Opener, size: int
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=size)
        await peer.stream.send(peer.frame(TEXT, b"x") * size)
        await peer.send_frame(PING, b"p")
        await peer.send_close(4000)
        with anyio.fail_after(5):
            assert await peer.receive_frame() == Frame(PONG, b"p")
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
        assert [await connection.get_message() for _ in range(size)] == ["x"] * size
        await peer.stream.aclose()
        assert await closed_with(connection) == CloseReason(4000, None)


async def test_E17_short_messages_fill_the_memory(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        with anyio.move_on_after(5):
            while True:
                await peer.stream.send(peer.frame(TEXT, b"xx") * 1000)
        count = len(connection._core.reader._inbox.messages)
        assert 15_000 < count < 25_000  # by the size of a str, which differs
        assert connection.closed is None
        tasks.cancel_scope.cancel()
