"""From a host and a port to a transport: TCP, TLS, and what fails on the way."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream

from anyio_websocket import (
    CloseReason,
    ConnectionTimeout,
    Endpoint,
    HandshakeError,
    WebSocketRequest,
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
)
from anyio_websocket._transport import _connect

from ..support.servers import echo, raw_server, serving, silent
from ..support.sockets import resetting_server

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
