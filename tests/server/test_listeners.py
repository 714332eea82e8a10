"""Listeners of any kind, their addresses, and their errors."""

from __future__ import annotations

import errno
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    Endpoint,
    WebSocketServer,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
)
from anyio_websocket.testing import Frame, MemoryListener

from ..support.frames import TEXT
from ..support.memory_servers import accepted_client
from ..support.servers import echo


@pytest.mark.virtual_time
async def test_closing_the_listener_ends_the_server() -> None:
    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        await listener.aclose()
        await peer.send_frame(TEXT, b"still here?")
        assert await peer.receive_frame() == Frame(TEXT, b"still here?")
        await peer.send_close(1000)
        await peer.receive_frame()
        await peer.stream.aclose()


async def test_several_listeners(server_tls: ssl.SSLContext) -> None:
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    tls = TLSListener(
        await anyio.create_tcp_listener(local_host="127.0.0.1"), server_tls
    )
    memory = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [plain, tls, memory])
        await tasks.start(server.run)
        one, two, three = server.listeners
        assert isinstance(one, Endpoint)
        assert isinstance(two, Endpoint)
        assert (one.is_ssl, two.is_ssl) == (False, True)
        assert three == repr(memory)
        with pytest.raises(RuntimeError, match="several"):
            _ = server.port
        async with open_websocket_url(one.url) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()


async def test_port() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener:
        server = WebSocketServer(echo, [listener])
        assert server.port == port
    with pytest.raises(RuntimeError, match="has no port"):  # its socket is closed
        _ = server.port
    async with MemoryListener() as memory:
        with pytest.raises(RuntimeError, match="has no port"):
            _ = WebSocketServer(echo, [memory]).port


async def test_all_interfaces_have_one_port() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, None, 0, None)
        port = server.port
        assert {e.port for e in server.listeners} == {port}
        async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()
    assert server.port == port  # though its sockets are closed


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = await anyio.create_unix_listener(path)
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        (endpoint,) = server.listeners
        assert "Listener" in str(endpoint)
        stream = await anyio.connect_unix(path)
        ws = await wrap_client_stream(tasks, stream, "localhost", "/")
        assert ws.remote == str(path)
        assert ws.remote_address is None
        await ws.send_message("a")
        assert await ws.get_message() == "a"
        await ws.aclose()
        tasks.cancel_scope.cancel()


async def test_a_listener_with_a_serve_of_its_own(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class OwnTLSListener(TLSListener):
        """A subclass has its own ideas of the TLS handshake, which are kept."""

    listener = OwnTLSListener(
        await anyio.create_tcp_listener(local_host="127.0.0.1"), server_tls
    )
    port = listener.listener.extra(SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        assert "OwnTLSListener" in str(server.listeners[0])
        async with open_websocket_url(f"wss://127.0.0.1:{port}", client_tls) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()


class FailingListener(MemoryListener):
    """Raises before it accepts."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self.errors = errors

    async def accept(self) -> ByteStream:
        if self.errors:
            raise self.errors.pop(0)
        return await super().accept()


def wrapped(error: OSError) -> anyio.BrokenResourceError:
    broken = anyio.BrokenResourceError()
    broken.__cause__ = error
    return broken


def error_of(name: str) -> OSError:
    number: int = getattr(errno, name)
    return OSError(number, os.strerror(number))


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
@pytest.mark.parametrize("wrap", [lambda error: error, wrapped])
async def test_G1_errors_that_pass_are_logged_and_survived(
    name: str, wrap: Callable[[OSError], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    listener = FailingListener([wrap(error_of(name)) for _ in range(25)])
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        started = anyio.current_time()
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        assert anyio.current_time() - started == pytest.approx(2.5, abs=0.1)
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    said = [r.message for r in caplog.records if r.name == "anyio_websocket"]
    assert len(said) == 3  # one for each second
    assert all(os.strerror(getattr(errno, name)) in message for message in said)


@pytest.mark.virtual_time
async def test_G1_a_client_that_left_before_accept_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = FailingListener([error_of("ECONNABORTED"), error_of("EPROTO")])
    async with anyio.create_task_group() as tasks:
        await tasks.start(WebSocketServer(echo, [listener]).run)
        peer = await accepted_client(listener)
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    # There is nothing to do about it.
    assert not [r for r in caplog.records if r.name == "anyio_websocket"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EBADF, "bad"), wrapped(OSError(errno.EBADF, "bad")), KeyError()],
)
async def test_G1_other_errors_of_a_listener_end_the_server(error: Exception) -> None:
    listener = FailingListener([error])
    with pytest.RaisesGroup(type(error), flatten_subgroups=True):
        await WebSocketServer(echo, [listener]).run()
    assert listener.closed


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol"),
        TimeoutError(),
        ConnectionResetError(),
        BrokenPipeError("gone"),
        anyio.BrokenResourceError(),
        wrapped(ConnectionResetError()),
    ],
)
async def test_G11_a_client_that_is_lost_in_accept_is_one_client(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    listener = FailingListener([error] * 5)
    async with anyio.create_task_group() as tasks:
        start = anyio.current_time()
        await tasks.start(WebSocketServer(echo, [listener]).run)
        peer = await accepted_client(listener)
        assert anyio.current_time() == start  # the next one is not delayed
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    assert not [r for r in caplog.records if r.name == "anyio_websocket"]


@pytest.mark.virtual_time
async def test_G11_a_listener_that_always_fails_is_not_asked_all_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = FailingListener([anyio.BrokenResourceError() for _ in range(39)])
    async with anyio.create_task_group() as tasks:
        start = anyio.current_time()
        await tasks.start(WebSocketServer(echo, [listener]).run)
        peer = await accepted_client(listener)
        assert anyio.current_time() - start == pytest.approx(3, abs=0.1)
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    said = [r.message for r in caplog.records if r.name == "anyio_websocket"]
    assert len(said) == 3  # one for each second
    assert all("BrokenResourceError" in message for message in said)
