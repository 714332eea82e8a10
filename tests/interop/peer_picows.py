"""The library picows; it hands out frames, so that messages are put together here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

from .peer import FRAGMENTED, FRAGMENTS, Connection, Handle, Message, PythonPeer


class _Connection(Connection, WSListener):
    compressed = False

    def __init__(self, handle: Handle | None = None) -> None:
        self._handle = handle
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._fragments: list[bytes] = []
        self._is_text = False
        self._pong = asyncio.Event()
        self._close = (0, "")

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport: Any = transport  # the types know no codes of applications
        if self._handle is not None:
            self._task = asyncio.create_task(self._run(self._handle))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PONG:
            self._pong.set()
        elif frame.msg_type == WSMsgType.CLOSE:
            code: Any = frame.get_close_code()
            self._close = (int(code), frame.get_close_reason() or "")
            if not transport.is_close_frame_sent:
                self._transport.send_close(*self._close)
            transport.disconnect()
        else:
            self._put(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._messages.put_nowait(None)

    def _put(self, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._is_text = frame.msg_type == WSMsgType.TEXT
        self._fragments.append(frame.get_payload_as_bytes())
        if frame.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            self._messages.put_nowait(message.decode() if self._is_text else message)

    async def _run(self, handle: Handle) -> None:
        await handle(self)

    async def send(self, message: Message) -> None:
        if message == FRAGMENTED:
            first, middle, last = (text.encode() for text in FRAGMENTS)
            self._transport.send(WSMsgType.TEXT, first, fin=False)
            self._transport.send(WSMsgType.CONTINUATION, middle, fin=False)
            self._transport.send(WSMsgType.CONTINUATION, last)
        elif isinstance(message, str):
            self._transport.send(WSMsgType.TEXT, message.encode())
        else:
            self._transport.send(WSMsgType.BINARY, message)

    async def receive(self) -> Message | None:
        return await self._messages.get()

    async def ping(self) -> None:
        self._pong.clear()
        self._transport.send_ping(b"theirs")
        await self._pong.wait()

    async def close(self, code: int, reason: str) -> None:
        self._transport.send_close(code, reason.encode())
        await self._transport.wait_disconnected()

    def closed(self) -> tuple[int, str]:
        return self._close


class Peer(PythonPeer):
    backend = "asyncio"
    compresses = False

    @asynccontextmanager
    async def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AsyncGenerator[int]:
        def listener(request: WSUpgradeRequest) -> WSListener:
            return _Connection(handle)

        async with await ws_create_server(
            listener, "127.0.0.1", 0, ssl=tls, start_serving=True
        ) as server:
            yield server.sockets[0].getsockname()[1]

    @asynccontextmanager
    async def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AsyncGenerator[Connection]:
        connection = _Connection()
        transport, _ = await ws_connect(lambda: connection, url, ssl_context=tls)
        try:
            yield connection
        finally:
            transport.disconnect()
            await transport.wait_disconnected()
