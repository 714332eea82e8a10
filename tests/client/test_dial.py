"""From a host and a port to a transport: TCP, TLS, and what fails on the way."""

from __future__ import annotations

import base64
import errno
import os
import pickle
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, ByteStreamConnectable, Listener
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    CloseReason,
    ConnectionTimeout,
    Endpoint,
    HandshakeError,
    WebSocketRequest,
    __version__,
    connect_websocket,
    connect_websocket_url,
    is_transient,
    open_websocket,
    open_websocket_url,
    wrap_server_stream,
)
from anyio_websocket._transport import _connect

from ..support.memory_servers import serving as memory_serving
from ..support.servers import answering, echo, raw_server, serving, silent
from ..support.sockets import resetting_server
from ..support.streams import MemoryListener

# In these tests the nursery ends, because the library leaves no task in it.


async def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with serving(tls=server_tls) as port:
        async with open_websocket_url(f"wss://localhost:{port}", client_tls) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            assert isinstance(ws.remote, Endpoint)
            assert ws.remote.is_ssl
            with anyio.fail_after(5):
                await ws.send_message(b"x" * 2**20)
                assert await ws.get_message() == b"x" * 2**20
        async with anyio.create_task_group() as tasks:
            ws = await connect_websocket_url(
                tasks, f"wss://127.0.0.1:{port}", ssl_context=client_tls
            )
            await ws.aclose(4000, "bye")
            assert ws.closed == CloseReason(4000, "bye")


