"""The API of trio-websocket: names, signatures, and programs that change one import."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import anyio_websocket

theirs: Any = pytest.importorskip("trio_websocket")

# Every default that differs, and what ours is. Why, is told to users in
# docs/howto/migrate-from-trio-websocket.rst.
DEFAULTS = {
    "message_queue_size": math.inf,
    "receive_buffer_size": 131_000,
    "connect_timeout": 10.0,
    "disconnect_timeout": 10.0,
}
# Parameters that they do not have; all of them are keyword-only.
EVERYWHERE = {
    "count_messages",
    "decode_text",
    "max_head_size",
    "on_event",
    "ping_interval",
    "ping_timeout",
    "send_timeout",
}
IDENTITY = {"auth", "cookies", "origin", "user_agent"}
PINGS = {"on_ping", "on_pong", "auto_pong"}
CLIENT_STREAM = {"compression", "extensions", *IDENTITY, *PINGS, *EVERYWHERE}
WHERE = {"proxy", "proxy_ssl", "local_host", "server_hostname", "unix_path", "via"}
REDIRECTS = {"cross_origin_redirects", "max_redirects"}
CLIENT = {*WHERE, *REDIRECTS, *CLIENT_STREAM}
LIMITS = {
    "max_connections",
    "max_connections_per_address",
    "max_pending_handshakes",
}
PLAIN_HTTP = {"http_handler", "max_request_body"}
SERVER = {"origins", "compression", *EVERYWHERE}
NEW = {
    "open_websocket": CLIENT,
    "open_websocket_url": CLIENT,
    "connect_websocket": {"connect_timeout", "disconnect_timeout", *CLIENT},
    "connect_websocket_url": {"connect_timeout", "disconnect_timeout", *CLIENT},
    "wrap_client_stream": {"connect_timeout", "disconnect_timeout", *CLIENT_STREAM},
    "wrap_server_stream": {
        "connect_timeout",
        "disconnect_timeout",
        "initial_data",
        *SERVER,
    },
    "serve_websocket": {
        *("backlog", "handler_errors", "reuse_port"),
        *LIMITS,
        *PLAIN_HTTP,
        *SERVER,
    },
    "WebSocketServer": {"handler_errors", *LIMITS, *PLAIN_HTTP, *SERVER},
    "accept": {"extensions", *PINGS},
    "send_message": {"compress", "text"},
}
# Made by the library alone, so what they take is its own.
PRIVATE_CONSTRUCTORS = {"WebSocketConnection", "WebSocketRequest"}
NAMES = [name for name in dir(theirs) if not name.startswith("_")]


def compare(name: str, ours: Any, their: Any) -> None:
    """Hold one signature against the other."""
    expected = _ordered(their)
    actual = list(inspect.signature(ours).parameters.values())
    new = [p for p in actual if p.name in NEW.get(name, ())]
    for parameter in new:
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty
    kept = [p for p in _ordered(ours) if p not in new]
    assert [p.name for p in kept] == [p.name for p in expected]
    for mine, yours in zip(kept, expected, strict=True):
        assert mine.kind == yours.kind, mine
        if yours.default is yours.empty or mine.name == "task_status":
            assert (mine.default is mine.empty) == (yours.default is yours.empty)
        else:
            assert mine.default == DEFAULTS.get(mine.name, yours.default), mine


def _ordered(function: Any) -> list[inspect.Parameter]:
    """Sort the parameters that are for keywords only: their order means nothing."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    others = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    return others + sorted(named, key=lambda p: p.name)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    their = getattr(theirs, name)
    if inspect.ismodule(their):
        pytest.skip("a module of theirs, and no name of their API")
    ours = getattr(anyio_websocket, name)
    if inspect.isfunction(their):
        compare(name, ours, their)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(their)
        return
    if name not in PRIVATE_CONSTRUCTORS and not issubclass(their, Exception):
        compare(name, ours, their)
    for attribute, value in vars(their).items():
        if attribute.startswith("_"):
            continue
        mine = inspect.getattr_static(ours, attribute)
        if inspect.isfunction(value):
            compare(attribute, mine, value)
            assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(
                value
            )
        elif isinstance(value, property):
            assert isinstance(mine, property)


