"""A handler that runs by itself, and inside an application under any ASGI server.

By itself: ``python inside_asgi.py``. Under uvicorn: ``uvicorn inside_asgi:app``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, Final

import anyio

from anyio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket
from anyio_websocket.asgi import WebSocketStream

PORT: Final = 8765


async def echo(request: WebSocketRequest | WebSocketStream) -> None:
    """Send every message back."""
    if request.path != "/echo":
        await request.reject(404)
        return
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Have an ASGI server call the handler."""
    if scope["type"] != "websocket":
        raise ValueError(f"there is no {scope['type']} here")  # ASGI wants it so
    request = WebSocketStream(receive, send, scope=scope)
    with suppress(ConnectionClosed):  # a handler may end so
        await echo(request)
    await request.aclose()


async def main() -> None:
    """Serve by itself, until Ctrl-C."""
    await serve_websocket(echo, "127.0.0.1", PORT, None)


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
