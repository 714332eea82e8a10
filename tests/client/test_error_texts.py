"""What a server is told, and what errors say of it: its name, and no secret."""

from __future__ import annotations

import base64
import pickle
import ssl
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from anyio_websocket import (
    ConnectionTimeout,
    HandshakeError,
    WebSocketRequest,
    __version__,
    connect_websocket_url,
    open_websocket_url,
)

from ..support.servers import answering, raw_server, serving, silent


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


async def test_H11_the_server_ends_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def end_tls(stream: ByteStream) -> None:
        tls = await TLSStream.wrap(
            stream, server_side=True, ssl_context=server_tls, standard_compatible=False
        )
        await tls.receive()
        await stream.send(bytes([21, 3, 3, 0, 2, 2, 116]))  # it should be encrypted
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await stream.receive()

    async def answer_nonsense(stream: ByteStream) -> None:
        tls = await TLSStream.wrap(
            stream, server_side=True, ssl_context=server_tls, standard_compatible=False
        )
        await answering(b"SSH-2.0-x\r\n")(tls)

    async with raw_server(answer_nonsense) as port:
        error = await error_of(f"wss://localhost:{port}/", client_tls)
        assert "use ws" not in str(error)  # that it speaks TLS is known
    async with raw_server(end_tls) as port:
        error = await error_of(f"wss://localhost:{port}/", client_tls)
        assert isinstance(error.__cause__, ssl.SSLError)
        text = f"the connection to the server at localhost:{port} was lost during"
        assert str(error) == f"{text} the handshake: {error.__cause__}"


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
