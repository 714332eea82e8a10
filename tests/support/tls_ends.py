"""Both ends of a TLS connection over the library's own sockets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio

from anyio_websocket._transport._connect import connect
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket._transport._tls import TlsTransport


class Ends(NamedTuple):
    """Both ends of a connection, and the sockets below them."""

    client: TlsTransport
    server: TlsTransport
    client_socket: SocketTransport
    server_socket: SocketTransport


@asynccontextmanager
async def strangers(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext, name: str = "localhost"
) -> AsyncGenerator[Ends]:
    """Two ends that have not done the TLS handshake yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = await connect("127.0.0.1", listener.getsockname()[1])
        assert isinstance(client, SocketTransport)
        sock, _ = listener.accept()
    sock.setblocking(False)
    server = SocketTransport(sock)
    ends = Ends(
        TlsTransport(client, client_tls, name),
        TlsTransport(server, server_tls, None),
        client,
        server,
    )
    try:
        with anyio.fail_after(10):
            yield ends
    finally:
        await ends.client.abort()
        await ends.server.aclose()


@asynccontextmanager
async def pair(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> AsyncGenerator[Ends]:
    """Two ends that have done the TLS handshake."""
    async with strangers(client_tls, server_tls) as ends:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ends.client.handshake)
            tasks.start_soon(ends.server.handshake)
        yield ends
