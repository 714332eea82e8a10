"""The library aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

from .peer import LIMIT, Connection, Handle, Message, PythonPeer


class _Connection(Connection):
    def __init__(
        self, connection: ClientWebSocketResponse | web.WebSocketResponse
    ) -> None:
        self._connection = connection
        self._reason = ""
        self.compressed = bool(connection.compress)

    async def send(self, message: Message) -> None:  # it cannot send fragments
        if isinstance(message, str):
            await self._connection.send_str(message)
        else:
            await self._connection.send_bytes(message)

    async def receive(self) -> Message | None:
        received = await self._connection.receive()
        if received.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            message: Message = received.data
            return message
        if received.type is WSMsgType.CLOSE:
            self._reason = received.extra or ""
        return None

    async def ping(self) -> None:
        await self._connection.ping()  # it keeps the pong to itself

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code=code, message=reason.encode())

    def closed(self) -> tuple[int, str]:
        return self._connection.close_code or 0, self._reason


class Peer(PythonPeer):
    backend = "asyncio"
    answers = 1000

    @asynccontextmanager
    async def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AsyncGenerator[int]:
        async def handler(request: web.Request) -> web.WebSocketResponse:
            connection = web.WebSocketResponse(max_msg_size=LIMIT)
            await connection.prepare(request)
            await handle(_Connection(connection))
            return connection

        app = web.Application()
        app.router.add_get("/", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AsyncGenerator[Connection]:
        async with ClientSession() as session:
            async with session.ws_connect(
                url, ssl=tls or True, compress=15, max_msg_size=LIMIT
            ) as connection:
                yield _Connection(connection)
        if tls is not None:
            await asyncio.sleep(0.1)  # TLS is shut down behind the session's back
