"""What ``extra()`` knows of a connection, and of the streams over it."""

from __future__ import annotations

import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import TypedAttributeLookupError
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteStream
from anyio.streams.text import TextStream
from anyio.streams.tls import TLSAttribute

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    open_websocket_url,
    serve_websocket_unix,
)
from anyio_websocket._streams import KEYS
from anyio_websocket.streams import WebSocketAttribute

from ..support.peer import linked
from ..support.servers import serving


def known(provider: Any) -> dict[str, Any]:
    return {name: provider.extra(getattr(WebSocketAttribute, name)) for name in KEYS}


def test_each_key_has_a_type() -> None:
    assert WebSocketAttribute.__annotations__.keys() == KEYS.keys()
    assert len(set(KEYS.values())) == len(KEYS)


async def test_attributes_of_a_connection_and_of_what_is_above_it() -> None:
    async with linked(
        client={"subprotocols": ["chat"]}, accept={"subprotocol": "chat"}
    ) as (client, server):
        for connection in (client, server):
            facts = {
                "compression": connection.compression,
                "connection": connection,
                "handshake_headers": connection.handshake_headers,
                "is_client": connection is client,
                "path": "/",
                "subprotocol": "chat",
            }
            stream = connection.as_byte_stream()
            for provider in (
                connection,
                stream,
                connection.as_object_stream(),
                BufferedByteStream(stream),
                TextStream(stream),
            ):
                assert known(provider) == facts
                assert provider.extra(SocketAttribute.remote_address, None) is None
                assert provider.extra(TLSAttribute.tls_version, None) is None
                with pytest.raises(TypedAttributeLookupError):
                    provider.extra(SocketAttribute.raw_socket)


async def test_attributes_of_sockets_and_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    served: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        served.append(ws)
        address = ws.extra(SocketAttribute.remote_address)
        assert address == request.extra(SocketAttribute.remote_address)
        assert ws.extra(TLSAttribute.server_side)
        await ws.send_message("welcome")
        await ws.wait_closed()

    async with (
        serving(handler, server_tls) as port,
        open_websocket("localhost", port, "/", use_ssl=client_tls) as ws,
    ):
        stream = ws.as_byte_stream()
        assert await stream.receive() == b"welcome"
        assert stream.extra(SocketAttribute.remote_port) == port
        assert stream.extra(SocketAttribute.family) in (
            socket.AF_INET,
            socket.AF_INET6,
        )
        certificate = stream.extra(TLSAttribute.peer_certificate)
        assert certificate is not None
        assert certificate["subjectAltName"]
        assert stream.extra(TLSAttribute.server_side) is False
        await stream.aclose()
        # The rest stays known when the socket is closed.
        assert stream.extra(SocketAttribute.remote_address, None) is None
        assert stream.extra(WebSocketAttribute.connection) is ws
    assert served[0].extra(WebSocketAttribute.is_client) is False


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
async def test_attributes_of_unix_sockets(tmp_path: Path) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await (await request.accept()).wait_closed()

    path = tmp_path / "socket"
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_websocket_unix, handler, path)
        async with open_websocket_url("ws://localhost/", unix_path=path) as ws:
            assert ws.extra(SocketAttribute.family) == socket.AF_UNIX
            assert ws.extra(SocketAttribute.remote_address) == str(path)
            assert ws.extra(SocketAttribute.remote_port, None) is None
        tasks.cancel_scope.cancel()
