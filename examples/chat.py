"""A chat room, with its page on the same port.

Open http://127.0.0.1:8765/ in several windows.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from anyio_websocket import (
    HTTPRequest,
    HTTPResponse,
    WebSocketConnection,
    WebSocketRequest,
    broadcast,
    serve_websocket,
)

PORT: Final = 8765
HTML: Final = Path(__file__).with_name("chat.html").read_bytes()
PAGE: Final = HTTPResponse(200, HTML, {"Content-Type": "text/html"})

members: Final[set[WebSocketConnection]] = set()


async def page(request: HTTPRequest) -> HTTPResponse:
    """Serve the page."""
    return PAGE if request.path == "/" else HTTPResponse(404)


async def room(request: WebSocketRequest) -> None:
    """Let a client into the room, and tell everybody what it says."""
    connection = await request.accept()
    members.add(connection)
    try:
        async for text in connection:
            broadcast(members, text)  # one that reads too slowly misses it
    finally:
        members.remove(connection)


if __name__ == "__main__":
    serve = partial(serve_websocket, http_handler=page, max_message_size=4000)
    backend = (sys.argv[1:] or ["asyncio"])[0]
    anyio.run(serve, room, "127.0.0.1", PORT, None, backend=backend)
