"""Whether a message that could not be sent may be sent again: ``nothing_sent``."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from anyio_websocket import ConnectionClosed, WebSocketConnection

from ..support.frames import TEXT
from ..support.peer import Opener, over_socket
from ..support.sockets import pair, read
from ..support.streams import failing

LARGE = bytes(10_000_000)


async def failed(
    call: Callable[..., Coroutine[Any, Any, object]], *args: Any
) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as caught:
        await call(*args)
    return caught.value


@pytest.mark.virtual_time
async def test_nothing_of_a_message_that_came_too_late(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks)
        await peer.send_close(1000)
        assert not (await failed(ws.get_message)).nothing_sent  # it sends nothing
        assert (await failed(ws.send_message, "hello")).nothing_sent
        assert (await failed(ws.send_messages, ["hello", "there"])).nothing_sent
        assert (await failed(ws.ping)).nothing_sent
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_over_a_stream_nobody_knows_what_was_sent(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, _, stream = await opener(tasks)
        stream.before_send = failing(OSError("broken"))
        assert not (await failed(ws.send_message, "hello")).nothing_sent
        assert (await failed(ws.send_message, "hello")).nothing_sent
        tasks.cancel_scope.cancel()


async def test_a_socket_that_takes_nothing_of_it() -> None:
    one, other = socket.socketpair()
    async with anyio.create_task_group() as tasks:
        ws = over_socket(one, tasks, is_client=True, ping_interval=None)
        other.close()
        # The first write finds it out, before anything was read.
        error = await failed(ws.send_message, "hello")
        assert isinstance(error.__cause__, OSError)
        assert error.nothing_sent
        tasks.cancel_scope.cancel()


async def test_a_message_of_which_a_part_was_sent_and_those_behind_it() -> None:
    errors: dict[str, ConnectionClosed] = {}

    async def send(name: str, ws: WebSocketConnection, *args: Any) -> None:
        method = ws.send_messages if isinstance(args[0], list) else ws.send_message
        errors[name] = await failed(method, *args)

    one, other = socket.socketpair()
    async with anyio.create_task_group() as tasks:
        ws = over_socket(one, tasks, is_client=False, ping_interval=None)
        async with anyio.create_task_group() as senders:
            for name, message in {
                "large": LARGE,
                "behind": "hello",
                "many behind": ["hello", "there"],
            }.items():
                senders.start_soon(send, name, ws, message)
                await anyio.wait_all_tasks_blocked()
            assert other.recv(1) == b"\x82"
            other.close()
        tasks.cancel_scope.cancel()
    assert {name for name in errors if errors[name].nothing_sent} == {
        "behind",
        "many behind",
    }


async def test_messages_of_which_some_were_sent() -> None:
    one, other = socket.socketpair()
    other.setblocking(False)
    async with anyio.create_task_group() as tasks:
        ws = over_socket(one, tasks, is_client=False, ping_interval=None)

        async def leave_after_the_first() -> None:
            assert (await read(other, 2))[0] == 0x80 | TEXT
            other.close()

        tasks.start_soon(leave_after_the_first)
        error = await failed(ws.send_messages, ["first", LARGE, LARGE])
        assert not error.nothing_sent
        tasks.cancel_scope.cancel()


async def test_a_peer_that_has_reset_the_connection() -> None:
    async with pair() as (transport, theirs):
        theirs.close()
        async with anyio.create_task_group() as tasks:
            ws = over_socket(
                transport._socket, tasks, is_client=True, ping_interval=None
            )
            # TCP takes the first, and only then hears that nobody is there.
            await ws.send_message("lost")
            await anyio.sleep(0.05)
            assert (await failed(ws.send_message, "hello")).nothing_sent
            tasks.cancel_scope.cancel()
