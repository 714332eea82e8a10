"""Streams in memory that behave as sockets do, and a listener for them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import cycle
from typing import Any

import anyio
from anyio.abc import AsyncResource, ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint

_CLIENT_PORTS = range(49_152, 65_536)  # those that no service has

Hook = Callable[[], Awaitable[None]]


class _Pipe:
    """One direction: bytes that were sent and are not received yet."""

    def __init__(self, capacity: int) -> None:
        self.data: bytearray = bytearray()
        self.capacity = capacity  # bytes
        self.ended = False  # no more will be sent
        self.reset = False  # one end was closed with data on the way
        self.deaf = False  # the receiving end is closed
        self._changed = anyio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class MemoryStream(ByteStream):
    """One end of a pair of streams in memory; `memory_stream_pair` makes them.

    It behaves as a TCP socket does. A sender waits while the other end does not
    receive. A cancelled ``send`` leaves sent what was sent. Closing it while received
    bytes are unread resets the connection.

    """

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._receiving = anyio.ResourceGuard("receiving from")
        self._sending = anyio.ResourceGuard("sending to")
        #: whether this end was closed
        self.closed: bool = False
        #: called before each operation; may wait, or raise what the operation should
        self.before_receive: Hook | None = None
        self.before_send: Hook | None = None
        self.before_eof: Hook | None = None
        self.before_close: Hook | None = None
        #: bytes that are received, or sent, at once at the most
        self.max_receive: int = 65536
        self.max_send: int = 65536
        #: its address and that of the other end, as TCP has them; default ``None``,
        #: there are none
        self.local_address: tuple[str, int] | None = None
        self.remote_address: tuple[str, int] | None = None

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        known = {
            SocketAttribute.local_address: self.local_address,
            SocketAttribute.remote_address: self.remote_address,
        }
        return {
            name: partial(tuple, address)
            for name, address in known.items()
            if address is not None
        }

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if max_bytes < 1:
            raise ValueError("max_bytes must be a positive integer")
        with self._receiving:
            await checkpoint()
            if self.before_receive is not None:
                await self.before_receive()
            pipe = self._incoming
            while True:
                if self.closed:
                    raise anyio.ClosedResourceError
                if pipe.reset:
                    raise anyio.BrokenResourceError from ConnectionResetError("reset")
                if pipe.data:
                    size = min(max_bytes, self.max_receive)
                    data = bytes(pipe.data[:size])
                    del pipe.data[:size]
                    pipe.change()
                    return data
                if pipe.ended:
                    raise anyio.EndOfStream
                await pipe.wait()

    async def send(self, item: bytes) -> None:
        with self._sending:
            await checkpoint()
            if self.before_send is not None:
                await self.before_send()
            pipe = self._outgoing
            view = memoryview(item)
            while True:
                if self.closed or pipe.ended:
                    raise anyio.ClosedResourceError
                if pipe.deaf or pipe.reset:
                    raise anyio.BrokenResourceError from BrokenPipeError("reset")
                space = min(pipe.capacity - len(pipe.data), self.max_send)
                if space > 0 and len(view):
                    pipe.data += view[:space]
                    view = view[space:]
                    pipe.change()
                if not len(view):
                    return
                await pipe.wait()

    async def send_eof(self) -> None:
        if self.before_eof is not None:
            await self.before_eof()
        self._outgoing.ended = True
        self._outgoing.change()
        await checkpoint()

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            if self._incoming.data:
                self._outgoing.reset = True
            self._incoming.deaf = True
            self._outgoing.ended = True
            self._incoming.change()
            self._outgoing.change()
            if self.before_close is not None:
                await self.before_close()
        await checkpoint()

    def reset(self) -> None:
        """Break the connection, as a peer that vanishes with a reset does."""
        self._incoming.reset = self._outgoing.reset = True
        self._incoming.change()
        self._outgoing.change()

    def narrow(self, capacity: int, max_receive: int) -> None:
        """Let fewer bytes be on the way in either direction, or be received at once."""
        self._incoming.capacity = self._outgoing.capacity = capacity
        self.max_receive = max_receive

    def end(self) -> None:
        """Let nothing more come, not even what is on its way: the rest of a frame."""
        self._incoming.data.clear()
        self._incoming.ended = True
        self._incoming.change()


def memory_stream_pair(capacity: int = 65536) -> tuple[MemoryStream, MemoryStream]:
    """Make two connected streams in memory.

    :param capacity: bytes that fit on the way in one direction; a sender of more waits
        until the other end receives; default 65536

    """
    one, other = _Pipe(capacity), _Pipe(capacity)
    return MemoryStream(one, other), MemoryStream(other, one)


class MemoryListener(AsyncResource):
    """A listener in memory: `connect` gives a client's end.

    It is for `~anyio_websocket.WebSocketServer`, or for ``accept()`` of yours.

    :param capacity: bytes that fit on the way in one direction; default 65536
    :param backlog: clients that may wait to be accepted; default any number
    :param host: the IP address at which both ends of a connection seem to be, the
        server at port 80 and each client at a port of its own; default ``None``, they
        have no addresses

    """

    def __init__(
        self,
        capacity: int = 65536,
        backlog: float = math.inf,
        *,
        host: str | None = None,
    ) -> None:
        self._capacity = capacity
        self._host = host
        self._ports = cycle(_CLIENT_PORTS)
        self._backlog = backlog
        self._waiting: deque[MemoryStream] = deque()  # the server's ends
        self._changed = anyio.Event()
        #: whether it was closed
        self.closed: bool = False

    def connect(self) -> MemoryStream:
        """Connect a client, and return its end."""
        return self.pair()[1]

    def pair(self) -> tuple[MemoryStream, MemoryStream]:
        """Connect a client; return the server's end, to play tricks with, and its own.

        :raises anyio.ClosedResourceError: if the listener is closed
        :raises anyio.WouldBlock: if ``backlog`` clients wait already

        """
        if self.closed:
            raise anyio.ClosedResourceError
        if len(self._waiting) >= self._backlog:
            raise anyio.WouldBlock
        server, client = memory_stream_pair(self._capacity)
        if self._host is not None:
            server.local_address = client.remote_address = self._host, 80
            server.remote_address = client.local_address = self._host, next(self._ports)
        self._waiting.append(server)
        self._change()
        return server, client

    async def accept(self) -> ByteStream:
        """Wait for a client, and return the server's end.

        :raises anyio.ClosedResourceError: if the listener is closed

        """
        await checkpoint()
        while not self._waiting:
            if self.closed:
                raise anyio.ClosedResourceError
            await self._changed.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Accept no more; clients that wait are reset."""
        self.closed = True
        self._change()
        while self._waiting:
            self._waiting.popleft().reset()
        await checkpoint()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
