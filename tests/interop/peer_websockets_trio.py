"""The library websockets, on trio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import trio
from websockets.trio.client import connect
from websockets.trio.server import ServerConnection, serve

from .peer import LIMIT, Connection, Handle, PythonPeer
from .peer_websockets import WebsocketsConnection


class _TrioConnection(WebsocketsConnection):
    async def ping(self) -> None:
        pong: trio.Event = await self._connection.ping()
        await pong.wait()

    async def close(self, code: int, reason: str) -> None:
        await self._connection.aclose(code, reason)


class Peer(PythonPeer):
    backend = "trio"

    @asynccontextmanager
    async def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AsyncGenerator[int]:
        async def handler(connection: ServerConnection) -> None:
            await handle(_TrioConnection(connection))

        start = partial(serve, handler, 0, host="127.0.0.1", ssl=tls, max_size=LIMIT)
        async with trio.open_nursery() as nursery:
            async with await nursery.start(start) as server:
                yield server.listeners[0].socket.getsockname()[1]

    @asynccontextmanager
    async def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AsyncGenerator[Connection]:
        async with connect(url, ssl=tls, max_size=LIMIT, proxy=None) as connection:
            yield _TrioConnection(connection)
