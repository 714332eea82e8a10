"""A peer that speaks bytes: it does exactly what a test says."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, TaskGroup

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

from .frames import CLOSE, Frame, close_payload, frame, take_frame
from .streams import MemoryStream, stream_pair

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3


def request(
    *lines: bytes,
    line: bytes = b"GET / HTTP/1.1",
    host: bytes | None = b"example.org",
    key: bytes | None = KEY,
    version: bytes | None = b"13",
    connection: bytes | None = b"Upgrade",
    upgrade: bytes | None = b"websocket",
) -> bytes:
    """Build a client's request; ``None`` leaves a header out."""
    headers = [
        (b"Host", host),
        (b"Upgrade", upgrade),
        (b"Connection", connection),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", version),
    ]
    head = [name + b": " + value for name, value in headers if value is not None]
    return b"\r\n".join([line, *head, *lines]) + b"\r\n\r\n"


def accept_of(key: bytes) -> bytes:
    """Compute what the server must answer to a key (RFC 6455 section 4.2.2)."""
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + magic).digest())


def response(asked: bytes, *lines: bytes) -> bytes:
    """Build a server's 101 to a request."""
    (key,) = [
        line.split(b":", 1)[1].strip()
        for line in asked.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    head = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(key),
    ]
    return b"\r\n".join([*head, *lines]) + b"\r\n\r\n"


class RawPeer:
    """One end of a connection, by hand.

    :param stream: the stream
    :param masks: whether frames are to be masked, as a client's are

    """

    def __init__(self, stream: ByteStream, *, masks: bool) -> None:
        self.stream = stream
        #: whether this side masks, as clients do
        self.masks = masks
        self.buffer = bytearray()

    async def send(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0
    ) -> None:
        """Send a frame."""
        await self.stream.send(self.frame(opcode, payload, fin=fin, rsv=rsv))

    def frame(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0
    ) -> bytes:
        """Build a frame as this side sends them."""
        mask = b"\x05\x06\x07\x08" if self.masks else None
        return frame(opcode, payload, fin=fin, rsv=rsv, mask=mask)

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send a Close."""
        await self.send(CLOSE, close_payload(code, reason))

    async def receive(self) -> Frame:
        """Receive a frame."""
        while (result := take_frame(self.buffer)) is None:
            self.buffer += await self.stream.receive()
        return result

    async def receive_head(self) -> bytes:
        """Receive a request or the head of an answer."""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += await self.stream.receive()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        return head + b"\r\n\r\n"

    async def receive_all(self) -> bytes:
        """Receive what comes until the end."""
        while True:
            try:
                self.buffer += await self.stream.receive()
            except anyio.EndOfStream:
                return bytes(self.buffer)

    async def receive_frames(self) -> list[Frame]:
        """Receive the frames that come until the end."""
        rest = bytearray(await self.receive_all())
        frames: list[Frame] = []
        while (result := take_frame(rest)) is not None:
            frames.append(result)
        assert not rest
        return frames


Opened = tuple[WebSocketConnection, RawPeer, MemoryStream]
Opener = Callable[..., Awaitable[Opened]]


def mangled(peer: RawPeer, opcode: int, payload: bytes = b"", **how: Any) -> bytes:
    """A frame masked as the peer's should be, unless the test says otherwise."""
    return frame(opcode, payload, **{"mask": b"\1\2\3\4" if peer.masks else None} | how)


async def client_of_raw_server(
    tasks: TaskGroup,
    *,
    capacity: int = 65536,
    lines: Iterable[bytes] = (),
    glued: bytes = b"",
    **options: Any,
) -> tuple[WebSocketConnection, RawPeer, MemoryStream]:
    """Make a client's connection to a server by hand.

    :param lines: further headers of its answer
    :param glued: what the server sends right behind its 101
    :return: the connection, the server, and the client's stream to play tricks with

    """
    ours, theirs = stream_pair(capacity)
    peer = RawPeer(theirs, masks=False)

    async def answer() -> None:
        await theirs.send(response(await peer.receive_head(), *lines) + glued)

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
) -> tuple[WebSocketConnection, RawPeer, MemoryStream]:
    """Make a server's connection to a client by hand.

    :param lines: further headers of its request
    :param glued: what the client sends right behind its request
    :return: the connection, the client, and the server's stream to play tricks with

    """
    ours, theirs = stream_pair(capacity)
    peer = RawPeer(theirs, masks=True)
    await theirs.send(request(*lines) + glued)
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
    ours, theirs = stream_pair(capacity)
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
