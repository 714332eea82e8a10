"""A transport over a real socket, and the other end by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from anyio_websocket._transport._connect import connect
from anyio_websocket._transport._sockets import SocketTransport


@asynccontextmanager
async def pair() -> AsyncGenerator[tuple[SocketTransport, socket.socket]]:
    """A transport, and the other end of its connection as a plain socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = await connect("127.0.0.1", listener.getsockname()[1])
        assert isinstance(transport, SocketTransport)
        theirs, _ = listener.accept()
    theirs.setblocking(False)
    with theirs:
        try:
            yield transport, theirs
        finally:
            await transport.abort()


async def read(theirs: socket.socket, size: int) -> bytes:
    """Read so many bytes by hand."""
    data = bytearray()
    while len(data) < size:
        try:
            piece = theirs.recv(size - len(data))
        except BlockingIOError:
            await anyio.wait_readable(theirs)
        else:
            assert piece, f"the end after {len(data)} bytes"
            data += piece
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """Close so that the peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@asynccontextmanager
async def resetting_server(answer: Callable[[bytes], bytes]) -> AsyncGenerator[int]:
    """Serve one client after another: read once, answer, and reset the connection.

    The sockets are plain ones, as some versions of anyio send a FIN before they close.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def serve() -> None:
            while True:
                await anyio.wait_readable(listener)
                theirs, _ = listener.accept()
                with theirs:
                    await anyio.wait_readable(theirs)
                    theirs.sendall(answer(theirs.recv(65_536)))
                    reset(theirs)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield listener.getsockname()[1]
            tasks.cancel_scope.cancel()
