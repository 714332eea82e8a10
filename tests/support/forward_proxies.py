"""Proxies that clients connect through: HTTP and SOCKS, well-behaved and not.

Whatever server they are asked for, they connect to this machine.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, NamedTuple

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

from anyio_websocket.testing import ScriptedPeer

# What a client that leaves is to a proxy.
GONE = (
    *(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream),
    *(anyio.IncompleteRead, ssl.SSLError),
)


class RunningProxy(NamedTuple):
    """A proxy, and what it was asked."""

    port: int
    asked: list[Any]


Answer = Callable[[ByteStream, list[Any]], Awaitable[None]]


@asynccontextmanager
async def proxying(
    answer: Answer, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[RunningProxy]:
    """Run a proxy on a port of its own while the block lasts.

    :param answer: serves a client; it is given a list for what it is asked
    :param tls: the context for TLS with clients, ``None`` for none

    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    secured: Listener[Any] = listener
    if tls is not None:
        secured = TLSListener(listener, tls, standard_compatible=False)
    asked: list[Any] = []

    async def handle(stream: ByteStream) -> None:
        async with stream:
            with suppress(*GONE):
                await answer(stream, asked)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(secured.serve, handle)
        yield RunningProxy(port, asked)
        tasks.cancel_scope.cancel()


async def relay(stream: ByteStream, port: int) -> None:
    """Pass bytes on between a client and a server, both ways."""
    async with await anyio.connect_tcp("127.0.0.1", port) as server:
        async with anyio.create_task_group() as tasks:

            async def copy(source: ByteStream, sink: ByteStream) -> None:
                with suppress(*GONE):
                    async for data in source:
                        await sink.send(data)
                tasks.cancel_scope.cancel()

            tasks.start_soon(copy, stream, server)
            tasks.start_soon(copy, server, stream)


async def http_proxy(stream: ByteStream, asked: list[Any]) -> None:
    """Make tunnels; what is asked is the head of each request."""
    head = await ScriptedPeer(stream, is_client=False).receive_head()
    asked.append(head)
    authority = head.split(b" ")[1]
    await stream.send(b"HTTP/1.1 200 Connection established\r\nVia: me\r\n\r\n")
    await relay(stream, int(authority.rpartition(b":")[2]))


def saying(data: bytes, *, then_wait: bool = False) -> Answer:
    """Read something, answer these bytes, and leave or wait."""

    async def answer(stream: ByteStream, asked: list[Any]) -> None:
        asked.append(await stream.receive())
        await stream.send(data)
        if then_wait:
            await anyio.sleep_forever()

    return answer


class Asked(NamedTuple):
    """What a SOCKS proxy was asked."""

    version: int
    host: str
    port: int
    user: bytes = b""
    password: bytes = b""


async def socks_proxy(stream: ByteStream, asked: list[Any]) -> None:
    """Speak SOCKS of any version; a password is wanted if one is offered."""
    reader = BufferedByteReceiveStream(stream)
    version = (await reader.receive_exactly(1))[0]
    if version == 4:
        _, *port = await reader.receive_exactly(3)
        address = await reader.receive_exactly(4)
        user = await reader.receive_until(b"\0", 300)
        host = ".".join(map(str, address))
        if address.startswith(b"\0\0\0"):
            host = (await reader.receive_until(b"\0", 300)).decode()
        asked.append(Asked(4, host, int.from_bytes(port, "big"), user))
        await stream.send(b"\0\x5a" + bytes(6))
        await relay(stream, asked[-1].port)
        return
    user = password = b""
    (count,) = await reader.receive_exactly(1)
    if 2 in await reader.receive_exactly(count):
        await stream.send(b"\5\2")
        _, size = await reader.receive_exactly(2)
        user = await reader.receive_exactly(size)
        (size,) = await reader.receive_exactly(1)
        password = await reader.receive_exactly(size) if size else b""
        await stream.send(b"\1\0")
    else:
        await stream.send(b"\5\0")
    *_, kind = await reader.receive_exactly(4)
    if kind == 3:
        (size,) = await reader.receive_exactly(1)
        host = (await reader.receive_exactly(size)).decode()
    else:
        host = str(ip_address(await reader.receive_exactly({1: 4, 4: 16}[kind])))
    port_number = int.from_bytes(await reader.receive_exactly(2), "big")
    asked.append(Asked(5, host, port_number, user, password))
    # The address of this side of the connection to the server, in each of its forms.
    mine = {1: b"\1\x7f\0\0\1", 3: b"\3\4name", 4: b"\4" + bytes(16)}[kind]
    await stream.send(b"\5\0\0" + mine + b"\0\x50")
    await relay(stream, port_number)
