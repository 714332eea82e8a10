"""Connections to a peer that does what a test says, and between two of ours."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    PerMessageDeflate,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket._connection._background import BackgroundTask
from anyio_websocket._connection._core import open_core
from anyio_websocket._protocol import Extensions
from anyio_websocket._settings import ConnectionSettings
from anyio_websocket._transport import SocketTransport, Transport
from anyio_websocket.testing import (
    MemoryStream,
    ScriptedPeer,
    handshake_request,
    handshake_response,
    memory_stream_pair,
)

from .frames import frame

Opened = tuple[WebSocketConnection, ScriptedPeer, MemoryStream]
Opener = Callable[..., Awaitable[Opened]]


def mangled(peer: ScriptedPeer, opcode: int, payload: bytes = b"", **how: Any) -> bytes:
    """A frame masked as the peer's should be, unless the test says otherwise."""
    return frame(
        opcode, payload, **{"mask": b"\1\2\3\4" if peer.is_client else None} | how
    )


async def client_of_raw_server(
    tasks: TaskGroup,
    *,
    capacity: int = 65536,
    lines: Iterable[bytes] = (),
    glued: bytes = b"",
    **options: Any,
) -> tuple[WebSocketConnection, ScriptedPeer, MemoryStream]:
    """Make a client's connection to a server by hand.

    :param lines: further headers of its answer
    :param glued: what the server sends right behind its 101
    :return: the connection, the server, and the client's stream to play tricks with

    """
    ours, theirs = memory_stream_pair(capacity)
    peer = ScriptedPeer(theirs, is_client=False)

    async def answer() -> None:
        await theirs.send(handshake_response(await peer.receive_head(), *lines) + glued)

    tasks.start_soon(answer)
    connection = await wrap_client_stream(tasks, ours, "example.org", "/", **options)
    return connection, peer, ours


async def server_of_raw_client(
    tasks: TaskGroup,
    *,
    capacity: int = 65536,
    lines: Iterable[bytes] = (),
    glued: bytes = b"",
    **options: Any,
) -> tuple[WebSocketConnection, ScriptedPeer, MemoryStream]:
    """Make a server's connection to a client by hand.

    :param lines: further headers of its request
    :param glued: what the client sends right behind its request
    :return: the connection, the client, and the server's stream to play tricks with

    """
    ours, theirs = memory_stream_pair(capacity)
    peer = ScriptedPeer(theirs, is_client=True)
    await theirs.send(handshake_request(*lines) + glued)
    asked = await wrap_server_stream(tasks, ours, **options)
    connection = await asked.accept()
    assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
    return connection, peer, ours


async def closed_with(connection: WebSocketConnection) -> CloseReason:
    """Wait for a message that never comes."""
    with pytest.raises(ConnectionClosed) as caught:
        await connection.get_message()
    assert caught.value.reason is not None
    assert connection.closed == caught.value.reason
    return caught.value.reason


@asynccontextmanager
async def linked(
    capacity: int = 65536,
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    accept: dict[str, Any] | None = None,
) -> AsyncGenerator[tuple[WebSocketConnection, WebSocketConnection]]:
    """Connect a client and a server of ours; both are closed in the end."""
    ours, theirs = memory_stream_pair(capacity)
    accepted: list[WebSocketConnection] = []
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            asked = await wrap_server_stream(tasks, theirs, **(server or {}))
            accepted.append(await asked.accept(**(accept or {})))

        tasks.start_soon(serve)
        connection = await wrap_client_stream(
            tasks, ours, "example.org", "/", **(client or {})
        )
        await anyio.wait_all_tasks_blocked()
        async with connection, accepted[0]:
            yield connection, accepted[0]


@asynccontextmanager
async def linked_by_sockets(
    compression: bool = False, **options: Any
) -> AsyncGenerator[tuple[WebSocketConnection, WebSocketConnection]]:
    """Connect a client and a server of ours by sockets; both are closed in the end.

    These are UNIX sockets: what one end sends is at the other in the same moment, as
    virtual time wants it; over TCP it may come when the clock has jumped already. They
    take a few kilobytes at once, so larger messages leave in several parts. A handshake
    is not needed to see how they are used.

    """
    deflate = PerMessageDeflate(threshold=0) if compression else None
    async with anyio.create_task_group() as tasks:
        one, other = socket.socketpair()
        for sock in (one, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client = over_socket(one, tasks, deflate, is_client=True, **options)
        server = over_socket(other, tasks, deflate, is_client=False, **options)
        async with client, server:
            yield client, server


def over_socket(
    sock: socket.socket,
    tasks: TaskGroup,
    deflate: PerMessageDeflate | None = None,
    *,
    is_client: bool,
    **options: Any,
) -> WebSocketConnection:
    """Make a connection of a socket, as if the handshake were done."""
    sock.setblocking(False)
    transport = SocketTransport(sock)
    return over_transport(transport, tasks, deflate, is_client=is_client, **options)


def over_transport(
    transport: Transport,
    tasks: TaskGroup,
    deflate: PerMessageDeflate | None = None,
    *,
    is_client: bool,
    trailing: bytes = b"",
    **options: Any,
) -> WebSocketConnection:
    """Make a connection of a transport, as if the handshake were done."""
    settings = ConnectionSettings(**options)
    core = open_core(
        transport,
        Extensions(deflate),
        BackgroundTask(tasks, settings),
        settings,
        is_client=is_client,
        trailing=trailing,
    )
    return WebSocketConnection(
        core,
        path="/",
        subprotocol=None,
        compression=deflate,
        handshake_headers=(),
    )