def test_exceptions() -> None:
    for name in NAMES:
        their = getattr(theirs, name)
        if isinstance(their, type) and issubclass(their, Exception):
            ours = getattr(anyio_websocket, name)
            bases = [base.__name__ for base in their.__mro__]
            kept = [base.__name__ for base in ours.__mro__]
            assert [base for base in kept if base != "WebSocketError"] == bases
    error = anyio_websocket.ConnectionRejected(403, ((b"a", b"b"),), b"no")
    assert (error.status_code, error.headers, error.body) == (
        403,
        ((b"a", b"b"),),
        b"no",
    )


# Programs as users of trio-websocket write them. They are run twice, with the import
# as it stands and with the import changed, and must print the same.

ECHO = """
import trio
from trio_websocket import ConnectionClosed, open_websocket_url, serve_websocket


async def echo_server(request):
    ws = await request.accept()
    while True:
        try:
            message = await ws.get_message()
            await ws.send_message(message)
        except ConnectionClosed:
            break
    print("server:", ws.closed)


async def main():
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, echo_server, "127.0.0.1", 0, None)
        url = f"ws://127.0.0.1:{server.port}/some/path?query"
        async with open_websocket_url(url) as ws:
            print(ws.is_client, ws.is_server, ws.path, ws.subprotocol, ws.closed)
            await ws.send_message("hello world!")
            print("client:", await ws.get_message())
            await ws.send_message(bytes(range(5)))
            print("client:", await ws.get_message())
            await ws.ping()
            await ws.ping(b"payload")
            await ws.pong()
        print("client:", ws.closed)
        try:
            await ws.send_message("too late")
        except ConnectionClosed as exc:
            print("client:", exc.reason.code, exc.reason.name, exc.reason.reason)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


trio.run(main)
"""

CHAT = """
from functools import partial

import trio
import trio_websocket

members = {}


async def chat(request):
    name = request.path.lstrip("/")
    if name in members:
        await request.reject(409, body=b"there is one of that name")
        return
    protocols = request.proposed_subprotocols
    ws = await request.accept(
        subprotocol=protocols[0], extra_headers=[(b"X-Room", b"lobby")]
    )
    members[name] = ws
    try:
        while True:
            text = await ws.get_message()
            for other in list(members):
                if other != name:
                    await members[other].send_message(f"{name}: {text}")
    except trio_websocket.ConnectionClosed as exc:
        print(name, "left:", exc.reason.code, exc.reason.reason)
    finally:
        del members[name]


async def connect(nursery, port, name):
    return await trio_websocket.connect_websocket(
        nursery, "127.0.0.1", port, f"/{name}", use_ssl=False, subprotocols=["chat"]
    )


async def main():
    async with trio.open_nursery() as nursery:
        serve = partial(
            trio_websocket.serve_websocket,
            handler=chat,
            host="127.0.0.1",
            port=0,
            ssl_context=None,
            max_message_size=1000,
        )
        server = await nursery.start(serve)
        print(server.listeners[0].url.startswith("ws://127.0.0.1:"))
        async with trio.open_nursery() as clients:
            ann = await connect(clients, server.port, "ann")
            bob = await connect(clients, server.port, "bob")
            print(ann.subprotocol, ann.handshake_headers)
            try:
                async with trio_websocket.open_websocket(
                    "127.0.0.1", server.port, "ann", use_ssl=False
                ):
                    print("let in")
            except trio_websocket.ConnectionRejected as exc:
                print(exc.status_code, exc.body)
            await ann.send_message("hello")
            print(await bob.get_message())
            await bob.send_message("hello ann")
            print(await ann.get_message())
            await ann.aclose(4000, "lunch")
            print(ann.closed)
            await trio.sleep(0.1)
            await bob.send_message("x" * 1001)
            try:
                await bob.get_message()
            except trio_websocket.ConnectionClosed as exc:
                print(exc.reason)
            await bob.aclose()
            await trio.sleep(0.1)
            clients.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


trio.run(main)
"""