@pytest.mark.parametrize("by_anyio", [False, True])
async def test_B12_a_name_with_its_final_dot(
    by_anyio: bool, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("ws.example.test").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    seen: list[object] = []

    def on_name(sock: object, name: str, context: object) -> None:
        seen.append(name)

    context.sni_callback = on_name
    real = anyio.getaddrinfo

    async def look_up(host: str, port: int, **options: Any) -> Any:
        seen.append(host)
        return await real("127.0.0.1", port, **options)

    async def handler(request: WebSocketRequest) -> None:
        seen.append(request.host)
        await request.accept()

    monkeypatch.setattr(anyio, "getaddrinfo", look_up)
    monkeypatch.setattr("anyio._core._sockets.getaddrinfo", look_up)
    if by_anyio:
        monkeypatch.setattr(_connect, "can_wait_for_sockets", lambda: False)
    async with serving(handler, context) as port:
        for name in ("ws.example.test", "ws.example.test."):
            seen.clear()
            async with open_websocket(name, port, "/", use_ssl=trusting):
                pass
            assert seen == [name, "ws.example.test", f"{name}:{port}"]
        with pytest.raises(HandshakeError, match=r"'other.test'"):
            async with open_websocket("other.test.", port, "/", use_ssl=trusting):
                raise AssertionError


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_ipv6() -> None:
    hosts: list[str] = []

    async def handler(request: WebSocketRequest) -> None:
        assert isinstance(request.local, Endpoint)
        hosts.append(request.local.url)
        await echo(request)

    async with serving(handler, host="::1") as port:
        async with open_websocket_url(f"ws://[::1]:{port}/") as ws:
            assert ws.remote == Endpoint("::1", port, False)
        async with open_websocket("::1", port, "/", use_ssl=False):
            pass
        assert hosts == [f"ws://[::1]:{port}"] * 2


async def test_refused(port: int) -> None:
    with pytest.raises(HandshakeError, match=f"127.0.0.1:{port}") as caught:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
            pass
    assert isinstance(caught.value.__cause__, OSError)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(OSError):  # noqa: PT011 - its errno is up to the system
            await connect_websocket(tasks, "127.0.0.1", port, "/", use_ssl=False)


@pytest.mark.parametrize("use_ssl", [False, True])
async def test_B1_server_says_nothing(use_ssl: bool) -> None:
    async with raw_server(silent) as port, anyio.create_task_group() as tasks:
        options: dict[str, Any] = {"use_ssl": use_ssl, "connect_timeout": 0.2}
        with pytest.raises(ConnectionTimeout, match=r"0\.2 seconds") as caught:
            await connect_websocket(tasks, "127.0.0.1", port, "/", **options)
        assert caught.value.__cause__ is None
        with pytest.raises(ConnectionTimeout, match=r"0\.2 seconds") as caught:
            async with open_websocket("127.0.0.1", port, "/", **options):
                pass
        assert caught.value.__cause__ is None


async def test_B10_certificate_is_verified(server_tls: ssl.SSLContext) -> None:
    async with serving(tls=server_tls) as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket("localhost", port, "/", use_ssl=True):
                pass
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket_url(f"wss://localhost:{port}"):
                pass
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        async with anyio.create_task_group() as tasks:
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect_websocket(tasks, "localhost", port, "/", use_ssl=True)


async def test_B10_name_is_verified(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(tls=server_tls, host="127.0.0.2") as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket_url(f"wss://127.0.0.2:{port}/", client_tls):
                pass
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_B10_server_without_tls(client_tls: ssl.SSLContext) -> None:
    async with serving() as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket_url(f"wss://127.0.0.1:{port}/", client_tls):
                pass
        assert caught.value.__cause__ is not None


async def test_B10_a_reset_in_the_tls_handshake(client_tls: ssl.SSLContext) -> None:
    async with resetting_server(lambda hello: b"") as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket("localhost", port, "/", use_ssl=client_tls):
                pass
        assert isinstance(caught.value.__cause__, OSError)


async def test_B10_eof_in_the_tls_handshake(client_tls: ssl.SSLContext) -> None:
    async def leave(stream: ByteStream) -> None:
        await stream.receive()

    async with raw_server(leave) as port, anyio.create_task_group() as tasks:
        with pytest.raises(HandshakeError, match="TLS handshake"):
            await connect_websocket_url(
                tasks, f"wss://127.0.0.1:{port}/", ssl_context=client_tls
            )


# -- where to ------------------------------------------------------------------


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
        async with open_websocket_url(
            f"ws://127.0.0.1:{port}/", local_host="127.0.0.4"
        ) as ws:
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


# -- who it is -----------------------------------------------------------------


async def test_what_a_server_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    told: list[dict[bytes, bytes]] = []

    async def handler(request: WebSocketRequest) -> None:
        told.append(dict(request.headers))
        await request.reject(403)

    basic = b"Basic " + base64.b64encode(b"me:secret")
    async with serving(handler, origins="*") as port:
        error = await error_of(
            f"ws://me:s%65cret@127.0.0.1:{port}/",
            origin="https://example.org",
            cookies={"a": "secret"},
        )
        assert told[0][b"authorization"] == basic
        assert told[0][b"user-agent"] == f"anyio_websocket/{__version__}".encode()
        assert told[0][b"origin"] == b"https://example.org"
        assert told[0][b"cookie"] == b"a=secret"
        error = await error_of(
            f"ws://127.0.0.1:{port}/", auth=("me", "secret"), user_agent=None
        )
        assert told[1][b"authorization"] == basic
        assert b"user-agent" not in told[1]
    for text in (str(error), repr(error), caplog.text):
        assert "secret" not in text
        assert base64.b64encode(b"me:secret").decode() not in text


# -- what errors say -----------------------------------------------------------


async def error_of(
    url: str, context: ssl.SSLContext | None = None, **options: Any
) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket_url(url, context, **options):
            pass
    return caught.value


async def raw_error_of(url: str) -> BaseException:
    async with anyio.create_task_group() as tasks:
        with pytest.raises((OSError, HandshakeError)) as caught:
            await connect_websocket_url(tasks, url)
    return caught.value


async def test_H11_a_refusal_names_the_server_and_the_path() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(404)

    async with serving(handler) as port:
        error = await error_of(f"ws://me:secret@127.0.0.1:{port}/path?token=secret")
        text = f"the server at 127.0.0.1:{port} answered 404 to the request for /path"
        assert str(error) == text
        assert str(pickle.loads(pickle.dumps(error))) == text
        assert repr(error) == "ConnectionRejected<status_code=404>"


async def test_H11_the_network_fails(port: int) -> None:
    server = f"127.0.0.1:{port}"
    error = await error_of(f"ws://me:secret@{server}/?secret")
    assert str(error).startswith(f"could not connect to the server at {server}: ")
    raw = await raw_error_of(f"ws://me:secret@{server}/?secret")
    assert isinstance(raw, OSError)
    assert raw.__notes__ == [f"The server was {server}."]


async def test_H11_the_handshake_fails() -> None:
    for answer, text in (
        (b"SSH-2.0-x\r\n", "the handshake with the server at {} failed: "),
        (b"\x15\x03\x03\0\2\2\x28", "It speaks TLS: use wss: or an SSL context"),
        (b"", "If it speaks TLS on this port, use wss: or an SSL context"),
    ):
        async with raw_server(answering(answer)) as port:
            server = f"127.0.0.1:{port}"
            error = str(await error_of(f"ws://me:secret@{server}/"))
            assert text.format(server) in error
            assert server in error


async def test_H11_ws_to_a_tls_port(server_tls: ssl.SSLContext) -> None:
    async with serving(tls=server_tls) as port:
        for error in (
            await error_of(f"ws://127.0.0.1:{port}/"),
            await raw_error_of(f"ws://127.0.0.1:{port}/"),
        ):
            assert f"the server at 127.0.0.1:{port}" in str(error)
            assert str(error).endswith("use wss: or an SSL context")


async def test_H11_wss_to_a_plain_port() -> None:
    async with serving() as port:
        error = await error_of(f"wss://127.0.0.1:{port}/")
        assert f"the server at 127.0.0.1:{port}" in str(error)
        assert str(error).endswith("It does not speak TLS on this port: use ws:")
        raw = await raw_error_of(f"wss://127.0.0.1:{port}/")
        assert isinstance(raw, ssl.SSLError)
        assert raw.__notes__[0].endswith("on this port: use ws:.")


async def test_H11_an_unknown_certificate(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(tls=server_tls, host="127.0.0.2") as port:
        error = await error_of(f"wss://127.0.0.2:{port}/")
        assert f"the server at 127.0.0.2:{port}" in str(error)
        assert str(error).endswith('ssl.create_default_context(cafile="...")')
        # That it has another name says OpenSSL, and no context would help.
        error = await error_of(f"wss://127.0.0.2:{port}/", client_tls)
        assert "127.0.0.2" in str(error)
        assert "cafile" not in str(error)


async def test_H11_timeouts_name_the_server() -> None:
    async with raw_server(silent) as port:
        with pytest.raises(ConnectionTimeout, match=f"server at 127.0.0.1:{port} was"):
            async with open_websocket_url(
                f"ws://127.0.0.1:{port}/", connect_timeout=0.1
            ):
                pass
