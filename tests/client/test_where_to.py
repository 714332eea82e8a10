"""Ways to a server: other names, addresses, UNIX sockets, streams of the user."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, ByteStreamConnectable, Listener
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    Endpoint,
    HandshakeError,
    WebSocketRequest,
    is_transient,
    open_websocket,
    open_websocket_url,
    wrap_server_stream,
)
from anyio_websocket.testing import MemoryListener

from ..support.memory_servers import serving as memory_serving
from ..support.servers import echo, serving


async def test_the_name_in_tls(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("ws.example.test").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    hosts: list[object] = []

    async def handler(request: WebSocketRequest) -> None:
        hosts.append(request.host)
        await request.accept()

    async with serving(handler, context) as port:
        url = f"wss://127.0.0.1:{port}/"
        async with open_websocket_url(
            url, trusting, server_hostname="ws.example.test."
        ):
            pass
        assert hosts == [f"127.0.0.1:{port}"]
        with pytest.raises(HandshakeError, match=r"'other.test'"):
            async with open_websocket_url(url, trusting, server_hostname="other.test"):
                raise AssertionError
    with pytest.raises(ValueError, match="server_hostname is for TLS: use a wss: URL"):
        open_websocket_url("ws://x", server_hostname="y")
    with pytest.raises(ValueError, match="server_hostname is for TLS, and use_ssl is"):
        open_websocket("x", 80, "/", use_ssl=False, server_hostname="y")
    with pytest.raises(ValueError, match="host"):
        open_websocket_url("wss://x", server_hostname="a b")


async def test_from_an_address() -> None:
    seen: list[Endpoint | str] = []

    async def handler(request: WebSocketRequest) -> None:
        seen.append(request.remote)
        await request.accept()

    async with serving(handler) as port:
        url = f"ws://127.0.0.1:{port}/"
        with pytest.raises(HandshakeError, match=f":{port} from 192.0.2.1: "):
            async with open_websocket_url(url, local_host="192.0.2.1"):
                pass
        async with open_websocket_url(url, local_host="127.0.0.4") as ws:
            assert seen == [ws.local]
            assert str(ws.local).startswith('Endpoint(address="127.0.0.4"')


@asynccontextmanager
async def echoing(listener: Listener[ByteStream]) -> AsyncGenerator[list[object]]:
    """Echo to one client after the other; yield the hosts that they ask for."""
    hosts: list[object] = []

    async def handle(stream: ByteStream) -> None:
        async with anyio.create_task_group() as tasks:
            request = await wrap_server_stream(tasks, stream)
            hosts.append(request.host)
            await echo(request)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield hosts
        tasks.cancel_scope.cancel()


needs_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets"
)


@needs_unix
async def test_a_unix_socket(
    tmp_path: Path, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    path = tmp_path / "socket"
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket_url("ws://example.org", unix_path=path):
            raise AssertionError
    assert str(caught.value) == (
        "could not connect to the server at example.org:80 over the UNIX socket "
        f"{str(path)!r}: [Errno {errno.ENOENT}] {os.strerror(errno.ENOENT)}"
    )
    assert is_transient(
        caught.value
    )  # between the end of a server and the start of another
    async with echoing(await anyio.create_unix_listener(path)) as hosts:
        async with open_websocket_url("ws://example.org/", unix_path=path) as ws:
            await ws.send_message(b"x" * 2**20)
            assert await ws.get_message() == b"x" * 2**20
            assert ws.remote == str(path)
        assert hosts == ["example.org"]
    unix = await anyio.create_unix_listener(path)
    async with echoing(TLSListener(unix, server_tls, standard_compatible=False)):
        async with open_websocket(
            "localhost", 1, "/", use_ssl=client_tls, unix_path=str(path)
        ) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"


def test_without_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(ValueError, match="no UNIX sockets"):
        open_websocket_url("ws://x", unix_path="/a")


@needs_unix
def test_a_path_that_is_too_long_for_a_unix_socket() -> None:
    """Would that come out when it connects, a client could retry it for ever."""
    for path in ("/" + "a" * 400, "/" + "\u00e9" * 60, "\0" + "a" * 400):
        with pytest.raises(ValueError, match=r"unix_path is too long .*: \d+ bytes"):
            open_websocket_url("ws://x", unix_path=path)
    open_websocket_url("ws://x", unix_path="/" + "a" * 80)


class Connectable(ByteStreamConnectable):
    """Makes the streams that a memory listener accepts."""

    def __init__(self, listener: MemoryListener) -> None:
        self.connect_in_memory = listener.connect

    async def connect(self) -> ByteStream:
        return self.connect_in_memory()


async def test_via_an_object_of_the_user() -> None:
    async with memory_serving(echo) as (listener, _):
        async with open_websocket_url(
            "ws://example.org/", via=Connectable(listener)
        ) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"


async def test_tls_via_an_object_of_the_user(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with serving(tls=server_tls) as port:
        via = anyio.TCPConnectable("127.0.0.1", port)
        async with open_websocket_url("wss://localhost", client_tls, via=via) as ws:
            assert isinstance(ws.remote, Endpoint)
            assert ws.remote.is_ssl
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
    with pytest.raises(HandshakeError, match="server at localhost:80: "):
        async with open_websocket_url("ws://localhost", via=via):
            raise AssertionError
