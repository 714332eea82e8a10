"""The same application in each framework that speaks ASGI.

``/ws`` accepts the subprotocol b and sends each message back: texts behind what the
lifespan has left, bytes as they are. At "bye" it closes with 4001, and it notes the
code with which the client has closed. ``/no`` is rejected. ``/`` is a page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import litestar
import litestar.exceptions
import quart
import quart_trio
import starlette.applications
import starlette.responses
import starlette.routing
import starlette.websockets

Notes = list[Any]


async def _echo(ws: Any, notes: Notes) -> None:
    """Use what is a WebSocket of Starlette."""
    await ws.accept(subprotocol="b", headers=[(b"x-app", b"1")])
    try:
        while True:
            event = await ws.receive()
            ws._raise_on_disconnect(event)
            text = event.get("text")
            if text == "bye":
                await ws.close(4001, "see you")
                return
            if text is None:
                await ws.send_bytes(event["bytes"])
            else:
                await ws.send_text(f"{ws.scope['state']['greeting']}, {text}")
    except starlette.websockets.WebSocketDisconnect as exc:
        notes.append(exc.code)


def starlette_app(notes: Notes) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[dict[str, str]]:
        notes.append("up")
        yield {"greeting": "hello"}
        notes.append("down")

    async def echo(ws: starlette.websockets.WebSocket) -> None:
        await _echo(ws, notes)

    async def reject(ws: starlette.websockets.WebSocket) -> None:
        await ws.send_denial_response(starlette.responses.PlainTextResponse("no", 401))

    async def page(request: Any) -> starlette.responses.PlainTextResponse:
        return starlette.responses.PlainTextResponse("a page")

    return starlette.applications.Starlette(
        routes=[
            starlette.routing.WebSocketRoute("/ws", echo),
            starlette.routing.WebSocketRoute("/no", reject),
            starlette.routing.Route("/", page),
        ],
        lifespan=lifespan,
    )


def fastapi_app(notes: Notes) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[dict[str, str]]:
        notes.append("up")
        yield {"greeting": "hello"}
        notes.append("down")

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def echo(ws: fastapi.WebSocket) -> None:
        await _echo(ws, notes)

    @app.websocket("/no")
    async def reject(ws: fastapi.WebSocket) -> None:
        raise fastapi.HTTPException(401, "no")

    @app.get("/", response_class=starlette.responses.PlainTextResponse)
    async def page() -> str:
        return "a page"

    return app


def litestar_app(notes: Notes) -> Any:
    @asynccontextmanager
    async def lifespan(app: litestar.Litestar) -> AsyncGenerator[None]:
        notes.append("up")
        app.state.greeting = "hello"
        yield
        notes.append("down")

    @litestar.websocket("/ws")
    async def echo(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept(subprotocols="b", headers={"x-app": "1"})
        while True:
            event: Any = await socket.receive()
            if event["type"] == "websocket.disconnect":
                notes.append(event["code"])
                return
            text = event.get("text")
            if text == "bye":
                await socket.close(4001, "see you")
                return
            if text is None:
                await socket.send_bytes(event["bytes"])
            else:
                await socket.send_text(f"{socket.app.state.greeting}, {text}")

    @litestar.websocket("/no")
    async def reject(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        raise litestar.exceptions.NotAuthorizedException

    @litestar.get("/", media_type=litestar.MediaType.TEXT)
    async def page() -> str:
        return "a page"

    return litestar.Litestar(
        [echo, reject, page],
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    )


def quart_app(notes: Notes) -> Any:
    return _quart(quart.Quart(__name__), notes)


def quart_trio_app(notes: Notes) -> Any:
    return _quart(quart_trio.QuartTrio(__name__), notes)


def _quart(app: quart.Quart, notes: Notes) -> quart.Quart:
    greeting: list[str] = []

    @app.before_serving
    async def up() -> None:
        notes.append("up")
        greeting.append("hello")

    @app.after_serving
    async def down() -> None:
        notes.append("down")

    @app.websocket("/ws")
    async def echo() -> None:
        await quart.websocket.accept(headers={"x-app": "1"}, subprotocol="b")
        while True:
            message = await quart.websocket.receive()
            if message == "bye":
                await quart.websocket.close(4001, "see you")
                return
            if isinstance(message, str):
                message = f"{greeting[0]}, {message}"
            await quart.websocket.send(message)

    @app.websocket("/no")
    async def reject() -> tuple[str, int]:
        return "no", 401

    @app.route("/")
    async def page() -> str:
        return "a page"

    return app


APPS: dict[str, tuple[Callable[[Notes], Any], tuple[str, ...]]] = {
    "starlette": (starlette_app, ("asyncio", "trio")),
    "fastapi": (fastapi_app, ("asyncio", "trio")),
    "litestar": (litestar_app, ("asyncio", "trio")),
    "quart": (quart_app, ("asyncio",)),
    "quart-trio": (quart_trio_app, ("trio",)),
}
