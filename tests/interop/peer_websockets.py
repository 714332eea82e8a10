"""The library websockets, on asyncio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .peer import FRAGMENTED, FRAGMENTS, LIMIT, Connection, Handle, Message, PythonPeer


class WebsocketsConnection(Connection):
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.compressed = connection.protocol.extensions != []

    async def send(self, message: Message) -> None:
        await self._connection.send(FRAGMENTS if message == FRAGMENTED else message)

    async def receive(self) -> Message | None:
        try:
            message: Message = await self._connection.recv()
        except ConnectionClosed:
            return None
        return message

    async def ping(self) -> None:
        pong: Awaitable[object] = await self._connection.ping()
        await pong

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)

    def closed(self) -> tuple[int, str]:
        received = self._connection.protocol.close_rcvd
        return received.code, received.reason


class Peer(PythonPeer):
    backend = "asyncio"

    @asynccontextmanager
    async def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AsyncGenerator[int]:
        async def handler(connection: ServerConnection) -> None:
            await handle(WebsocketsConnection(connection))

        async with serve(handler, "127.0.0.1", 0, ssl=tls, max_size=LIMIT) as server:
            yield next(iter(server.sockets)).getsockname()[1]

    @asynccontextmanager
    async def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AsyncGenerator[Connection]:
        async with connect(url, ssl=tls, max_size=LIMIT, proxy=None) as connection:
            yield WebsocketsConnection(connection)
