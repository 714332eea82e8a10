"""Rows E and G13: clients whose messages are unread, and one that reads nothing itself.

Such a client cannot see what the handler received. So each has a witness: another
connection, over which the server sends what the handler received in the end.
"""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute

from anyio_websocket._settings import LINGER_TIMEOUT
from anyio_websocket.testing import Frame, ScriptedPeer

from ...support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame
from ..settings import (
    DISCONNECT_TIMEOUT,
    PING_INTERVAL,
    PING_TIMEOUT,
    SEND_TIMEOUT,
)
from .script import (
    LOST,
    BrokenPromise,
    hang_up,
    hears,
    hears_close,
    hears_the_end,
    leave_with_a_reset,
    opened,
    plays,
    within,
)

#: 16 messages that take just less than 1 MiB of memory, and a Ping. As soon as they
#: take more, nothing is decoded.
NEARLY_FULL: Final = (
    frame(BINARY, bytes(65_536), mask=bytes(4)) * 15
    + frame(BINARY, bytes(64_000), mask=bytes(4))
    + frame(PING, b"read?")
)
#: one that takes it over 1 MiB, and 20 that are not decoded
REST: Final = frame(BINARY, bytes(2000), mask=bytes(4)) + frame(TEXT, b"x") * 20


class Witness:
    """A second client, which learns how the connection of the first one ended.

    :param peer: over a connection of its own

    """

    def __init__(self, peer: ScriptedPeer) -> None:
        self._peer = peer

    async def hears(self, wanted: str, seconds: float) -> None:
        """Demand that the handler ends in time, having received certain messages."""
        with within(seconds, "the end of the handler"):
            while (got := await self._peer.receive_frame()).opcode == PING:
                await self._peer.send_frame(PONG, got.payload)
        if got.payload.decode(errors="replace") != wanted:
            raise BrokenPromise(f"the handler got {got.payload!r} instead of {wanted}")


@asynccontextmanager
async def _witnessed(peer: ScriptedPeer, path: bytes) -> AsyncGenerator[Witness]:
    """Shake hands, and have a witness while the block lasts."""
    name = b"/%d" % random.getrandbits(64)
    await opened(peer, path=path + name)
    async with await _connected_as(peer) as stream:
        other = ScriptedPeer(stream, is_client=True)
        await opened(other, path=b"/outcome" + name)
        yield Witness(other)


async def _connected_as(peer: ScriptedPeer) -> ByteStream:
    """Connect to where a peer is connected, with TLS if that has it."""
    address = peer.stream.extra(SocketAttribute.remote_address)
    tls = peer.stream.extra(TLSAttribute.ssl_object, None)
    if tls is None:
        return await anyio.connect_tcp(address[0], int(address[1]))
    return await anyio.connect_tcp(
        *(address[0], int(address[1])),
        ssl_context=tls.context,
        tls_standard_compatible=False,
    )


# -- what was sent last --------------------------------------------------------


@plays("E13")
async def resets_behind_its_last_words(peer: ScriptedPeer) -> None:
    raw = peer.stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with _witnessed(peer, b"/push") as witness:
        # Small ones are written at once, a large one waits half-written.
        await peer.send_frame(TEXT, random.choice((b"10", b"2000000")))
        await anyio.sleep(random.choice((0.02, 0.05, 0.08, 1)))
        words = b"".join(peer.frame(TEXT, word) for word in (b"one", b"two", b"three"))
        code = random.choice((1006, 1008))
        if code == 1008:
            words += peer.frame(CLOSE, close_payload(1008, "over quota"))
        await peer.stream.send(words)
        # uvloop writes at the end of a pass, and a reset drops what is not written.
        await checkpoint()
        await leave_with_a_reset(peer)
        await witness.hears(f"3 'three' {code}", DISCONNECT_TIMEOUT)


# -- a handler that does not receive -------------------------------------------


async def _fill_the_queue(peer: ScriptedPeer) -> None:
    await peer.stream.send(NEARLY_FULL)
    # Before a reset, all must have left. What comes now fits into the socket's buffers.
    await hears(peer, Frame(PONG, b"read?"))
    await peer.stream.send(REST)
    await checkpoint()  # as above


@plays("E16")
async def hangs_up_behind_a_full_queue(peer: ScriptedPeer) -> None:
    async with _witnessed(peer, b"/ignore") as witness:
        await _fill_the_queue(peer)
        code = random.choice((1000, 1006))
        if code == 1000:
            await peer.send_close(1000)
        await anyio.sleep(random.choice((0, 1)))
        hang_up(peer)
        # Its socket is closed, and its handler is told.
        await hears_the_end(peer, PING_INTERVAL + PING_TIMEOUT)
        await witness.hears(f"37 'x' {code}", 0)


@plays("E16")
async def resets_behind_a_full_queue(peer: ScriptedPeer) -> None:
    async with _witnessed(peer, b"/ignore") as witness:
        await _fill_the_queue(peer)
        await anyio.sleep(random.choice((0, 1)))
        await leave_with_a_reset(peer)
        await witness.hears("37 'x' 1006", PING_INTERVAL + PING_TIMEOUT)


@plays("E4")
async def stays_behind_a_full_queue(peer: ScriptedPeer) -> None:
    """It is alive, although the server does not read its Pongs."""
    await opened(peer, path=b"/ignore")
    await _fill_the_queue(peer)
    with anyio.move_on_after(PING_INTERVAL + PING_TIMEOUT + 1):
        while (got := await peer.receive_frame()).opcode == PING:
            await peer.send_frame(PONG, got.payload)
        raise BrokenPromise(f"{got} to a client that is alive")


@plays("E17")
@plays("E18")
async def talks_to_a_busy_application(peer: ScriptedPeer) -> None:
    """The Pong comes before the first answer, and the Close before the others."""
    await opened(peer, path=random.choice((b"/slow", b"/compute")))
    await peer.stream.send(peer.frame(TEXT, b"work") * 3)
    await peer.send_frame(PING, b"now?")
    await hears(peer, Frame(PONG, b"now?"))
    await peer.send_close(4000)
    await hears_close(peer, 4000)


@plays("E17")
async def pings_behind_many_short_messages(peer: ScriptedPeer) -> None:
    async with _witnessed(peer, b"/ignore") as witness:
        count = random.choice((17, 40, 2000))
        await peer.stream.send(peer.frame(TEXT, b"x") * count)
        await peer.send_frame(PING, b"now?")
        await hears(peer, Frame(PONG, b"now?"))
        await peer.send_close(4000)
        await hears_close(peer, 4000)
        await witness.hears(f"{count} 'x' 4000", LINGER_TIMEOUT)


# -- a client that does not receive --------------------------------------------


@plays("G13")
async def pings_and_reads_nothing(peer: ScriptedPeer) -> None:
    async with _witnessed(peer, b"/push") as witness:
        await peer.send_frame(TEXT, b"2000000")

        async def ping() -> None:
            with suppress(*LOST):
                while True:
                    await peer.send_frame(PING)
                    await anyio.sleep(0.2)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ping)
            await witness.hears("0 '' 1006", SEND_TIMEOUT * 1.25)
            tasks.cancel_scope.cancel()
