"""Open connections: messages, pings, and every way in which they end."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from .support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_payload,
    frame,
)
from .support.peer import (
    Opener,
    RawPeer,
    client_of_raw_server,
    linked,
    server_of_raw_client,
)
from .support.streams import failing, hang

pytestmark = pytest.mark.virtual_time


def mangled(peer: RawPeer, opcode: int, payload: bytes = b"", **how: Any) -> bytes:
    """A frame masked as the peer's should be, but for what the test says."""
    return frame(opcode, payload, **{"mask": b"\1\2\3\4" if peer.masks else None} | how)


async def closed_with(connection: WebSocketConnection) -> CloseReason:
    """Wait for a message that never comes."""
    with pytest.raises(ConnectionClosed) as caught:
        await connection.get_message()
    assert caught.value.reason is not None
    assert connection.closed == caught.value.reason
    return caught.value.reason


# -- messages ------------------------------------------------------------------


async def test_echo_of_all_kinds() -> None:
    async with linked() as (client, server):
        for message in ("text", "", "wörld", b"binary", b"", b"x" * 100_000):
            await client.send_message(message)
            assert await server.get_message() == message
            await server.send_message(message)
            assert await client.get_message() == message
        await client.send_message(bytearray(b"array"))
        await client.send_message(memoryview(b"a view")[2:])
        assert await server.get_message() == b"array"
        assert await server.get_message() == b"view"
    assert client.closed == server.closed == CloseReason(1000, None)


async def test_facts() -> None:
    async with linked() as (client, server):
        assert client.is_client
        assert not client.is_server
        assert server.is_server
        assert not server.is_client
        assert client.path == server.path == "/"
        assert client.subprotocol is None
        assert client.closed is None
        assert client.handshake_headers == ()
        assert dict(server.handshake_headers)[b"sec-websocket-version"] == b"13"
        assert str(client).startswith("client-")
        assert str(server).startswith("server-")
        assert "MemoryStream" in str(client.local)
        assert "MemoryStream" in str(client.remote)
        client.user = "attributes may be set"  # type: ignore[attr-defined]


async def test_fragments_are_joined(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.max_receive = 1  # and whatever they are cut into
        await peer.send(TEXT, b"one ", fin=False)
        await peer.send(PING, b"between")
        await peer.send(CONTINUATION, "zwölf".encode())
        assert await connection.get_message() == "one zwölf"
        assert await peer.receive() == Frame(PONG, b"between")
        tasks.cancel_scope.cancel()


async def test_frames_glued_to_the_handshake(opener: Opener) -> None:
    mask = b"\1\2\3\4" if opener is server_of_raw_client else None
    glued = frame(TEXT, b"first", mask=mask) + frame(BINARY, b"second", mask=mask)
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, glued=glued)
        await peer.send(TEXT, b"third")
        assert await connection.get_message() == "first"
        assert await connection.get_message() == b"second"
        assert await connection.get_message() == "third"
        tasks.cancel_scope.cancel()


async def test_iteration_ends_with_the_peer(opener: Opener) -> None:
    for code in (1000, 1001):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await peer.send(TEXT, b"a")
            await peer.send(TEXT, b"b")
            await peer.send_close(code)
            assert [message async for message in connection] == ["a", "b"]
            tasks.cancel_scope.cancel()


