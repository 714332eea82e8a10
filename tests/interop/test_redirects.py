"""Servers of other libraries that redirect, demand a login and set cookies."""

from __future__ import annotations

import asyncio
import http
import queue
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import pytest
import websockets.asyncio.server
from aiohttp import web

from anyio_websocket import ConnectionRejected, open_websocket_url

LOGIN = "Basic " + b64encode(b"me:secret").decode()


@contextmanager
def in_a_thread(
    server: Callable[[], AbstractAsyncContextManager[int]],
) -> Generator[int]:
    """Run a server on an asyncio loop of its own; yield its port."""
    started: queue.Queue[tuple[int, asyncio.AbstractEventLoop]] = queue.Queue()
    stopped = asyncio.Event()

    async def run() -> None:
        async with server() as port:
            started.put((port, asyncio.get_running_loop()))
            await stopped.wait()

    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    port, loop = started.get(timeout=60)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)


@asynccontextmanager
async def aiohttp_server() -> AsyncGenerator[int]:
    async def old(request: web.Request) -> web.Response:
        raise web.HTTPFound("/new?é=ab")

    async def new(request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("Authorization") != LOGIN:
            raise web.HTTPUnauthorized
        connection = web.WebSocketResponse()
        connection.set_cookie("session", "1")
        await connection.prepare(request)
        await connection.send_str(f"{request.path_qs} {request.cookies['theme']}")
        async for _ in connection:
            pass
        return connection

    app = web.Application()
    app.router.add_get("/old", old)
    app.router.add_get("/new", new)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@asynccontextmanager
async def websockets_server() -> AsyncGenerator[int]:
    def answer(connection: Any, request: Any) -> Any:
        if request.path == "/old":
            response = connection.respond(http.HTTPStatus.PERMANENT_REDIRECT, "")
            response.headers["Location"] = "new?%C3%A9=ab"
            return response
        if request.headers.get("Authorization") != LOGIN:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "")
        return None

    async def handle(connection: Any) -> None:
        theme = connection.request.headers["Cookie"].partition("=")[2]
        await connection.send(f"{connection.request.path} {theme}")
        await connection.wait_closed()

    async with websockets.asyncio.server.serve(
        handle, "127.0.0.1", 0, process_request=answer
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@pytest.fixture(scope="module", params=[aiohttp_server, websockets_server])
def server(request: pytest.FixtureRequest) -> Generator[int]:
    with in_a_thread(request.param) as port:
        yield port


async def test_redirects_and_identity(server: int) -> None:
    url = f"ws://me:secret@127.0.0.1:{server}/old"
    options: dict[str, Any] = {"cookies": {"theme": "dark"}}
    async with open_websocket_url(url, max_redirects=1, **options) as ws:
        assert await ws.get_message() == "/new?%C3%A9=ab dark"
    with pytest.raises(ConnectionRejected) as caught:
        async with open_websocket_url(url, **options):
            raise AssertionError
    assert caught.value.status_code in (302, 308)
    with pytest.raises(ConnectionRejected) as caught:
        async with open_websocket_url(
            url, auth=("me", "wrong"), max_redirects=1, **options
        ):
            raise AssertionError
    assert caught.value.status_code == 401
    assert "wrong" not in str(caught.value)
