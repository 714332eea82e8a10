"""Opening a port or a UNIX socket to serve there."""

from __future__ import annotations

import socket
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    WebSocketServer,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    serve_websocket_unix,
)

from ..support.servers import echo

no_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="Python has no UNIX sockets"
)
no_reuse = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT"
)


@no_reuse
async def test_two_servers_on_one_port() -> None:
    serve = partial(serve_websocket, echo, "127.0.0.1", reuse_port=True)
    async with anyio.create_task_group() as tasks:
        one: WebSocketServer = await tasks.start(serve, 0, None)
        two: WebSocketServer = await tasks.start(serve, one.port, None)
        with pytest.raises(OSError, match=rf"port {one.port}: .*in use"):
            await serve_websocket(echo, "127.0.0.1", one.port, None)
        await one.aclose()  # and the other one goes on
        async with open_websocket("127.0.0.1", two.port, "/", use_ssl=False) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        await two.aclose()


async def test_a_short_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    listen = anyio.create_tcp_listener

    async def create(**options: Any) -> Any:
        seen.append(options["backlog"])
        return await listen(**options)

    monkeypatch.setattr(anyio, "create_tcp_listener", create)
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, echo, "127.0.0.1", 0, None)
        await (await tasks.start(serve)).aclose()
        await (await tasks.start(partial(serve, backlog=7))).aclose()
    assert seen == [65_536, 7]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"backlog": 0}, ValueError, r"serve_websocket\(\): backlog must be more than"),
        ({"backlog": 1.5}, TypeError, "backlog must be an int"),
        ({"reuse_port": 1}, TypeError, "reuse_port must be a bool"),
        ({"reuse_prot": True}, TypeError, "Did you mean 'reuse_port'"),
    ],
)
async def test_invalid_arguments(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await serve_websocket(echo, "127.0.0.1", 0, None, **options)


async def test_a_system_without_SO_REUSEPORT(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(ValueError, match="reuse_port cannot work, because this system"):
        await serve_websocket(echo, "127.0.0.1", 0, None, reuse_port=True)


@no_unix
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_unix_socket(
    secure: bool,
    tmp_path: Path,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    path = tmp_path / "socket"
    async with anyio.create_task_group() as tasks:
        serve = partial(
            serve_websocket_unix, echo, path, server_tls if secure else None
        )
        server: WebSocketServer = await tasks.start(serve)
        assert server.listeners == [f"UnixListener({str(path)!r})"]
        with pytest.raises(RuntimeError, match="has no port"):
            _ = server.port
        scheme, context = ("wss", client_tls) if secure else ("ws", None)
        async with open_websocket_url(
            f"{scheme}://localhost/", context, unix_path=path
        ) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
            assert ws.remote == str(path)
            (theirs,) = server.connections
            assert theirs.remote == f"a client of {path}"
        await server.aclose()
    assert not path.exists()
    assert theirs.remote == f"a client of {path}"


@no_unix
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"path": ""}, ValueError, "path must not be empty"),
        ({"path": "a\0b"}, ValueError, "has a NUL in it"),
        ({"path": b"socket"}, TypeError, "path must be a str, not bytes"),
        ({"path": 3}, TypeError, "PathLike"),
        (
            {"path": "x" * 300},
            ValueError,
            r"serve_websocket_unix\(\): path is too long for a UNIX socket: 300 bytes",
        ),
        ({"mode": 0o1000}, ValueError, "mode must be permissions such as 0o660"),
        ({"mode": -1}, ValueError, "mode must be zero or more"),
        ({"mode": "rw"}, TypeError, "mode must be an int"),
        ({"backlog": 0}, ValueError, "backlog must be more than zero"),
        ({"reuse_port": True}, TypeError, "unexpected keyword argument 'reuse_port'"),
        ({"handler": None}, TypeError, "handler must be an async function"),
    ],
)
async def test_invalid_arguments_for_a_unix_socket(
    options: dict[str, Any], error: type[Exception], text: str, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    with pytest.raises(error, match=text):
        await serve_websocket_unix(**{"handler": echo, "path": path, **options})
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names")
async def test_a_name_in_the_abstract_namespace(port: int) -> None:
    path = f"\0anyio_websocket-{port}"
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket_unix, echo, path, mode=0o600)
        server: WebSocketServer = await tasks.start(serve)
        async with open_websocket_url("ws://localhost/", unix_path=path) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        with pytest.raises(OSError, match="another server listens there"):
            await serve_websocket_unix(echo, path)
        await server.aclose()
