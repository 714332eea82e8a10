"""The closing handshake, from either side, and peers that do not take part."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed
from anyio_websocket.testing import Frame

from ..support.frames import CLOSE, PING, TEXT, close_payload
from ..support.peer import (
    Opener,
    client_of_raw_server,
    closed_with,
)
from ..support.streams import failing, hang

pytestmark = pytest.mark.virtual_time


async def test_the_reply_replaces_our_reason(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000, "ours")
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000, "ours"))
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
            await peer.send_frame(CLOSE, payload)
            assert await closed_with(connection) == reason
            assert await peer.receive_frame() == Frame(CLOSE, payload)
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


async def test_local_close_drops_buffered_messages(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(peer.frame(TEXT, b"a") * 3)
        await connection.get_message()
        tasks.start_soon(connection.aclose)
        await peer.receive_frame()
        assert await closed_with(connection) == CloseReason(1000, None)
        await peer.send_frame(TEXT, b"too late")
        await peer.send_frame(PING, b"too late")
        await peer.send_close(1000)
        await peer.stream.send_eof()
        assert await peer.receive_all() == b""  # no pong: E8
        await connection.wait_closed()


async def test_local_close_wakes_all_tasks(opener: Opener) -> None:
    errors: list[ConnectionClosed] = []

    async def fails(func: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            await func()
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=5)
        for func in (connection.get_message, connection.get_message, connection.ping):
            tasks.start_soon(fails, func)
        await peer.receive_frame()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection.aclose, 4000)
        await anyio.wait_all_tasks_blocked()
        assert [error.reason for error in errors] == [CloseReason(4000, None)] * 3
        tasks.cancel_scope.cancel()


async def test_a_server_closes_the_stream_first_and_a_client_waits(
    opener: Opener,
) -> None:
    # RFC 6455 section 7.1.1
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose)
        assert (await peer.receive_frame()).opcode == CLOSE
        await peer.send_close(1000)
        with anyio.move_on_after(1) as scope:
            assert await peer.receive_all() == b""
        assert scope.cancelled_caught == connection.is_client
        await peer.stream.aclose()
        await connection.wait_closed()


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
                    await peer.send_frame(TEXT, b"x" * 1000)
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


async def test_E2_no_call_is_made_after_the_close() -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await client_of_raw_server(tasks)
        await peer.send_close(1001, "bye")
        with anyio.fail_after(3):
            await connection.wait_closed()
        assert stream.closed


@pytest.mark.parametrize(
    ("timeout", "answered_after", "closed_after"),
    [(1, 0, 1), (1, 0.75, 1), (2, 0, 2), (30, 0, 2), (30, 5, 7), (math.inf, 5, 7)],
)
async def test_E19_the_end_of_the_stream_is_not_the_closing_handshake(
    opener: Opener, timeout: float, answered_after: float, closed_after: float
) -> None:
    # A peer that answers our Close and keeps the stream open has done its part. What is
    # left of the timeout, and no more than two seconds, is waited for its end.
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, disconnect_timeout=timeout)
        started = anyio.current_time()
        tasks.start_soon(connection.aclose)
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await anyio.sleep(answered_after)
        await peer.send_close(1000)
        await connection.wait_closed()
        assert anyio.current_time() - started == pytest.approx(closed_after, abs=0.1)
        assert stream.closed
        assert connection.closed == CloseReason(1000, None)
        assert not connection._core.close_state.timed_out


async def test_E19_nor_is_a_stream_that_takes_long_to_close(opener: Opener) -> None:
    # As TLS over a stream of the application's does, when the peer is slow.
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, disconnect_timeout=1)
        stream.before_eof = failing(NotImplementedError())
        stream.before_close = hang
        tasks.start_soon(connection.aclose)
        await peer.send_close(1000)
        await peer.stream.send_eof()
        with anyio.fail_after(1.1):
            await connection.wait_closed()
        assert stream.closed
        assert not connection._core.close_state.timed_out


async def test_E19_a_handshake_that_is_not_done_in_time(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks, disconnect_timeout=1)
        await connection.aclose()
        assert stream.closed
        assert connection._core.close_state.timed_out


async def test_E7_both_sides_close_at_once(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_close(4001, "theirs")
        tasks.start_soon(connection.aclose, 4000, "ours")
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000, "ours"))
        await peer.stream.aclose()
        await connection.wait_closed()
        assert connection.closed == CloseReason(4001, "theirs")


async def test_E7_their_close_was_received_before_ours(opener: Opener) -> None:
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


async def test_F8_what_was_received_when_we_close_gives_way_to_others(
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


async def test_eof_instead_of_a_reply(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000)
        await peer.receive_frame()
        await peer.stream.aclose()
        with anyio.fail_after(1):
            await connection.wait_closed()
        assert connection.closed == CloseReason(4000, None)


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
    # Whichever is cancelled, the call that closes or one that waits for it.
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


async def test_no_limit_of_time_for_closing(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, disconnect_timeout=None)
        tasks.start_soon(connection.aclose)
        await anyio.sleep(1000)
        assert not stream.closed
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        await peer.stream.aclose()
        await connection.wait_closed()


async def test_E14_a_close_without_code_ends_the_loop(opener: Opener) -> None:
    # A page that calls ``socket.close()`` sends no code.
    for payload in (b"", close_payload(1000), close_payload(1001, "leaving")):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await peer.stream.send(peer.frame(TEXT, b"hi") + peer.frame(CLOSE, payload))
            assert [message async for message in connection] == ["hi"]
            assert await peer.receive_frame() == Frame(CLOSE, payload)
            await peer.stream.aclose()
            await connection.wait_closed()


async def test_E14_other_codes_end_the_loop_with_an_error(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_close(1008, "no")
        with pytest.raises(ConnectionClosed) as caught:
            async for _ in connection:
                pass
        assert caught.value.reason == CloseReason(1008, "no")
        tasks.cancel_scope.cancel()
