"""Connections to peers that read when a test says so, and not before."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from anyio_websocket import PerMessageDeflate, WebSocketConnection
from anyio_websocket.testing import Frame

from .frames import take_frame
from .peer import over_socket

Connected = tuple[WebSocketConnection, socket.socket]
Connect = Callable[..., Connected]


@asynccontextmanager
async def connecting() -> AsyncGenerator[Connect]:
    """Yield a function that makes a connection, whose peer is a plain socket."""
    sockets: list[socket.socket] = []
    try:
        async with anyio.create_task_group() as tasks:

            def connect(
                deflate: PerMessageDeflate | None = None,
                *,
                is_client: bool = False,
                count_messages: bool = False,
            ) -> Connected:
                one, other = socket.socketpair()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                other.setblocking(False)
                sockets.append(other)
                connection = over_socket(
                    *(one, tasks, deflate),
                    is_client=is_client,
                    ping_interval=None,
                    count_messages=count_messages,
                )
                return connection, other

            yield connect
            tasks.cancel_scope.cancel()
    finally:
        for sock in sockets:
            sock.close()


def frames_at(sock: socket.socket) -> list[Frame]:
    """Take what has arrived, without waiting; incomplete frames must not be there."""
    data = bytearray()
    while True:
        try:
            piece = sock.recv(65_536)
        except BlockingIOError:
            break
        if not piece:
            break
        data += piece
    frames: list[Frame] = []
    while (found := take_frame(data)) is not None:
        frames.append(found)
    assert not data
    return frames


async def frames_until_idle(sock: socket.socket) -> list[Frame]:
    """Read as long as the connection has something to send."""
    data = bytearray()
    idle = 0
    while idle < 10:
        try:
            data += sock.recv(65_536)
            idle = 0
        except BlockingIOError:
            idle += 1
        await anyio.lowlevel.checkpoint()
    frames: list[Frame] = []
    while (found := take_frame(data)) is not None:
        frames.append(found)
    assert not data
    return frames
