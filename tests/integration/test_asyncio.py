"""Under asyncio with asyncio's own things: timeouts and cancelled tasks."""

from __future__ import annotations

import asyncio

import pytest

from anyio_websocket import WebSocketConnection, open_websocket

from ..support.backends import under_asyncio
from ..support.peer import linked_by_sockets
from ..support.servers import serving


@under_asyncio
async def test_timeout_of_a_message_leaves_the_connection() -> None:
    async with serving() as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await ws.get_message()
            await ws.send_message("still here?")
            assert await ws.get_message() == "still here?"


@under_asyncio
async def test_timeout_around_the_block() -> None:
    async with serving() as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:
                async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                    timeout.reschedule(asyncio.get_running_loop().time() + 0.05)
                    await ws.get_message()
        assert ws.closed is not None
        assert ws.closed.code == 1006


@under_asyncio
async def test_cancelled_task() -> None:
    opened: list[WebSocketConnection] = []

    async def use(port: int) -> None:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            opened.append(ws)
            await ws.get_message()

    async with serving() as port:
        task = asyncio.create_task(use(port))
        while not opened:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert opened[0].closed is not None
        assert opened[0].closed.code == 1006


@under_asyncio
async def test_a_pong_that_comes_while_no_task_reads() -> None:
    # It is decoded in a callback, and anyio cannot tell there which event loop this is.
    async with linked_by_sockets() as (ours, theirs):
        await theirs.pong()
        await asyncio.sleep(0.01)
        await theirs.send_message("after it")
        assert await ours.get_message() == "after it"


@under_asyncio
async def test_F9_collected_replies_that_the_socket_does_not_take_at_once() -> None:
    # The event loop's callback that writes them runs in no task, and anyio cannot tell
    # there which event loop this is, as it can under anyio.run().
    async with linked_by_sockets() as (ours, theirs):
        box = ours._core.outbox
        box._batch.extend(
            ours._core.engine.frame_message(b"x" * 1000) for _ in "x" * 60
        )
        asyncio.get_running_loop().call_soon(box._in_next_pass)
        async with asyncio.timeout(5):
            for _ in range(60):
                assert await theirs.get_message() == b"x" * 1000
