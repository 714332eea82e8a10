"""Pings in flight, and which pong answers which of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import ConnectionClosed
from anyio_websocket._connection._pings import PingInFlight, Pings
from anyio_websocket.testing import Frame, ScriptedPeer

from ..support.frames import PING, PONG, TEXT
from ..support.peer import Opener, linked

pytestmark = pytest.mark.virtual_time


def sent(pings: Pings, payload: bytes, now: float = 0) -> PingInFlight:
    ping = pings.add(payload, now)
    ping.sent = True
    return ping


def test_a_pong_answers_its_ping() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    assert not ping.is_answered()
    assert pings.answer(b"1", 1)
    assert ping.is_answered()
    assert not pings.answer(b"1", 1)  # repeated


def test_E6_a_pong_answers_all_earlier_pings() -> None:
    pings = Pings()
    first, second, third = sent(pings, b"1"), sent(pings, b"2"), sent(pings, b"3")
    assert pings.answer(b"2", 1)
    assert first.answered
    assert second.answered
    assert not third.answered
    assert not pings.answer(b"1", 1)  # late


def test_E6_a_pong_says_nothing_about_pings_that_wait_for_their_turn() -> None:
    pings = Pings()
    first, waiting = sent(pings, b"1"), pings.add(b"2", 0)
    pings.add_keepalive(b"3", 0)  # which goes before
    assert not pings.answer(b"2", 1)  # a guess
    assert pings.answer(b"3", 1)
    assert first.answered
    assert not waiting.answered
    waiting.sent = True
    assert pings.answer(b"2", 2)
    assert waiting.answered


def test_E6_the_first_keepalive_leaves_an_empty_ping_in_flight() -> None:
    pings = Pings()
    ping = sent(pings, b"")
    pings.add_keepalive(b"1", 0)
    assert pings.answer(b"", 1)
    assert ping.answered


def test_E6_the_last_of_those_given_up_answers_the_earlier_ones() -> None:
    pings = Pings()
    first = sent(pings, b"1")
    given_up = [sent(pings, payload) for payload in (b"2", b"3")]
    unsent = pings.add(b"4", 0)
    for ping in (*given_up, unsent):
        pings.discard(ping)
    assert list(pings._in_flight) == [b"1", b"3"]
    assert pings.answer(b"3", 1)
    assert first.answered
    assert not pings._in_flight


def test_E6_what_is_given_up_is_forgotten_with_those_before_it() -> None:
    pings = Pings()
    pairs = [(sent(pings, b"%d" % i), sent(pings, b"%d!" % i)) for i in range(3)]
    for _, given_up in pairs:
        pings.discard(given_up)
    for first, _ in pairs:
        assert pings._in_flight
        pings.discard(first)
    assert not pings._in_flight


def test_E6_the_payload_of_one_given_up_is_free() -> None:
    pings = Pings()
    first = sent(pings, b"1")
    pings.discard(sent(pings, b"2"))
    again = sent(pings, b"2")
    assert pings.answer(b"2", 1)
    assert first.answered
    assert again.answered


def test_E6_a_payload_used_again_counts_from_its_second_ping() -> None:
    pings = Pings()
    sent(pings, b"1")
    pings.discard(sent(pings, b"2"))
    between = sent(pings, b"3")
    again = sent(pings, b"2")
    assert pings.answer(b"3", 1)
    assert between.answered
    assert not again.answered  # it was sent after the one that is answered


def test_E6_unknown_pong() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    assert not pings.answer(b"x", 1)
    assert not ping.answered


def test_E6_same_payload_twice() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    with pytest.raises(ValueError, match="in flight"):
        sent(pings, b"1")
    pings.discard(ping)
    sent(pings, b"1")


def test_discarding_an_answered_ping_leaves_its_namesake() -> None:
    pings = Pings()
    old = sent(pings, b"1")
    pings.answer(b"1", 1)
    new = sent(pings, b"1")
    pings.discard(old)
    assert pings.answer(b"1", 1)
    assert new.answered


def test_E4_how_long_the_last_one_took() -> None:
    assert Pings().latency is None
    pings = Pings()
    sent(pings, b"1", 10)
    sent(pings, b"2", 11)
    pings.answer(b"1", 12.5)
    assert pings.latency == 2.5
    pings.answer(b"1", 13)  # late
    assert pings.latency == 2.5


def test_E4_only_the_last_ping_of_the_keepalive_counts() -> None:
    pings = Pings()
    users = sent(pings, b"1")
    pings.add_keepalive(b"2", 20)
    pings.add_keepalive(b"3", 40)
    assert not pings.answer(b"2", 41)
    assert pings.answer(b"3", 41)
    assert users.answered
    pings.add_keepalive(b"4", 60)
    assert pings.answer(b"4", 62)
    assert pings.latency == 2


# -- of a whole connection --------------------------------------------------------


async def test_ping_waits_for_its_pong(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        for payload in (b"payload", bytearray(b"another")):
            returned = anyio.Event()

            async def ping(
                payload: bytes | bytearray = payload, returned: anyio.Event = returned
            ) -> None:
                await connection.ping(payload)
                returned.set()

            tasks.start_soon(ping)
            assert await peer.receive_frame() == Frame(PING, bytes(payload))
            await anyio.sleep(10)  # seconds; as long as the pong takes
            assert not returned.is_set()
            await peer.send_frame(PONG, bytes(payload))
            with anyio.fail_after(1):
                await returned.wait()
        tasks.cancel_scope.cancel()


async def test_pings_and_pongs_between_two_that_read() -> None:
    async with linked() as (client, server):
        got: list[str | bytes] = []

        async def receive() -> None:
            got.append(await server.get_message())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            with anyio.fail_after(1):
                await client.ping()  # with a payload that the library makes
                await client.ping(b"payload")
                await server.ping(bytearray(b"payload"))
            await client.pong()  # which no ping asked for
            await client.pong(b"x" * 125)
            await client.send_message("the end")
        assert got == ["the end"]
        assert client.closed is server.closed is None


async def test_E6_one_pong_answers_all_earlier_pings(opener: Opener) -> None:
    answered: list[bytes] = []
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def ping(payload: bytes) -> None:
            await connection.ping(payload)
            answered.append(payload)

        for payload in (b"1", b"2", b"3"):
            tasks.start_soon(ping, payload)
            await peer.receive_frame()
        await peer.send_frame(PONG, b"unknown")
        await peer.send_frame(PONG, b"2")
        await anyio.wait_all_tasks_blocked()
        assert sorted(answered) == [b"1", b"2"]
        await peer.send_frame(PONG, b"2")  # repeated
        await peer.send_frame(PONG, b"3")
        await anyio.wait_all_tasks_blocked()
        assert sorted(answered) == [b"1", b"2", b"3"]
        tasks.cancel_scope.cancel()


async def test_a_ping_lets_messages_through(opener: Opener) -> None:
    got: list[str | bytes] = []
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def receive() -> None:
            got.append(await connection.get_message())

        tasks.start_soon(connection.ping, b"1")  # reads for both
        await peer.receive_frame()
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await peer.send_frame(TEXT, b"a")
        await anyio.wait_all_tasks_blocked()
        assert got == ["a"]
        await peer.send_frame(TEXT, b"b")
        await peer.send_frame(PONG, b"1")
        await anyio.wait_all_tasks_blocked()
        assert await connection.get_message() == "b"
        tasks.cancel_scope.cancel()


async def test_a_ping_waits_until_there_is_a_free_slot(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=0)
        done = anyio.Event()

        async def ping() -> None:
            await connection.ping(b"1")
            done.set()

        tasks.start_soon(ping)
        await peer.receive_frame()
        await peer.stream.send(
            peer.frame(TEXT, b"a") + peer.frame(TEXT, b"b") + peer.frame(PONG, b"1")
        )
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set()
        assert await connection.get_message() == "a"
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set()
        assert await connection.get_message() == "b"
        with anyio.fail_after(1):
            await done.wait()
        tasks.cancel_scope.cancel()


async def test_a_ping_among_a_burst(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=math.inf)

        async def answer() -> None:
            assert (await peer.receive_frame()).opcode == PING
            await peer.stream.send(
                peer.frame(TEXT, b"x") * 200 + peer.frame(PONG, b"1")
            )

        tasks.start_soon(answer)
        await connection.ping(b"1")
        assert [await connection.get_message() for _ in range(200)] == ["x"] * 200
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "end",
    [
        lambda peer: peer.send_close(4000),
        lambda peer: peer.stream.aclose(),
        lambda peer: peer.send_frame(3),
    ],
    ids=["close", "eof", "mistake"],
)
async def test_E6_a_ping_ends_with_its_connection(
    opener: Opener, end: Callable[[ScriptedPeer], Awaitable[None]]
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def leave() -> None:
            await peer.receive_frame()
            await end(peer)  # and keeps the stream open, except for "eof"

        tasks.start_soon(leave)
        started = anyio.current_time()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.ping()
        assert anyio.current_time() - started < 0.5
        assert caught.value.reason == connection.closed
        with pytest.raises(ConnectionClosed):
            await connection.ping()
        tasks.cancel_scope.cancel()


async def test_E6_a_cancelled_ping_is_forgotten(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        with anyio.move_on_after(1) as scope:
            await connection.ping(b"1")
        assert scope.cancelled_caught
        async with anyio.create_task_group() as pinging:
            pinging.start_soon(connection.ping, b"1")  # its payload is free again
            pings = [await peer.receive_frame(), await peer.receive_frame()]
            assert pings == [Frame(PING, b"1")] * 2
            await peer.send_frame(PONG, b"1")
        tasks.cancel_scope.cancel()


async def test_E6_a_pong_to_a_cancelled_ping_answers_earlier_ones(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        async with anyio.create_task_group() as pinging:
            pinging.start_soon(connection.ping, b"first")
            assert await peer.receive_frame() == Frame(PING, b"first")
            with anyio.move_on_after(1) as scope:
                await connection.ping(b"second")
            assert scope.cancelled_caught
            # The peer may answer the last alone: RFC 6455 section 5.5.3.
            await peer.send_frame(PONG, b"second")
        tasks.cancel_scope.cancel()


async def test_E6_invalid_pings_are_an_error(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        for payload in (b"x" * 126, "text", 5):
            with pytest.raises(ValueError, match="payload"):
                await connection.ping(payload)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="payload"):
                await connection.pong(payload)  # type: ignore[arg-type]
        tasks.start_soon(connection.ping, b"1")
        assert await peer.receive_frame() == Frame(PING, b"1")
        with pytest.raises(ValueError, match="in flight"):
            await connection.ping(b"1")
        await connection.pong(b"2")
        assert await peer.receive_frame() == Frame(PONG, b"2")  # and nothing before it
        tasks.cancel_scope.cancel()


async def test_every_ping_of_a_peer_that_reads_is_answered(opener: Opener) -> None:
    # Also if they come in one piece, or in many small ones.
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        tasks.start_soon(connection.get_message)
        payloads = [b"%d" % i for i in range(50)]
        pings = b"".join(peer.frame(PING, payload) for payload in payloads)
        for size in (65536, 1):
            stream.max_receive = size
            await peer.stream.send(pings)
            pongs = [await peer.receive_frame() for _ in payloads]
            assert pongs == [Frame(PONG, payload) for payload in payloads]
        tasks.cancel_scope.cancel()


async def test_E3_of_many_pings_the_last_is_answered(opener: Opener) -> None:
    # The peer reads no pong while it floods; reading never waits for writing, and at
    # the most one pong waits.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, capacity=1000)
        tasks.start_soon(connection.get_message)
        with anyio.fail_after(5):
            for i in range(2000):
                await peer.send_frame(PING, b"%0100d" % i)
        pongs: list[Frame] = []
        with anyio.move_on_after(1):
            while True:
                pongs.append(await peer.receive_frame())
        assert pongs[-1] == Frame(PONG, b"%0100d" % 1999)
        assert len(pongs) < 1900
        tasks.cancel_scope.cancel()
