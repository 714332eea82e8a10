"""Connections whose descriptor another process has too, as a child that was forked."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from typing import Any

import anyio
import pytest

from anyio_websocket import WebSocketRequest, open_websocket
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket._transport._streams import transport_of

from ..support.servers import serving

# A copy of the descriptor in this process does what one in a child does: close() alone
# does not end the connection.


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
    return ours, theirs


@pytest.mark.parametrize("how", ["abort", "aclose"])
async def test_F18_the_peer_sees_the_end(how: str) -> None:
    ours, theirs = _socket_pair()
    copy = os.dup(ours.fileno())
    try:
        transport = SocketTransport(ours)
        await getattr(transport, how)()
        with theirs, anyio.fail_after(20):
            assert await SocketTransport(theirs).receive(1) == b""
    finally:
        os.close(copy)


@pytest.mark.parametrize("over_trio", [False, True])
async def test_F18_over_a_stream_of_the_users(
    over_trio: bool, anyio_backend_name: str
) -> None:
    if over_trio and anyio_backend_name != "trio":
        pytest.skip("a stream of trio works on trio only")
    ours, theirs = _socket_pair()
    copy = os.dup(ours.fileno())
    try:
        stream: Any
        if over_trio:
            trio = sys.modules["trio"]
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        else:
            stream = await anyio.abc.SocketStream.from_socket(ours)
        await transport_of(stream).abort()
        with theirs, anyio.fail_after(20):
            assert await SocketTransport(theirs).receive(1) == b""
    finally:
        os.close(copy)


@pytest.mark.parametrize("over_tls", [False, True])
async def test_F18_a_cancelled_connection(
    over_tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    ended = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.wait_closed()
        ended.set()

    use_ssl = client_tls if over_tls else False
    async with serving(handler, server_tls if over_tls else None) as port:
        copies: list[int] = []
        with anyio.CancelScope() as scope:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=use_ssl) as ws:
                below: Any = ws._core.transport
                copies.append(os.dup(getattr(below, "_below", below)._socket.fileno()))
                scope.cancel()
        with anyio.fail_after(20):
            await ended.wait()
        os.close(copies[0])
