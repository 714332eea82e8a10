"""Clients that mean no good: one script each, over a fresh connection.

In: a stream to the server. Out: nothing; a script may end in any error of the network.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import SocketStream

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    frame,
)
from ..support.peer import request

MASK: Final = b"\1\2\3\4"
PATIENCE: Final = 2.0  # seconds

Script = Callable[[SocketStream], Awaitable[None]]


async def read_out(stream: SocketStream) -> None:
    """Read what the server says, until it closes or for a while."""
    with anyio.move_on_after(PATIENCE):
        while True:
            await stream.receive()


async def opened(stream: SocketStream, *lines: bytes) -> None:
    """Shake hands."""
    await stream.send(request(*lines, host=b"127.0.0.1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive()


def sends(data: bytes) -> Script:
    """Make a script that says one thing instead of a request."""

    async def script(stream: SocketStream) -> None:
        await stream.send(data)
        await read_out(stream)

    return script


def frames(data: bytes, *lines: bytes) -> Script:
    """Make a script that says one thing once it is connected."""

    async def script(stream: SocketStream) -> None:
        await opened(stream, *lines)
        await stream.send(data)
        await read_out(stream)

    return script


async def drips(stream: SocketStream) -> None:
    for byte in request()[:6]:
        await stream.send(bytes([byte]))
        await anyio.sleep(PATIENCE / 6)


async def leaves(stream: SocketStream) -> None:
    pass


async def leaves_in_a_frame(stream: SocketStream) -> None:
    await opened(stream)
    await stream.send(frame(BINARY, bytes(1000), mask=MASK)[:500])


async def floods_with_pings(stream: SocketStream) -> None:
    await opened(stream)
    with anyio.move_on_after(PATIENCE / 4):
        while True:  # and reads no pong
            await stream.send(frame(PING, b"flood", mask=MASK) * 50)
            await anyio.sleep(0.01)


async def never_answers_a_close(stream: SocketStream) -> None:
    await opened(stream)
    await stream.send(frame(CLOSE, close_payload(1000), mask=MASK))
    await anyio.sleep(PATIENCE)


async def never_reads(stream: SocketStream) -> None:
    await opened(stream)
    message = frame(BINARY, bytes(100_000), mask=MASK)
    with anyio.move_on_after(PATIENCE / 4):
        while True:
            await stream.send(message)
            await anyio.sleep(0.02)


SCRIPTS: Final[list[Script]] = [
    drips,
    leaves,
    leaves_in_a_frame,
    floods_with_pings,
    never_answers_a_close,
    never_reads,
    sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    sends(os.urandom(500)),
    sends(request(b"X: " + b"x" * 20_000)),
    sends(request(*[b"X: x"] * 5000)),
    sends(request(key=None)),
    sends(request(b"Content-Length: 10") + b"0123456789"),
    frames(frame(TEXT, b"not masked")),
    frames(frame(3, b"", mask=MASK)),
    frames(b"\x82\xff" + (2**62).to_bytes(8, "big") + MASK),
    frames(frame(TEXT, b"\xff\xfe", mask=MASK)),
    frames(frame(BINARY, bytes(2**20 + 1), mask=MASK)),
    frames(
        frame(BINARY, b"", fin=False, mask=MASK)
        + frame(CONTINUATION, b"", fin=False, mask=MASK) * 20_000
    ),
    frames(
        frame(BINARY, zlib.compress(bytes(10**6), wbits=-12), rsv=4, mask=MASK),
        b"Sec-WebSocket-Extensions: permessage-deflate",
    ),
]
