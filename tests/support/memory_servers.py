"""Servers over streams in memory, and clients of theirs that are driven by hand."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from anyio_websocket import (
    WebSocketRequest,
    WebSocketServer,
)
from anyio_websocket.testing import MemoryListener, ScriptedPeer, handshake_request

Handler = Callable[[WebSocketRequest], Awaitable[object]]


@asynccontextmanager
async def serving(
    handler: Handler, **options: Any
) -> AsyncGenerator[tuple[MemoryListener, TaskGroup]]:
    """Serve in memory while the block lasts; end it by cancelling."""
    listener = MemoryListener(
        options.pop("capacity", 65536), options.pop("backlog", 100)
    )
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(handler, [listener], **options)
        await tasks.start(server.run)
        yield listener, tasks
        tasks.cancel_scope.cancel()
    assert listener.closed


class Running:
    """A server in memory, and what becomes of it."""

    def __init__(self, server: WebSocketServer, listener: MemoryListener) -> None:
        self.server = server
        self.listener = listener
        self.returned = anyio.Event()  # run() has, without an exception
        self.started = 0.0  # the stop
        self.took = math.nan  # and what it took, in seconds

    async def stop(self, *args: Any, **options: Any) -> None:
        self.started = anyio.current_time()
        await self.server.aclose(*args, **options)
        self.took = anyio.current_time() - self.started
        assert self.listener.closed


@asynccontextmanager
async def running(handler: Handler, **options: Any) -> AsyncGenerator[Running]:
    """Serve in memory; the block is to stop the server."""
    listener = MemoryListener()
    server = WebSocketServer(handler, [listener], **options)
    result = Running(server, listener)

    async def run(*, task_status: Any) -> None:
        await server.run(task_status=task_status)
        result.returned.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(run)
        yield result
        with anyio.fail_after(100):
            await result.returned.wait()


async def raw_client(
    listener: MemoryListener, data: bytes | None = None
) -> ScriptedPeer:
    """Connect, and send a request or what else a test wants."""
    peer = ScriptedPeer(listener.connect(), is_client=True)
    await peer.stream.send(handshake_request() if data is None else data)
    return peer


async def accepted_client(listener: MemoryListener) -> ScriptedPeer:
    peer = await raw_client(listener)
    assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
    return peer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
