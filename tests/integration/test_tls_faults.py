"""TLS faults on the wire, from the first byte to the last, by public functions."""

from __future__ import annotations

import datetime
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, Process
from anyio.streams.tls import TLSStream

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    HandshakeError,
    WebSocketRequest,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
)
from anyio_websocket.testing import ScriptedPeer, handshake_request, handshake_response

from ..support.frames import TEXT, frame
from ..support.servers import echo, raw_server, serving


async def still_serves(port: int, context: ssl.SSLContext) -> bool:
    """Say whether a well-behaved client is served."""
    with anyio.fail_after(5):
        async with open_websocket_url(f"wss://localhost:{port}/", context) as ws:
            await ws.send_message("hello")
            return await ws.get_message() == "hello"


# -- verification --------------------------------------------------------------


@pytest.mark.parametrize("context", [None, True])
async def test_B10_certificates_are_verified_by_default(
    context: Any, server_tls: ssl.SSLContext
) -> None:
    # The certificate is good, but no authority that the system trusts has signed it.
    async with serving(tls=server_tls) as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket_url(f"wss://localhost:{port}/", context):
                raise AssertionError
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        async with anyio.create_task_group() as tasks:
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect_websocket_url(
                    tasks, f"wss://localhost:{port}/", ssl_context=context
                )


@pytest.mark.parametrize("context", [False, 0, "", 1, "verify", object()])
async def test_B10_no_other_value_turns_verification_off(context: Any) -> None:
    # Each of them could be taken for a switch.
    with pytest.raises(TypeError, match="ssl_context"):
        open_websocket_url("wss://localhost:1/", context)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(TypeError, match="ssl_context"):
            await connect_websocket_url(tasks, "wss://localhost:1/", context)
    with pytest.raises(TypeError, match="ssl_context"):
        await serve_websocket(echo, "127.0.0.1", 0, context)


@pytest.mark.parametrize("wrong", ["expired", "name", "chain"])
async def test_B10_bad_certificates_are_rejected(
    wrong: str, authority: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if wrong == "expired":
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        certificate = authority.issue_cert("localhost", not_after=past)
    elif wrong == "name":
        certificate = authority.issue_cert("example.org")
    else:
        certificate = trustme.CA().issue_cert("localhost")
    certificate.configure_cert(server_tls)
    async with serving(tls=server_tls) as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket("localhost", port, "/", use_ssl=client_tls):
                raise AssertionError
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_B10_a_client_without_the_certificate_that_is_demanded(
    version: ssl.TLSVersion, authority: trustme.CA
) -> None:
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_tls)
    authority.configure_trust(server_tls)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.maximum_version = version
    without, stranger, member = (ssl.create_default_context() for _ in range(3))
    for context in (without, stranger, member):
        authority.configure_trust(context)
    trustme.CA().issue_cert("stranger@example.org").configure_cert(stranger)
    authority.issue_cert("member@example.org").configure_cert(member)
    async with serving(tls=server_tls, handler_errors="raise") as port:
        for context in (without, stranger):
            with anyio.fail_after(5), pytest.raises(HandshakeError) as caught:
                async with open_websocket_url(f"wss://localhost:{port}/", context):
                    raise AssertionError
            # With TLS 1.3 the client hears of it when it waits for the answer.
            assert isinstance(caught.value.__cause__, OSError)
        assert await still_serves(port, member)


# -- the beginning -------------------------------------------------------------