TRANSPORTS = """
import trio
import trio.testing
from trio_websocket import WebSocketServer, wrap_client_stream, wrap_server_stream
from trio_websocket import CloseReason, ConnectionClosed, HandshakeError
from trio_websocket import open_websocket, open_websocket_url


class CdpConnectionClosed(ConnectionClosed):
    def __init__(self, reason):
        self.reason = reason

    def __repr__(self):
        return f"CdpConnectionClosed<{self.reason}>"


async def handler(request):
    ws = await request.accept()
    ws.owner = "me"
    try:
        await ws.send_message(await ws.get_message())
        await ws.get_message()
    except ConnectionClosed as exc:
        print(repr(CdpConnectionClosed(exc.reason)))


async def main():
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()

        async def serve():
            await handler(await wrap_server_stream(nursery, theirs, 1, 2**10, None))

        nursery.start_soon(serve)
        ws = await wrap_client_stream(nursery, ours, "localhost", "/")
        await ws.send_message("in memory")
        print(await ws.get_message(), "StapledStream" in ws.local)
        await ws.aclose(code=1001, reason="bye")
        await ws.aclose()
        print(ws.closed)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = WebSocketServer(handler, listeners, handler_nursery=nursery)
        await nursery.start(server.run)
        async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False) as ws:
            await ws.send_message("over TCP")
            print(await ws.get_message())
            print(repr(ws.remote) == repr(server.listeners[0]))
            await ws.aclose(1006)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()

    try:
        async with open_websocket("127.0.0.1", 1, "/", use_ssl=False):
            pass
    except HandshakeError as exc:
        print(isinstance(exc.__cause__, OSError))
    for url in ("http://localhost", "https://localhost"):
        try:
            open_websocket_url(url)
        except ValueError:
            print("no WebSocket URL")
    try:
        WebSocketServer(handler, [])
    except ValueError as exc:
        print(exc)
    try:
        async with open_websocket("127.0.0.1", 1, "/", use_ssl=1):
            pass
    except TypeError as exc:
        print(exc)
    print(repr(ConnectionClosed(CloseReason(1000, "as tests do"))))


trio.run(main)
"""


@pytest.mark.parametrize("program", [ECHO, CHAT, TRANSPORTS], ids=["echo", "chat", "t"])
def test_a_program_that_changes_its_import(program: str, tmp_path: Path) -> None:
    changed = program.replace(
        "import trio_websocket\n", "import anyio_websocket as trio_websocket\n"
    ).replace("from trio_websocket import", "from anyio_websocket import")
    assert changed != program
    outputs: list[str] = []
    for name, text in (("theirs", program), ("ours", changed)):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        result = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        # Ours quotes the reason: it is the peer's text, and may end up in a log.
        outputs.append(result.stdout.replace("'", ""))
    assert outputs[1] == outputs[0]
    assert len(outputs[0].splitlines()) > 5


# A library that nobody can change, and a program that uses it.
LIBRARY = """
import trio_websocket
from trio_websocket import open_websocket_url
from trio_websocket._impl import ConnectionClosed, ConnectionRejected, HandshakeError


async def ask(url):
    async with open_websocket_url(url) as ws:
        await ws.send_message("hello")
        print(await ws.get_message(), trio_websocket.WebSocketConnection.__module__)
        try:
            while True:
                await ws.get_message()
        except ConnectionClosed as exc:
            print(exc.reason.code.value, exc.reason.code.name)
"""
PROGRAM = """
import aliases
import anyio
import library
import anyio_websocket


async def answer(request):
    ws = await request.accept()
    await ws.send_message(await ws.get_message())
    await ws.aclose(1001)


async def main():
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            anyio_websocket.serve_websocket, answer, "127.0.0.1", 0, None
        )
        await library.ask(f"ws://127.0.0.1:{server.port}/")
        tasks.cancel_scope.cancel()


for backend in ("asyncio", "trio"):
    anyio.run(main, backend=backend)
"""


def test_H6_libraries_that_import_trio_websocket(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "aliases.py"
    (tmp_path / "aliases.py").write_text(example.read_text("utf-8"), "utf-8")
    (tmp_path / "library.py").write_text(LIBRARY, "utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    result = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        # Its modules find each other by their folder.
        env={k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"},
    )
    assert result.stderr == ""
    assert result.stdout == "hello anyio_websocket\n1001 GOING_AWAY\n" * 2
