"""Mistakes of a newcomer that a server can name."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    HandshakeError,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    serve_websocket,
)
from anyio_websocket.testing import MemoryListener, handshake_request

from ..support.examples import wait_for_port
from ..support.memory_servers import raw_client, serving, status_of
from ..support.servers import connected, echo, said
from ..support.servers import serving as serving_tcp

README = Path(__file__).parents[2] / "README.md"


async def forgetful(request: WebSocketRequest) -> None:
    pass


@pytest.mark.virtual_time
@pytest.mark.parametrize("wrapped", [False, True])
async def test_H7_a_handler_without_accept_or_reject(
    wrapped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = partial(forgetful) if wrapped else forgetful
    async with serving(handler) as (listener, _):
        peer = await raw_client(listener)
        assert status_of(await peer.receive_all()) == 500
        await peer.stream.aclose()
    [record] = said(caplog)
    assert record.levelname == "ERROR"
    for part in ("forgetful", "request.accept()", "request.reject()", "500"):
        assert part in record.message


@pytest.mark.virtual_time
async def test_H7_a_handler_that_responds_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(404)

    async with serving(handler) as (listener, _):
        peer = await raw_client(listener)
        assert status_of(await peer.receive_all()) == 404
        await peer.stream.aclose()
    assert said(caplog) == []


def _context(kind: str, authority: trustme.CA) -> ssl.SSLContext:
    if kind == "client":
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if kind == "only TLS 1.3":
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if kind == "later":  # the certificate is chosen by the name that the client sends
        full = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(full)

        def choose(sock: ssl.SSLObject, name: str | None, _: object) -> None:
            sock.context = full

        context.sni_callback = choose
    return context


@pytest.mark.parametrize("over_listener", [False, True])
@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("client", "PROTOCOL_TLS_SERVER"),
        ("no certificate", "load_cert_chain"),
        ("only TLS 1.3", "load_cert_chain"),
    ],
)
async def test_H8_B15_a_context_that_cannot_serve(
    kind: str, hint: str, over_listener: bool, authority: trustme.CA
) -> None:
    context = _context(kind, authority)
    listener = MemoryListener()
    with pytest.raises(ValueError, match=hint):
        if over_listener:
            WebSocketServer(echo, [TLSListener(listener, context)])  # type: ignore[arg-type]
        else:
            await serve_websocket(echo, "127.0.0.1", 0, context)
    await listener.aclose()


async def test_H8_a_certificate_that_is_chosen_later(
    authority: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    async with serving_tcp(tls=_context("later", authority)) as port:
        async with open_websocket("localhost", port, "/", use_ssl=client_tls) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"


async def test_B15_a_context_that_cannot_connect(server_tls: ssl.SSLContext) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="PROTOCOL_TLS_CLIENT"):
        async with open_websocket("localhost", 1, "/", use_ssl=context):
            pass


@pytest.mark.parametrize("protocols", [["h2"], ["http/1.1"]])
async def test_B15_what_alpn_agrees_on(
    protocols: list[str], authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    for context in (server, client):
        context.set_alpn_protocols(protocols)
    async with serving_tcp(tls=server) as port:
        for _ in range(2):
            if protocols == ["h2"]:
                with pytest.raises(HandshakeError):
                    async with open_websocket("localhost", port, "/", use_ssl=client):
                        pass
            else:
                async with open_websocket("localhost", port, "/", use_ssl=client):
                    pass
        for _ in range(2):  # another client may not see what is wrong
            stream = await anyio.connect_tcp(
                "127.0.0.1",
                port,
                ssl_context=client,
                tls_hostname="localhost",
                tls_standard_compatible=False,
            )
            async with stream:
                if protocols == ["h2"]:
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await stream.receive()
    records = [r for r in said(caplog) if "h2" in r.message]
    assert len(records) == (1 if protocols == ["h2"] else 0)  # once a minute


async def test_B15_clients_that_fail_are_a_warning_once_a_minute(
    server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = ssl.create_default_context()  # trusts another authority
    async with serving_tcp(tls=server_tls) as port:
        for _ in range(3):
            with pytest.raises(HandshakeError):
                async with open_websocket("localhost", port, "/", use_ssl=stranger):
                    pass
            await anyio.sleep(0.05)
        async with connected(port):
            pass  # a client that only leaves is no warning
    [record] = said(caplog)
    assert record.levelname == "WARNING"
    assert "the TLS handshake failed" in record.message


async def test_H13_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1, port {port}") as caught:
            await serve_websocket(echo, "127.0.0.1", port, None)
        assert caught.value.errno


@pytest.mark.virtual_time
async def test_H13_a_rejection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "anyio_websocket")
    async with serving(echo) as (listener, _):
        peer = await raw_client(listener, handshake_request(line=b"POST / HTTP/1.1"))
        assert status_of(await peer.receive_all()) == 405
        await peer.stream.aclose()
    assert len(said(caplog)) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.skipif(os.name != "posix", reason="sends a signal to one process")
def test_H14_ctrl_c_ends_the_server_of_the_readme_quietly(
    backend: str, port: int
) -> None:
    pytest.importorskip(backend)
    code = README.read_text().split("<!-- server -->\n```python\n")[1].split("```")[0]
    code = code.replace("8765, None", f'{port}, None, backend="{backend}"')
    assert backend in code
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        try:
            wait_for_port(port, server)
            server.send_signal(signal.SIGINT)
            stdout, stderr = server.communicate(timeout=30)
        finally:
            server.kill()
    assert (server.returncode, stdout, stderr) == (0, b"", b"")
