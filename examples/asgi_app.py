"""A Starlette application with a WebSocket and a page, on asyncio or on trio."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from anyio_websocket import asgi, serve_websocket


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, str]]:
    """Open what the application needs, and close it in the end."""
    yield {"greeting": "hello"}
    print("shut down")


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    async for name in websocket.iter_text():
        await websocket.send_text(f"{websocket.state.greeting}, {name}")


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("all is well\n")


app = Starlette(
    routes=[WebSocketRoute("/greet", greet), Route("/", page)], lifespan=lifespan
)


async def main() -> None:
    """Serve until a signal arrives."""
    async with asgi.lifespan(app) as state, anyio.create_task_group() as tasks:
        pages = asgi.http_handler(app, state=state)
        serve = partial(serve_websocket, http_handler=pages)
        handler = asgi.handler(app, state=state)
        server = await tasks.start(serve, handler, "127.0.0.1", 0, None)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print(f"serving on port {server.port}", flush=True)
            async for _ in signals:
                await server.aclose(1012)
                break


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
