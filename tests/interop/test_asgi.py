"""Applications of ASGI's frameworks on our server, and our code on ASGI's servers."""

from __future__ import annotations

import http.client
import importlib
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    closing,
    suppress,
)
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import hypercorn
import pytest
import uvicorn
from fastapi import FastAPI, WebSocket

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    WebSocketRequest,
    asgi,
    open_websocket_url,
)
from anyio_websocket.testing import serve_in_memory

from ..support.examples import EXAMPLES, serving_example
from ..support.servers import serving
from .asgi_apps import APPS

Connect = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]

CASES = [(name, backend) for name in APPS for backend in APPS[name][1]]


@pytest.mark.parametrize("where", ["memory", "port"])
@pytest.mark.parametrize(("name", "backend"), CASES)
def test_an_application_on_our_server(name: str, backend: str, where: str) -> None:
    anyio.run(_use_application, name, where, backend=backend)


async def _use_application(name: str, where: str) -> None:
    notes: list[Any] = []
    app = APPS[name][0](notes)
    with anyio.fail_after(20):
        async with asgi.lifespan(app) as state:
            assert notes == ["up"]
            handler = asgi.handler(app, state=state)
            if where == "memory":
                async with serve_in_memory(handler) as connect:
                    await _use(connect, name, notes)
            else:
                pages = asgi.http_handler(app, state=state)
                async with serving(handler, http_handler=pages) as port:
                    await _use(partial(_connect, port), name, notes)
                    page = await anyio.to_thread.run_sync(_page, port)
                    assert page == (200, b"a page")
    assert notes[-1] == "down"


def _connect(
    port: int, path: str, **options: Any
) -> AbstractAsyncContextManager[WebSocketConnection]:
    return open_websocket_url(f"ws://127.0.0.1:{port}{path}", **options)


def _page(port: int) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", "/")
        response = client.getresponse()
        return response.status, response.read()


async def _use(connect: Connect, name: str, notes: list[Any]) -> None:
    async with connect("/ws", subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol == "b"
        assert (b"x-app", b"1") in ws.handshake_headers
        await ws.send_message("Änn")
        assert await ws.get_message() == "hello, Änn"
        await ws.send_message(b"\xff")
        assert await ws.get_message() == b"\xff"
        await ws.aclose(4000, "bye")
    async with connect("/ws", subprotocols=["b"]) as ws:
        await ws.send_message("bye")
        with pytest.raises(ConnectionClosed):
            await ws.get_message()
    assert ws.closed == CloseReason(4001, "see you")
    with pytest.raises(ConnectionRejected) as caught:
        async with connect("/no"):
            raise AssertionError
    # Litestar closes with 4401, which is a 403 before the request is accepted.
    expected = (403, b"") if name == "litestar" else (401, b"no")
    if name == "fastapi":
        expected = (401, b'{"detail":"no"}')
    assert (caught.value.status_code, caught.value.body) == expected
    if not name.startswith("quart"):  # it does not tell the code
        assert 4000 in notes


# -- our code inside an application --------------------------------------------

OURS: list[Any] = []


async def handler(request: WebSocketRequest | asgi.WebSocketStream) -> None:
    if request.path == "/no?why":
        await request.reject(418, extra_headers={"X-Why": "tea"}, body=b"no coffee")
        return
    protocol = request.select_subprotocol(["b"])
    ws = await request.accept(subprotocol=protocol, extra_headers={"X-One": "1"})
    try:
        async for message in ws:
            if message == "bye":
                await ws.aclose(4001, "see you")
            await ws.send_message(message)
    except ConnectionClosed as exc:
        OURS.append((exc.reason, ws.closed))
        raise


async def app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"  # there is no lifespan
    ws = asgi.WebSocketStream(receive, send, scope=scope)
    with suppress(ConnectionClosed):
        await handler(ws)
    await ws.aclose()


@asynccontextmanager
async def on_uvicorn(port: int, ws: str) -> AsyncGenerator[None]:
    config = uvicorn.Config(app, port=port, ws=ws, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:
            await anyio.sleep(0.01)
        yield
        server.should_exit = True


@asynccontextmanager
async def on_hypercorn(port: int, backend: str) -> AsyncGenerator[None]:
    serve: Any
    if backend == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, app, config, shutdown_trigger=stop.wait))
        while True:
            with suppress(OSError):
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                break
            await anyio.sleep(0.01)
        yield
        stop.set()


