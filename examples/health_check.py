"""A server behind HAProxy, which asks it whether it is healthy (see haproxy.cfg)."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import Final

import anyio

from anyio_websocket import (
    HTTPRequest,
    HTTPResponse,
    WebSocketRequest,
    healthz,
    serve_websocket,
)

PORT: Final = 8765
NOTICE: Final = 3.0  # seconds; HAProxy asks once a second, and believes it the 2nd time


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def main() -> None:
    """Serve until a signal arrives."""
    stopping = anyio.Event()

    async def health(request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(503) if stopping.is_set() else await healthz(request)

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, http_handler=health)
        server = await tasks.start(serve, echo, "127.0.0.1", PORT, None)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print("serving", flush=True)
            async for _ in signals:
                stopping.set()  # so that new clients are sent to other servers
                await anyio.sleep(NOTICE)
                await server.aclose(1012)
                break


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
