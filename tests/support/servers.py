"""Servers for tests: of the library's over TCP, and of bare bytes."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketStream

from anyio_websocket import (
    WebSocketRequest,
    serve_websocket,
)
from anyio_websocket.testing import Frame, ScriptedPeer, handshake_response

from ..support.frames import TEXT


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


@asynccontextmanager
async def serving(
    handler: Callable[[WebSocketRequest], Awaitable[object]] = echo,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    **options: Any,
) -> AsyncGenerator[int]:
    """Serve on a port of its own while the block lasts."""
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, handler, host, 0, tls, **options)
        )
        yield server.port
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def raw_server(
    handler: Callable[[ByteStream], Awaitable[None]],
) -> AsyncGenerator[int]:
    """Serve bytes on a port of its own while the block lasts.

    It accepts by hand: asyncio and uvloop lose a client that comes in the moment in
    which the task that accepts is cancelled, and complain of it.
    """

    async def handle(sock: socket.socket) -> None:
        with anyio.CancelScope(shield=True):  # or nobody would close it
            stream = await SocketStream.from_socket(sock)
        async with stream:
            await handler(stream)

    async def serve() -> None:
        while True:
            await anyio.wait_readable(listener)
            with suppress(BlockingIOError):
                sock, _ = listener.accept()
                tasks.start_soon(handle, sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield listener.getsockname()[1]
            tasks.cancel_scope.cancel()


async def accepted(stream: ByteStream) -> ScriptedPeer:
    """Accept a request."""
    peer = ScriptedPeer(stream, is_client=False)
    await peer.send_bytes(handshake_response(await peer.receive_head()))
    return peer


async def never_closes(stream: ByteStream) -> None:
    """Accept a request, and read nothing that comes after it."""
    await accepted(stream)
    await anyio.sleep_forever()


def answering(data: bytes, *, then_wait: bool = False) -> Any:
    """Make a handler that reads a request and answers these bytes."""

    async def handler(stream: ByteStream) -> None:
        await ScriptedPeer(stream, is_client=False).receive_head()
        await stream.send(data)
        if then_wait:
            await anyio.sleep_forever()

    return handler


async def silent(stream: ByteStream) -> None:
    """Accept, and say nothing."""
    await anyio.sleep_forever()


@asynccontextmanager
async def connected(port: int, data: bytes = b"") -> AsyncGenerator[ScriptedPeer]:
    """Connect by hand and say something; whether that is accepted is another matter."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(data)
        yield ScriptedPeer(stream, is_client=True)


async def is_answered(peer: ScriptedPeer) -> bool:
    """Say whether a client is let in, at once or after a while."""
    with anyio.fail_after(5):
        return (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")


async def is_served(peer: ScriptedPeer) -> bool:
    """Say whether a client that was let in gets its echo."""
    with anyio.fail_after(5):
        await peer.send_frame(TEXT, b"still here?")
        return await peer.receive_frame() == Frame(TEXT, b"still here?")


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the server has logged; asyncio in debug mode complains of slow machines."""
    return [record for record in caplog.records if record.name == "anyio_websocket"]