SERVERS: dict[str, tuple[str, Callable[[int], AbstractAsyncContextManager[None]]]] = {
    "uvicorn-wsproto": ("asyncio", partial(on_uvicorn, ws="wsproto")),
    "uvicorn-websockets": ("asyncio", partial(on_uvicorn, ws="websockets-sansio")),
    "hypercorn-asyncio": ("asyncio", partial(on_hypercorn, backend="asyncio")),
    "hypercorn-trio": ("trio", partial(on_hypercorn, backend="trio")),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_handler_of_ours_on_another_server(
    name: str, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        with anyio.fail_after(20):
            async with server(port):
                await _use_handler(partial(_connect, port))
        # Hypercorn does not tell how a client has closed.
        gone = CloseReason(1006, None) if "hyper" in name else CloseReason(4000, "ciao")
        closed = CloseReason(4001, "see you")
        assert [(gone, gone), (closed, closed)] == OURS

    caplog.set_level("INFO")
    OURS.clear()
    backend, server = SERVERS[name]
    anyio.run(main, backend=backend)
    # What our code raises at the end of a connection is no error for the server.
    loggers = ("uvicorn.error", "hypercorn.error")
    records = [record for record in caplog.records if record.name in loggers]
    assert records
    assert not [record for record in records if record.exc_info]


async def _use_handler(connect: Connect) -> None:
    async with connect("/", subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol == "b"
        assert (b"x-one", b"1") in ws.handshake_headers
        for message in ("ü" * 1000, b"\xff", ""):
            await ws.send_message(message)
            assert await ws.get_message() == message
        await ws.aclose(4000, "ciao")
    async with connect("/") as ws:
        await ws.send_message("bye")
        with pytest.raises(ConnectionClosed):
            await ws.get_message()
    assert ws.closed == CloseReason(4001, "see you")
    with pytest.raises(ConnectionRejected) as caught:
        async with connect("/no?why"):
            raise AssertionError
    assert (caught.value.status_code, caught.value.body) == (418, b"no coffee")
    assert (b"x-why", b"tea") in caught.value.headers


# -- the examples --------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_example_of_an_application(backend: str) -> None:
    async def client(port: int) -> None:
        async with _connect(port, "/greet") as ws:
            await ws.send_message("Ann")
            assert await ws.get_message() == "hello, Ann"
        assert await anyio.to_thread.run_sync(_page, port) == (200, b"all is well\n")

    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "asgi_app.py"), backend],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            anyio.run(client, int(server.stdout.readline().rpartition(" ")[2]))
            server.send_signal(signal.SIGTERM)
            assert server.communicate(timeout=60)[0] == "shut down\n"
        finally:
            server.kill()


def _example_inside() -> Any:
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("inside_asgi").app
    finally:
        sys.path.remove(str(EXAMPLES))


async def test_the_example_in_an_endpoint_of_fastapi() -> None:
    # As docs/howto/asgi.rst calls it.
    inside = _example_inside()
    app = FastAPI()

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await inside(websocket.scope, websocket.receive, websocket.send)

    async with serve_in_memory(asgi.handler(app)) as connect, connect("/echo") as ws:
        await ws.send_message("hello")
        assert await ws.get_message() == "hello"
    assert ws.closed == CloseReason(1000, None)


def test_the_example_of_a_handler_inside(tmp_path: Path, port: int) -> None:
    async def client(port: int) -> None:
        async with _connect(port, "/echo") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
        assert ws.closed == CloseReason(1000, None)
        with pytest.raises(ConnectionRejected, match="answered 404"):
            async with _connect(port, "/"):
                raise AssertionError

    with serving_example("inside_asgi.py", tmp_path, port):
        anyio.run(client, port)
    example = _example_inside()

    async def main() -> None:
        config = uvicorn.Config(example, port=port, log_config=None)
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve)
            while not server.started:
                await anyio.sleep(0.01)
            await client(port)
            server.should_exit = True

    anyio.run(main)