async def test_iteration_raises_for_any_other_end(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send(TEXT, b"a")
        await peer.send_close(4000, "why")
        assert await anext(connection) == "a"
        with pytest.raises(ConnectionClosed):
            await anext(connection)
        assert connection.closed == CloseReason(4000, "why")
        tasks.cancel_scope.cancel()


async def test_several_tasks_receive() -> None:
    got: list[str | bytes] = []

    async def receive(connection: WebSocketConnection) -> None:
        got.append(await connection.get_message())

    async with linked() as (client, server), anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(receive, server)
        await anyio.wait_all_tasks_blocked()
        for i in range(5):
            await client.send_message(str(i))
    assert sorted(map(str, got)) == list("01234")


async def test_a_message_for_a_cancelled_receiver_goes_to_the_next() -> None:
    # The second waits without reading; the message that the attendant's reader gives
    # it must not get lost when it is cancelled in that very moment.
    got: list[str | bytes] = []
    async with linked() as (client, server), anyio.create_task_group() as tasks:
        await anyio.sleep(1)  # the attendant reads now
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
    # F8: 420 messages at hand, but the other task has its turns, and a cancellation
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


# -- the application does not read ---------------------------------------------


async def test_pings_are_answered_while_nobody_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send(TEXT, b"message")
        await peer.send(PING, b"alive?")
        with anyio.fail_after(1):
            assert await peer.receive() == Frame(PONG, b"alive?")
        assert await connection.get_message() == "message"
        tasks.cancel_scope.cancel()


async def test_a_close_is_noticed_while_nobody_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send(TEXT, b"message")
        await peer.send_close(4000)
        with anyio.fail_after(4):
            assert await peer.receive() == Frame(CLOSE, close_payload(4000))
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
                await peer.send(TEXT, b"x" * 10_000)
        assert scope.cancelled_caught
        for _ in range(3):
            assert await connection.get_message() == "x" * 10_000
        tasks.cancel_scope.cancel()


async def test_the_attendant_goes_on_when_there_is_room_again(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=1)
        await peer.stream.send(peer.frame(TEXT, b"1") + peer.frame(TEXT, b"2"))
        await peer.send(PING, b"behind")
        await anyio.sleep(1)
        assert await connection.get_message() == "1"
        with pytest.raises(TimeoutError), anyio.fail_after(1):
            await peer.receive()  # "2" has taken the room
        assert await connection.get_message() == "2"
        with anyio.fail_after(1):
            assert await peer.receive() == Frame(PONG, b"behind")
        tasks.cancel_scope.cancel()


async def test_the_attendant_hands_over(opener: Opener) -> None:
    # It waits in receive(); a task that asks for a message gets the next one, and
    # reads by itself from then on.
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await anyio.sleep(1)
        for i in range(3):
            await peer.send(TEXT, b"%d" % i)
            assert await connection.get_message() == str(i)
        await anyio.sleep(1)
        await peer.send(PING)
        with anyio.fail_after(1):
            assert await peer.receive() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_unlimited_queue(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, message_queue_size=math.inf, max_message_size=math.inf
        )
        for i in range(100):
            await peer.send(TEXT, b"%d" % i)
        await anyio.sleep(1)
        assert [await connection.get_message() for _ in range(100)] == [
            str(i) for i in range(100)
        ]
        tasks.cancel_scope.cancel()


# -- pings ---------------------------------------------------------------------


async def test_ping_waits_for_its_pong() -> None:
    async with linked() as (client, server), anyio.create_task_group() as tasks:
        tasks.start_soon(server.get_message)
        await client.ping()
        await client.ping(b"payload")
        await server.ping(bytearray(b"payload"))
        await client.pong()
        await client.pong(b"x" * 125)
        await client.send_message("the end")


async def test_E6_one_pong_answers_all_earlier_pings(opener: Opener) -> None:
    answered: list[bytes] = []
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def ping(payload: bytes) -> None:
            await connection.ping(payload)
            answered.append(payload)

        for payload in (b"1", b"2", b"3"):
            tasks.start_soon(ping, payload)
            await peer.receive()
        await peer.send(PONG, b"unknown")
        await peer.send(PONG, b"2")
        await anyio.wait_all_tasks_blocked()
        assert sorted(answered) == [b"1", b"2"]
        await peer.send(PONG, b"2")  # repeated
        await peer.send(PONG, b"3")
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
        await peer.receive()
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await peer.send(TEXT, b"a")
        await anyio.wait_all_tasks_blocked()
        assert got == ["a"]
        await peer.send(TEXT, b"b")
        await peer.send(PONG, b"1")
        await anyio.wait_all_tasks_blocked()
        assert await connection.get_message() == "b"
        tasks.cancel_scope.cancel()


async def test_a_ping_waits_until_there_is_room(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, message_queue_size=1)
        done = anyio.Event()

        async def ping() -> None:
            await connection.ping(b"1")
            done.set()

        tasks.start_soon(ping)
        await peer.receive()
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
            assert (await peer.receive()).opcode == PING
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
        lambda peer: peer.send(3),
    ],
    ids=["close", "eof", "mistake"],
)
async def test_E6_a_ping_ends_with_its_connection(
    opener: Opener, end: Callable[[RawPeer], Awaitable[None]]
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)

        async def leave() -> None:
            await peer.receive()
            await end(peer)  # and keeps the stream open, but for "eof"

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
        tasks.start_soon(connection.ping, b"1")  # its payload is free again
        assert [await peer.receive(), await peer.receive()] == [Frame(PING, b"1")] * 2
        await peer.send(PONG, b"1")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_E6_a_pong_to_a_cancelled_ping_answers_earlier_ones(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        async with anyio.create_task_group() as pinging:
            pinging.start_soon(connection.ping, b"first")
            assert await peer.receive() == Frame(PING, b"first")
            with anyio.move_on_after(1) as scope:
                await connection.ping(b"second")
            assert scope.cancelled_caught
            # The peer may answer the last alone: RFC 6455 section 5.5.3.
            await peer.send(PONG, b"second")
        tasks.cancel_scope.cancel()


async def test_E6_pings_that_cannot_be(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        for payload in (b"x" * 126, "text", 5):
            with pytest.raises(ValueError, match="payload"):
                await connection.ping(payload)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="payload"):
                await connection.pong(payload)  # type: ignore[arg-type]
        tasks.start_soon(connection.ping, b"1")
        assert await peer.receive() == Frame(PING, b"1")
        with pytest.raises(ValueError, match="in flight"):
            await connection.ping(b"1")
        await connection.pong(b"2")
        assert await peer.receive() == Frame(PONG, b"2")  # and nothing before it
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
            pongs = [await peer.receive() for _ in payloads]
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
                await peer.send(PING, b"%0100d" % i)
        pongs: list[Frame] = []
        with anyio.move_on_after(1):
            while True:
                pongs.append(await peer.receive())
        assert pongs[-1] == Frame(PONG, b"%0100d" % 1999)
        assert len(pongs) < 1900
        tasks.cancel_scope.cancel()


# -- H1: what the application may pass -----------------------------------------


async def test_H1_messages_that_cannot_be(opener: Opener) -> None:
    released = memoryview(b"x")
    released.release()
    square = memoryview(bytes(4)).cast("B", (2, 2))
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        wrong: list[Any] = [
            None,
            5,
            ["a"],
            "\ud800",
            released,
            square,
            memoryview(b"1234").cast("I"),
        ]
        for message in wrong:
            with pytest.raises(ValueError):  # noqa: PT011 - of any kind
                await connection.send_message(message)
        with pytest.raises(ValueError, match="message must be"):
            await connection.send_message(None)  # type: ignore[arg-type]
        await connection.send_message("fine")
        assert await peer.receive() == Frame(TEXT, b"fine")
        tasks.cancel_scope.cancel()


async def test_E10_close_codes_and_reasons(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=1)
        for code in (0, 999, 1004, 1016, 5000, 70_000):
            with pytest.raises(ValueError, match=str(code)):
                await connection.aclose(code)
        with pytest.raises(ValueError, match="surrogates"):
            await connection.aclose(1000, "\udcff")
        with pytest.raises(TypeError):
            await connection.aclose("1000")  # type: ignore[arg-type]
        assert connection.closed is None
        tasks.start_soon(connection.aclose, 1006, "é" * 62)
        assert await peer.receive() == Frame(CLOSE, close_payload(1000, "é" * 61))
        tasks.cancel_scope.cancel()


# -- closing -------------------------------------------------------------------


async def test_the_answer_replaces_our_reason(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000, "ours")
        assert await peer.receive() == Frame(CLOSE, close_payload(4000, "ours"))
        assert connection.closed == CloseReason(4000, "ours")
        await peer.send_close(4001, "theirs")
        await peer.stream.aclose()
        await connection.wait_closed()
        assert connection.closed == CloseReason(4001, "theirs")
        assert stream.closed


async def test_remote_close_is_answered_alike(opener: Opener) -> None:
    for payload, reason in (
        (close_payload(4000, "why"), CloseReason(4000, "why")),
        (b"", CloseReason(1005, None)),
    ):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await peer.send(CLOSE, payload)
            assert await closed_with(connection) == reason
            assert await peer.receive() == Frame(CLOSE, payload)
            await peer.stream.aclose()
            await connection.wait_closed()


async def test_messages_before_the_close_are_delivered(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(
            peer.frame(TEXT, b"a") + peer.frame(TEXT, b"b") + peer.frame(CLOSE)
        )
        await peer.stream.aclose()
        assert await connection.get_message() == "a"
        await connection.wait_closed()
        assert await connection.get_message() == "b"
        assert (await closed_with(connection)).code == 1005


async def test_local_close_drops_what_waits(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(peer.frame(TEXT, b"a") * 3)
        await connection.get_message()
        tasks.start_soon(connection.aclose)
        await peer.receive()
        assert await closed_with(connection) == CloseReason(1000, None)
        await peer.send(TEXT, b"too late")
        await peer.send(PING, b"too late")
        await peer.send_close(1000)
        await peer.stream.send_eof()
        assert await peer.receive_all() == b""  # no pong: E8
        await connection.wait_closed()


async def test_local_close_wakes_everybody(opener: Opener) -> None:
    errors: list[ConnectionClosed] = []

    async def fails(func: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            await func()
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=5)
        for func in (connection.get_message, connection.get_message, connection.ping):
            tasks.start_soon(fails, func)
        await peer.receive()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection.aclose, 4000)
        await anyio.wait_all_tasks_blocked()
        assert [error.reason for error in errors] == [CloseReason(4000, None)] * 3
        tasks.cancel_scope.cancel()


async def test_E1_a_peer_that_never_answers(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, disconnect_timeout=3)
        started = anyio.current_time()
        await connection.aclose(4000)
        assert 2.9 < anyio.current_time() - started < 3.5
        assert stream.closed
        assert connection.closed == CloseReason(4000, None)


async def test_E1_a_peer_that_never_reads(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, capacity=1000, disconnect_timeout=3)

        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await connection.send_message(b"x" * 100_000)

        tasks.start_soon(send)
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        await connection.aclose()
        assert 2.9 < anyio.current_time() - started < 3.5
        assert stream.closed


async def test_E1_a_peer_that_floods_instead(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, disconnect_timeout=3)

        async def flood() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                while True:
                    await peer.send(TEXT, b"x" * 1000)
                    await anyio.sleep(0.01)

        tasks.start_soon(flood)
        started = anyio.current_time()
        await connection.aclose()
        assert 2.9 < anyio.current_time() - started < 3.5
        assert stream.closed


async def test_E2_a_server_that_closes_but_keeps_the_stream() -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await client_of_raw_server(tasks)
        await peer.send_close(1001, "bye")
        started = anyio.current_time()
        assert await closed_with(connection) == CloseReason(1001, "bye")
        assert anyio.current_time() - started < 0.1
        await connection.aclose()
        assert 1.9 < anyio.current_time() - started < 2.5
        assert stream.closed


async def test_E2_nobody_asks_after_the_close() -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await client_of_raw_server(tasks)
        await peer.send_close(1001, "bye")
        with anyio.fail_after(3):
            await connection.wait_closed()
        assert stream.closed


@pytest.mark.parametrize("how", ["silent", "flooding", "leaving"])
async def test_E5_failure_reaches_the_peer(opener: Opener, how: str) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, max_message_size=10)

        async def misbehave() -> None:
            await peer.send(TEXT, b"x" * 11)
            if how == "flooding":
                with pytest.raises(anyio.BrokenResourceError):
                    while True:
                        await peer.send(TEXT, b"x")
                        await anyio.sleep(0.1)
            elif how == "leaving":
                await peer.stream.send_eof()

        tasks.start_soon(misbehave)
        reason = await closed_with(connection)
        assert reason == CloseReason(1009, "Exceeded maximum message size: 10 bytes")
        (sent,) = await peer.receive_frames()
        assert sent == Frame(CLOSE, close_payload(1009, str(reason.reason)))
        with anyio.fail_after(3):
            await connection.wait_closed()
        assert stream.closed


@pytest.mark.parametrize(
    ("opcode", "payload", "how", "code"),
    [
        (3, b"", {}, 1002),
        (11, b"", {}, 1002),
        (TEXT, b"", {"rsv": 4}, 1002),
        (PING, b"", {"fin": False}, 1002),
        (PING, b"x" * 126, {}, 1002),
        (CONTINUATION, b"", {}, 1002),
        (TEXT, b"\xff", {}, 1007),
        (CLOSE, b"x", {}, 1002),
        (CLOSE, close_payload(1005), {}, 1002),
        (CLOSE, b"\x03\xe8\xff", {}, 1007),
        (BINARY, b"", {"length": 2**62}, 1009),
    ],
)
async def test_C1_to_C5_mistakes_are_answered_with_a_close(
    opener: Opener, opcode: int, payload: bytes, how: dict[str, Any], code: int
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        await peer.send(TEXT, b"before")
        await peer.stream.send(mangled(peer, opcode, payload, **how))
        assert await connection.get_message() == "before"
        reason = await closed_with(connection)
        assert reason.code == code
        assert reason.reason
        await peer.stream.send_eof()
        (sent,) = await peer.receive_frames()
        assert sent == Frame(CLOSE, close_payload(code, reason.reason))
        await connection.wait_closed()
        assert stream.closed


async def test_C1_masks(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(
            mangled(peer, TEXT, b"x", mask=None if peer.masks else b"\1\2\3\4")
        )
        assert (await closed_with(connection)).code == 1002
        tasks.cancel_scope.cancel()


async def test_C6_eof_without_a_close(opener: Opener) -> None:
    whole = frame(TEXT, b"whole", mask=None)
    for cut in range(len(whole)):
        async with anyio.create_task_group() as tasks:
            connection, peer, stream = await opener(tasks)
            data = peer.frame(TEXT, b"whole")
            await peer.stream.send(data[: len(data) - len(whole) + cut])
            await peer.stream.aclose()
            assert await closed_with(connection) == CloseReason(1006, None)
            await connection.aclose()
            assert stream.closed


async def test_E7_reset(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        stream.reset()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.get_message()
        assert caught.value.reason == CloseReason(1006, None)
        assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("x")
        assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
        await connection.aclose()
        assert stream.closed


async def test_E7_both_sides_close_at_once(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_close(4001, "theirs")
        tasks.start_soon(connection.aclose, 4000, "ours")
        assert await peer.receive() == Frame(CLOSE, close_payload(4000, "ours"))
        await peer.stream.aclose()
        await connection.wait_closed()
        assert connection.closed == CloseReason(4001, "theirs")


async def test_E7_their_close_is_at_hand_when_we_close(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        theirs = close_payload(4001, "theirs")
        await peer.stream.send(peer.frame(TEXT, b"last") + peer.frame(CLOSE, theirs))
        assert await connection.get_message() == "last"
        with anyio.fail_after(2.5):  # seconds; there is only their FIN to wait for
            await connection.aclose(4000, "ours")
        assert connection.closed == CloseReason(4001, "theirs")
        (sent,) = await peer.receive_frames()
        assert sent == Frame(CLOSE, close_payload(4000, "ours"))


async def test_F8_what_is_at_hand_when_we_close_gives_way_to_others(
    opener: Opener,
) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        for _ in range(500):  # not for ever, or virtual time would stand still
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(peer.frame(TEXT) * 5000 + peer.frame(CLOSE))
        await peer.stream.send_eof()
        assert await connection.get_message() == ""
        async with anyio.create_task_group() as others:
            others.start_soon(count_turns)
            await connection.aclose()
            during = turns
        assert during >= 5000 // 100 - 1


@pytest.mark.parametrize("reset", [False, True])
async def test_E7_what_follows_the_close_changes_nothing(
    opener: Opener, reset: bool
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        await peer.send_close(4000)
        assert (await closed_with(connection)).code == 4000
        if reset:
            stream.reset()
        else:
            await peer.stream.send(b"garbage")
            await peer.stream.aclose()
        await connection.wait_closed()
        assert connection.closed == CloseReason(4000, None)


async def test_eof_instead_of_an_answer(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000)
        await peer.receive()
        await peer.stream.aclose()
        with anyio.fail_after(1):
            await connection.wait_closed()
        assert connection.closed == CloseReason(4000, None)


async def test_closing_takes_the_baton_from_a_task_that_reads(opener: Opener) -> None:
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
        assert await peer.receive() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.aclose()
        with anyio.fail_after(1):
            await connection.wait_closed()


async def test_E9_every_caller_returns_when_it_is_closed(opener: Opener) -> None:
    times: list[float] = []
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, disconnect_timeout=3)

        async def close() -> None:
            await connection.aclose()
            assert stream.closed
            times.append(anyio.current_time() - started)

        started = anyio.current_time()
        async with anyio.create_task_group() as closers:
            for _ in range(3):
                closers.start_soon(close)
        await connection.aclose()
    assert len(times) == 3
    assert all(2.9 < time < 3.5 for time in times)


@pytest.mark.parametrize("callers", [1, 2])
async def test_E9_cancelled_aclose_closes_at_once(opener: Opener, callers: int) -> None:
    # Whoever is cancelled, the one who leads or one who waits for it.
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, disconnect_timeout=30)
        started = anyio.current_time()
        for _ in range(callers - 1):
            tasks.start_soon(connection.aclose)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1) as scope:
            await connection.aclose()
        assert scope.cancelled_caught
        assert stream.closed
        assert anyio.current_time() - started < 2


async def test_closing_in_a_cancelled_scope(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with connection:
                await anyio.sleep(1)
        assert stream.closed


async def test_H2_calls_after_the_close(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000)
        await peer.receive()
        for during in (True, False):
            for func in (
                connection.get_message,
                connection.ping,
                connection.pong,
                lambda: connection.send_message("x"),
            ):
                with pytest.raises(ConnectionClosed) as caught:
                    await func()
                assert caught.value.reason == CloseReason(4000, None)
            if during:
                await peer.stream.aclose()
                await connection.wait_closed()
        await connection.aclose(1000)
        assert connection.closed == CloseReason(4000, None)


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


async def test_F4_all_at_once() -> None:
    rounds = 20
    async with linked(capacity=500) as (client, server):

        async def send(connection: WebSocketConnection, name: str) -> None:
            for i in range(rounds):
                await connection.send_message(f"{name}{i}" + "x" * 200)

        async def ping(connection: WebSocketConnection) -> None:
            for _ in range(rounds):
                await connection.ping()

        got: dict[WebSocketConnection, list[str]] = {client: [], server: []}

        async def receive(connection: WebSocketConnection) -> None:
            for _ in range(3 * rounds):
                got[connection].append(str(await connection.get_message()).rstrip("x"))

        async with anyio.create_task_group() as tasks:
            for connection in (client, server):
                for name in "abc":
                    tasks.start_soon(send, connection, name)
                    tasks.start_soon(ping, connection)
                tasks.start_soon(receive, connection)
        for messages in got.values():
            for name in "abc":  # FIFO for each sender
                assert [m for m in messages if m[0] == name] == [
                    f"{name}{i}" for i in range(rounds)
                ]


# -- streams that fail ---------------------------------------------------------


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


async def test_answering_fails(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.before_send = failing(OSError("the wire is cut"))
        await peer.send(PING)
        assert await closed_with(connection) == CloseReason(1006, None)
        await connection.wait_closed()
        assert stream.closed


async def test_closing_fails(opener: Opener) -> None:
    for hook in ("before_send", "before_receive", "before_eof", "before_close"):
        async with anyio.create_task_group() as tasks:
            connection, peer, stream = await opener(tasks)
            setattr(stream, hook, failing(OSError("the wire is cut")))
            tasks.start_soon(connection.aclose)
            await anyio.wait_all_tasks_blocked()
            if not stream.closed:
                await peer.send_close(1000)
                await peer.stream.send_eof()
            with anyio.fail_after(5):
                await connection.wait_closed()
            assert stream.closed


async def test_a_stream_that_does_not_close(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, disconnect_timeout=3)
        stream.before_close = hang
        await peer.send_close(1000)
        await peer.stream.send_eof()
        with anyio.fail_after(4):
            await connection.aclose()
        assert stream.closed


async def test_the_nursery_is_cancelled(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        tasks.cancel_scope.cancel()
    assert stream.closed
    assert connection.closed is not None
    assert connection.closed.code == 1006
    with pytest.raises(anyio.EndOfStream):
        await peer.stream.receive()


async def test_tasks_of_a_cancelled_nursery_are_cancelled(opener: Opener) -> None:
    # And do not see a closed connection, although it is closed in the same moment.
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, capacity=1000)
        tasks.start_soon(connection.get_message)
        tasks.start_soon(connection.get_message)
        tasks.start_soon(connection.ping)
        tasks.start_soon(connection.send_message, b"x" * 5000)
        tasks.start_soon(connection.send_message, b"x" * 5000)
        tasks.start_soon(connection.wait_closed)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert connection.closed is not None


async def test_no_limit_of_time_for_closing(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=None)
        tasks.start_soon(connection.aclose)
        await anyio.sleep(1000)
        assert await peer.receive() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.aclose()
        await connection.wait_closed()
