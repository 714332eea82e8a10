"""E4: the keepalive closes connections whose peer is gone, and no others."""

from __future__ import annotations

from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from anyio_websocket._connection._keepalive import (
    MIN_RUN_INTERVAL,
    PINGS_IN_A_ROW,
    Keepalive,
)
from anyio_websocket._settings import ConnectionSettings

from ..support.frames import BINARY, PING, PONG, TEXT
from ..support.peer import Opener, linked
from ..support.watched import StubConnection

pytestmark = pytest.mark.virtual_time

SECONDS = {"ping_interval": 20, "ping_timeout": 30}
GONE = CloseReason(1006, "the peer showed no sign of life within 30 seconds of a ping")


async def until_closed(connection: WebSocketConnection) -> float:
    """Read until the end; return when that was."""
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.get_message()
    return anyio.current_time()


async def test_E4_a_ping_every_interval(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, **SECONDS)
        assert connection.latency is None
        tasks.start_soon(until_closed, connection)
        start = anyio.current_time()
        for i in range(1, 6):
            ping = await peer.receive_frame()
            assert ping.opcode == PING
            assert anyio.current_time() - start == pytest.approx(20 * i, abs=0.5)
            await anyio.sleep(2)
            await peer.send_frame(PONG, ping.payload)
            await anyio.wait_all_tasks_blocked()
            assert connection.latency == pytest.approx(2, abs=0.1)
        tasks.cancel_scope.cancel()


async def test_E4_a_peer_that_is_gone(opener: Opener) -> None:
    # Tasks that read, wait for a Pong or send: each gets an exception.
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, **SECONDS)
        start = anyio.current_time()

        async def ping() -> None:
            with pytest.raises(ConnectionClosed) as caught:
                await connection.ping()
            assert caught.value.reason == GONE

        async def send() -> None:
            with pytest.raises(ConnectionClosed) as caught:
                await connection.send_message(bytes(100_000))
            assert caught.value.reason == GONE

        tasks.start_soon(ping)
        tasks.start_soon(send)
        assert await until_closed(connection) - start == pytest.approx(50, abs=0.5)
        assert connection.closed == GONE
        assert stream.closed


async def test_E4_a_peer_that_is_gone_while_no_task_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, **SECONDS)
        start = anyio.current_time()
        await connection.wait_closed()
        assert anyio.current_time() - start == pytest.approx(50, abs=0.5)
        assert connection.closed == GONE
        assert [frame.opcode for frame in await peer.receive_frames()] == [PING]


async def test_E4_any_byte_counts(opener: Opener) -> None:
    # A frame that is longer under way than the timeout, and no pong before its end.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, **SECONDS)
        for byte in peer.frame(BINARY, b"12345678"):
            await anyio.sleep(25)
            await peer.stream.send(bytes([byte]))
        assert await connection.get_message() == b"12345678"
        assert connection.closed is None
        tasks.cancel_scope.cancel()


async def test_E4_a_large_message_that_is_sent_slowly(opener: Opener) -> None:
    # Nothing is heard from the peer, but it takes what we send.
    big = bytes(10_000_000)
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, **SECONDS)
        tasks.start_soon(connection.send_message, big)
        size = 0
        while size < len(big):
            size += len(await peer.stream.receive(65536))
            await anyio.sleep(2)
        assert connection.closed is None
        assert anyio.current_time() > 200
        tasks.cancel_scope.cancel()


async def test_E4_an_application_that_does_not_read(opener: Opener) -> None:
    # The Pong cannot be read, because messages before it are not fetched.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=1, **SECONDS)
        for i in range(5):
            await peer.send_frame(TEXT, b"%d" % i)
        await anyio.sleep(500)
        assert connection.closed is None
        for i in range(5):
            assert await connection.get_message() == str(i)
        # From now on it is listened to, and may be judged.
        start = anyio.current_time()
        assert 30 <= await until_closed(connection) - start <= 80
        assert connection.closed == GONE


async def test_E4_a_reply_in_the_last_moment(opener: Opener) -> None:
    # Something held up the event loop, and the reply is found only now.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        connection._core.send_keepalive()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection._core.close_if_dead)
        await peer.send_frame(TEXT, b"here")
        assert await connection.get_message() == "here"
        await anyio.wait_all_tasks_blocked()
        assert connection.closed is None
        tasks.cancel_scope.cancel()


async def test_E4_a_timeout_shorter_than_any_way(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=20, ping_timeout=0.001)
        tasks.start_soon(until_closed, connection)

        async def answer() -> None:
            while True:
                ping = await peer.receive_frame()
                await peer.send_frame(PONG, ping.payload)

        tasks.start_soon(answer)
        await anyio.sleep(200)
        assert connection.closed is None
        assert connection.latency is not None
        tasks.cancel_scope.cancel()


async def test_E4_both_sides_keep_alive() -> None:
    async with linked(client=SECONDS, server=SECONDS) as (client, server):
        await anyio.sleep(1000)
        assert client.closed is None
        assert server.closed is None
        assert client.latency is not None
        assert server.latency is not None


