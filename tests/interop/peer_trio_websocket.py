"""The library trio-websocket."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
import trio_websocket

from .peer import Connection, Handle, Message, PythonPeer


class _Connection(Connection):
    compressed = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def send(self, message: Message) -> None:  # it cannot send fragments
        await self._connection.send_message(message)

    async def receive(self) -> Message | None:
        try:
            message: Message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            return None
        return message

    async def ping(self) -> None:
        await self._connection.ping()

    async def close(self, code: int, reason: str) -> None:
        await self._connection.aclose(code, reason)

    def closed(self) -> tuple[int, str]:
        return self._connection.closed.code, self._connection.closed.reason or ""


class Peer(PythonPeer):
    backend = "trio"
    compresses = False

    @asynccontextmanager
    async def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AsyncGenerator[int]:
        async def handler(request: Any) -> None:
            await handle(_Connection(await request.accept()))

        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                trio_websocket.serve_websocket, handler, "127.0.0.1", 0, tls
            )
            yield server.port
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AsyncGenerator[Connection]:
        # Over a stream that is closed here, for sure and at once.
        address = urlsplit(url)
        host, port = address.hostname or "", address.port or 80
        stream: Any = await trio.open_tcp_stream(host, port)
        if tls is not None:
            stream = trio.SSLStream(
                stream, tls, server_hostname=host, https_compatible=True
            )
        async with stream, trio.open_nursery() as nursery:
            yield _Connection(
                await trio_websocket.wrap_client_stream(
                    nursery, stream, address.netloc, "/"
                )
            )
            nursery.cancel_scope.cancel()
