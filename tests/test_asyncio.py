"""Under asyncio with asyncio's own things: timeouts and cancelled tasks."""

from __future__ import annotations

import asyncio
import contextvars
import select
from collections.abc import Awaitable, Callable
from functools import wraps

import pytest

from anyio_websocket import WebSocketConnection, open_websocket

from .support.sockets import pair
from .test_client import serving


def under_asyncio(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test by asyncio itself."""

    @wraps(test)
    def run() -> None:
        async def main() -> None:
            async with asyncio.timeout(10):
                await test()

        asyncio.run(main(), debug=True)

    return run


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
async def test_F1_cancelled_when_the_bytes_come() -> None:
    # A task is cancelled, and before it runs the socket's callback does: it leaves the
    # bytes for the next one.
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()  # twice counts as once
        theirs.send(b"bytes")
        select.select([transport._socket], [], [])
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await transport.receive(10) == b"bytes"


@under_asyncio
async def test_a_spurious_wake_up() -> None:
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        assert not task.done()
        theirs.send(b"bytes")
        assert await task == b"bytes"


@under_asyncio
async def test_the_context_of_a_task_that_waits() -> None:
    async with pair() as (transport, theirs):
        variable = contextvars.ContextVar("variable", default="theirs")
        seen: list[str] = []

        async def receive() -> None:
            variable.set("ours")
            await transport.receive(10)
            seen.append(variable.get())
            await transport.receive(10)
            seen.append(variable.get())

        task = asyncio.create_task(receive())
        for _ in range(2):
            await asyncio.sleep(0.01)
            theirs.send(b"bytes")
        await task
        assert seen == ["ours", "ours"]