@pytest.mark.parametrize("off", [{"ping_interval": None}, {"ping_timeout": None}])
async def test_E4_switched_off(opener: Opener, off: dict[str, None]) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, **SECONDS | off)
        await anyio.sleep(1000)
        assert connection.closed is None
        await connection.send_message("still here")
        pings = 0
        while (frame := await peer.receive_frame()).opcode == PING:
            pings += 1
        assert frame.payload == b"still here"
        assert (pings == 0) == ("ping_interval" in off)
        tasks.cancel_scope.cancel()


async def test_E4_no_ping_while_one_is_unanswered(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        _, peer, _ = await opener(tasks, ping_interval=1, ping_timeout=50)
        await anyio.sleep(40)
        ping = await peer.receive_frame()
        await peer.send_frame(PONG, ping.payload)
        assert not peer.buffer
        tasks.cancel_scope.cancel()


class Patient(StubConnection):
    """A connection that closes another one when it is pinged."""

    def __init__(self, keepalive: Keepalive) -> None:
        self._keepalive = keepalive
        self.closes: Patient | None = None
        self.pings = 0

    def send_keepalive(self) -> None:
        self.pings += 1
        if self.closes is not None:
            self._keepalive.remove(self.closes)


async def test_F8_many_pings_give_way_to_others() -> None:
    keepalive = Keepalive(ConnectionSettings(ping_interval=20))
    patients = [Patient(keepalive) for _ in range(3 * PINGS_IN_A_ROW)]
    for patient in patients:
        keepalive.add(patient)
    assert keepalive.next_run() == pytest.approx(anyio.current_time() + 20, abs=0.5)
    patients[0].closes = patients[-1]
    pinged: list[int] = []

    async def watch() -> None:
        while True:
            pinged.append(sum(patient.pings for patient in patients))
            await anyio.lowlevel.checkpoint()

    await anyio.sleep(21)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        assert await keepalive.run() == ([], [], [])
        tasks.cancel_scope.cancel()
    assert max(later - now for now, later in pairwise(pinged)) <= 2 * PINGS_IN_A_ROW
    assert [patient.pings for patient in patients] == [1] * (3 * PINGS_IN_A_ROW - 1) + [
        0
    ]


async def test_E4_many_that_are_due_share_a_round() -> None:
    keepalive = Keepalive(ConnectionSettings(ping_interval=20))
    patients = [Patient(keepalive) for _ in range(10)]
    for patient in patients:
        keepalive.add(patient)
        await anyio.sleep(MIN_RUN_INTERVAL / 100)
    rounds = 0
    while not all(patient.pings for patient in patients):
        await anyio.sleep_until(keepalive.next_run())
        await keepalive.run()
        rounds += 1
    assert rounds <= 2


class Gone(StubConnection):
    """A connection whose peer is gone."""

    def is_alive(self) -> bool:
        return False


async def test_E4_a_peer_that_is_gone_is_found_among_others_that_are_not() -> None:
    keepalive = Keepalive(ConnectionSettings(ping_interval=20, ping_timeout=30))
    start = anyio.current_time()
    keepalive.add(StubConnection())  # is pinged again before it would be judged
    await anyio.sleep(1)
    gone = Gone()
    keepalive.add(gone)
    with anyio.fail_after(100):
        while True:
            await anyio.sleep_until(keepalive.next_run())
            dead, left, failed = await keepalive.run()
            assert not left
            assert not failed
            if dead:
                break
    assert dead == [gone]
    assert anyio.current_time() - start == pytest.approx(51, abs=0.5)


class Broken(StubConnection):
    """A connection that cannot be pinged."""

    def send_keepalive(self) -> None:
        raise MemoryError


async def test_G10_a_connection_that_cannot_be_pinged_is_told_from_the_others() -> None:
    keepalive = Keepalive(ConnectionSettings(ping_interval=20))
    broken, other = Broken(), Patient(keepalive)
    keepalive.add(broken)
    keepalive.add(other)
    await anyio.sleep(21)
    _, _, ((connection, error),) = await keepalive.run()
    assert connection is broken
    assert isinstance(error, MemoryError)
    assert other.pings == 1


class BrokenLater(StubConnection):
    """A connection that can be pinged, and then neither be judged nor asked."""

    def is_alive(self) -> bool:
        return False

    def is_being_read(self) -> bool:
        return False

    def has_left(self, seconds: float | None) -> bool:
        if seconds is None:
            return False
        raise AttributeError("getsockopt")


async def test_G10_a_connection_that_cannot_be_judged_is_told_from_the_others() -> None:
    keepalive = Keepalive(ConnectionSettings(ping_interval=20, ping_timeout=10))
    broken, gone = BrokenLater(), Gone()
    keepalive.add(broken)
    keepalive.add(gone)
    await anyio.sleep(21)
    await keepalive.run()
    await anyio.sleep(11)
    dead, left, ((connection, error),) = await keepalive.run()
    assert dead == [gone]
    assert not left
    assert connection is broken
    assert isinstance(error, AttributeError)
