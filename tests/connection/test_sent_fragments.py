"""Messages that are sent in fragments, while they are being made."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from anyio_websocket._connection._sent_fragments import FRAGMENT_SIZE
from anyio_websocket.testing import Frame, ScriptedPeer

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
)
from ..support.peer import Opener, linked, linked_by_sockets
from ..support.sources import Source

pytestmark = pytest.mark.virtual_time

FULL = b"x" * FRAGMENT_SIZE


async def parts_of(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


@pytest.mark.parametrize("compression", [None, True])
async def test_parts_become_one_message(compression: bool | None) -> None:
    options = {"compression": compression}
    cases: list[tuple[Any, bool | None, str | bytes | None]] = [
        ([b"a", bytearray(b"b"), memoryview(b"c")], None, b"abc"),
        (["wör", "ld" * FRAGMENT_SIZE, "!"], None, None),
        ([FULL, FULL[:9], FULL], None, None),
        (["wör", b"ld"], False, "wörld".encode()),
        (["w", b"\xc3", b"\xb6rld"], True, "wörld"),
        ([], None, b""),
        (["", ""], None, ""),
        ([], True, ""),
        (iter([]), False, b""),
    ]
    async with linked(client=options, server=options) as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            for parts, text, message in cases:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send, sender, parts, text)
                    found = await receiver.get_message()
                if message is None:
                    message = type(parts[0])().join(parts)
                assert found == message
                assert type(found) is type(message)


async def send(ws: WebSocketConnection, parts: Any, text: bool | None = None) -> None:
    await ws.send_message(parts, text=text)


async def begun(
    opener: Opener, tasks: anyio.abc.TaskGroup, **options: Any
) -> tuple[WebSocketConnection, ScriptedPeer, Source]:
    """Have a task send the first fragment of a message."""
    connection, peer, _ = await opener(tasks, ping_interval=None, **options)
    source = Source()
    tasks.start_soon(send, connection, source)
    source.put(FULL[:5], FULL)
    first = await peer.receive_frame()
    assert (first.opcode, first.fin) == (BINARY, False)
    assert first.payload == FULL[:5] + FULL  # joined
    return connection, peer, source


async def test_parts_with_nothing_in_them_are_not_kept() -> None:
    async with linked() as (client, server):
        tracemalloc.start()
        try:
            await client.send_message(itertools.repeat(b"", 100_000))
            # A list of them takes 800 000. Other threads, as xdist's, are traced too.
            assert tracemalloc.get_traced_memory()[1] < 600_000
        finally:
            tracemalloc.stop()
        assert await server.get_message() == b""


@pytest.mark.parametrize("is_async", [False, True])
async def test_endless_parts_with_nothing_in_them_let_others_run(
    is_async: bool,
) -> None:
    async def repeat() -> AsyncIterator[bytes]:
        for part in itertools.repeat(b""):
            yield part

    async with linked() as (client, server):
        async with anyio.create_task_group() as tasks:
            parts = repeat() if is_async else itertools.repeat(b"")
            tasks.start_soon(client.send_message, parts)
            for _ in range(3):
                await checkpoint()
            tasks.cancel_scope.cancel()
        await client.send_message("next")
        assert await server.get_message() == "next"


async def test_control_frames_go_between_and_messages_wait(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, source = await begun(opener, tasks)
        tasks.start_soon(send, connection, "second")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(connection.send_messages, ["third", "fourth"])
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            tasks.start_soon(connection.send_message, "fifth")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
        tasks.start_soon(connection.ping, b"ours")
        assert await peer.receive_frame() == Frame(PING, b"ours")
        await peer.send_frame(PONG, b"ours")
        await connection.pong(b"unasked")
        assert await peer.receive_frame() == Frame(PONG, b"unasked")
        await peer.send_frame(PING, b"theirs")
        await peer.send_frame(TEXT, b"message")
        assert await connection.get_message() == "message"
        assert await peer.receive_frame() == Frame(PONG, b"theirs")
        source.put(FULL)
        assert (await peer.receive_frame()).opcode == CONTINUATION
        source.put(b"end")
        source.end()
        last = await peer.receive_frame()
        assert (last.opcode, last.payload, last.fin) == (CONTINUATION, b"end", True)
        for text in (b"second", b"third", b"fourth", b"fifth"):
            assert await peer.receive_frame() == Frame(TEXT, text)
        # From now on there is no turn to wait for.
        await connection.send_message("last")
        assert connection._core.outbox._turn is None
        tasks.cancel_scope.cancel()


async def test_what_waits_for_its_turn_can_be_cancelled(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, source = await begun(opener, tasks)
        with anyio.move_on_after(1) as scope:
            await connection.send_message("cancelled")
        assert scope.cancelled_caught
        source.end()
        assert (await peer.receive_frame()).fin
        await connection.send_message("sent")
        assert await peer.receive_frame() == Frame(TEXT, b"sent")
        tasks.cancel_scope.cancel()


async def test_an_iterable_that_raises_ends_a_message_that_was_begun(
    opener: Opener,
) -> None:
    def failing() -> Iterator[bytes]:
        yield FULL
        raise KeyError("no more")

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        with pytest.raises(KeyError):
            await connection.send_message(failing())
        assert connection.closed == CloseReason(1011, "a message could not be finished")
        assert not (await peer.receive_frame()).fin
        close = await peer.receive_frame()
        assert close.opcode == CLOSE
        assert close.payload[:2] == (1011).to_bytes(2, "big")
        await peer.send_frame(CLOSE, close_payload(1011, ""))
        tasks.start_soon(peer.receive_all)
        await connection.wait_closed()


async def test_a_message_that_was_not_begun_leaves_no_trace(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        cases: list[tuple[Any, str]] = [
            (["a", b"b"], "all texts or all bytes; text=True sends all"),
            ([b"a", 5], "not int"),
            ([5], "not int"),
            ({"a": 1}, "not dict"),
            ({"a", "b"}, "not set"),
            (parts_of("a", None), "not NoneType"),
            (["\ud800"], "surrogates"),
        ]
        for parts, error in cases:
            with pytest.raises(ValueError, match=error):
                await connection.send_message(parts)
        for data in ([b"\xff"], [b"a", b"\xc3"]):
            with pytest.raises(UnicodeDecodeError):
                await connection.send_message(data, text=True)
        with anyio.move_on_after(1) as scope:
            await connection.send_message(Source())
        assert scope.cancelled_caught
        await connection.send_message("sent")
        assert await peer.receive_frame() == Frame(TEXT, b"sent")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("over_sockets", [True, False])
async def test_a_message_that_is_cancelled_ends_the_connection(
    over_sockets: bool,
) -> None:
    async with linked_by_sockets() if over_sockets else linked() as (client, server):
        source = Source()
        source.put(FULL)
        with anyio.move_on_after(1):
            await client.send_message(source)
        with pytest.raises(ConnectionClosed) as caught:
            await server.get_message()
        assert caught.value.reason == CloseReason(
            1011, "a message could not be finished"
        )
        await client.wait_closed()


async def test_the_end_of_the_connection_is_seen_at_the_next_part(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        source = Source()
        errors: list[ConnectionClosed] = []

        async def sender() -> None:
            with pytest.raises(ConnectionClosed) as caught:
                await connection.send_message(source)
            errors.append(caught.value)

        tasks.start_soon(sender)
        source.put(FULL)
        await peer.receive_frame()
        await peer.send_close(1001)
        tasks.start_soon(peer.receive_all)
        await connection.wait_closed()
        source.put(FULL)
        await anyio.wait_all_tasks_blocked()
        assert not errors[0].nothing_sent
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message(Source())  # which would never end
        assert caught.value.nothing_sent
        tasks.cancel_scope.cancel()