@pytest.mark.parametrize("bytes_of_hello", [1, 5, 200])
async def test_A1_a_client_that_drips_its_hello(
    bytes_of_hello: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    async with serving(tls=server_tls, connect_timeout=0.2) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(outgoing.read(bytes_of_hello))

            async def drip() -> None:
                with suppress(anyio.BrokenResourceError):
                    while byte := outgoing.read(1):
                        await stream.send(byte)
                        await anyio.sleep(0.05)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(drip)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    with anyio.fail_after(8):  # and not 10, one for each byte
                        await stream.receive()
                tasks.cancel_scope.cancel()


# -- the end -------------------------------------------------------------------


async def test_E7_a_server_that_leaves_without_close_notify(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def leave(plain: ByteStream) -> None:
        stream = await TLSStream.wrap(
            plain, ssl_context=server_tls, standard_compatible=False
        )
        asked = await ScriptedPeer(stream, is_client=False).receive_head()
        await stream.send(handshake_response(asked) + frame(TEXT, b"last", mask=None))

    async with raw_server(leave) as port:
        async with open_websocket_url(f"wss://127.0.0.1:{port}", client_tls) as ws:
            assert await ws.get_message() == "last"
            with pytest.raises(ConnectionClosed) as caught:
                await ws.get_message()
        assert caught.value.reason == CloseReason(1006, None)


# -- peers made of other software ----------------------------------------------


class OpenSSL:
    """The command of that name: TLS by hand, with keys for renegotiation."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._seen = b""

    async def type(self, data: bytes) -> None:
        """Send, or give a command where it is one."""
        assert self._process.stdin is not None
        await self._process.stdin.send(data)

    async def sees(self, wanted: bytes) -> bytes:
        """Wait until it prints something; return all that came until then."""
        assert self._process.stdout is not None
        while wanted not in self._seen:
            self._seen += await self._process.stdout.receive()
        seen, _, self._seen = self._seen.partition(wanted)
        return seen + wanted

    async def ends(self) -> None:
        """Wait until it has said all."""
        assert self._process.stdout is not None
        with pytest.raises(anyio.EndOfStream):
            while True:
                await self._process.stdout.receive()
        await self._process.wait()


@asynccontextmanager
async def openssl(*command: str) -> AsyncGenerator[OpenSSL]:
    process = await anyio.open_process(["openssl", *command], stderr=subprocess.STDOUT)
    async with process:
        try:
            with anyio.fail_after(10):
                yield OpenSSL(process)
        finally:
            if process.returncode is None:
                process.kill()


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl command"
)


@needs_openssl
async def test_a_client_that_wants_to_renegotiate(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    closed: list[CloseReason | None] = []
    over = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            async for message in ws:
                await ws.send_message(message)
        finally:
            closed.append(ws.closed)
            over.set()

    async with serving(handler, tls=server_tls) as port:
        async with openssl(
            "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"
        ) as client:
            await client.type(handshake_request())
            await client.sees(b"HTTP/1.1 101 ")
            await client.sees(b"\r\n\r\n")
            await client.type(frame(TEXT, b"before"))
            await client.sees(b"before")
            await client.type(b"R\n")
            await client.sees(b"RENEGOTIATING")
            # Refused by an alert; it is the client that makes an end of it then.
            await client.ends()
            await over.wait()
        assert closed == [CloseReason(1006, None)]
        closed.clear()
        assert await still_serves(port, client_tls)


@needs_openssl
async def test_a_server_that_wants_to_renegotiate(
    authority: trustme.CA, client_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    path = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    async with openssl(
        *("s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-cert", str(path))
    ) as server:
        await server.sees(b"ACCEPT 127.0.0.1:")
        port = int(await server.sees(b"\n"))
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                await server.sees(b"GET /")
                asked = b"GET /" + await server.sees(b"\r\n\r\n")
                await server.type(handshake_response(asked))
                await server.type(frame(TEXT, b"before", mask=None))

            tasks.start_soon(serve)
            ws = await connect_websocket_url(
                tasks, f"wss://127.0.0.1:{port}/", client_tls, disconnect_timeout=0.1
            )
            assert await ws.get_message() == "before"

            async def renegotiate() -> None:
                await server.type(b"r\n")
                await server.sees(b"SSL_do_handshake -> 1\n")
                await server.type(frame(TEXT, b"after", mask=None))

            tasks.start_soon(renegotiate)
            assert await ws.get_message() == "after"
            await ws.send_message("again")
            await server.sees(frame(TEXT, b"again")[:2])  # the rest is masked
            await ws.aclose()
