"""What the scripts are made of: how to begin, and what has to come of it.

In: a connection to a server. Out: nothing, or ``BrokenPromise``; a script may also end
in any error of the network where nothing was promised.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import anyio
from anyio.abc import SocketAttribute

from anyio_websocket.testing import Frame, ScriptedPeer, handshake_request

from ...support.frames import CLOSE, PING, PONG, TEXT
from ..settings import DISCONNECT_TIMEOUT, SLACK

MASK: Final = b"\1\2\3\4"
LOST: Final = (anyio.EndOfStream, anyio.BrokenResourceError, OSError)

Script = Callable[[ScriptedPeer], Awaitable[None]]
Over = Literal["any", "tcp", "bare", "crowded"]


class BrokenPromise(Exception):
    """Something else happened than the contract says."""


@dataclass(frozen=True)
class Attack:
    """Something that a client does to a server.

    :param play: does it, over a connection that was just made
    :param over: ``"tcp"``, where it does what TLS cannot do; ``"bare"`` for bytes
        without TLS, to a port that wants TLS; ``"crowded"`` for TCP, to a server that
        allows few pending handshakes; ``"any"`` for TCP or TLS

    """

    play: Script
    over: Over


#: by the name of the row
ATTACKS: Final[dict[str, list[Attack]]] = defaultdict(list)


def plays(row: str, over: Over = "any") -> Callable[[Script], Script]:
    """Enlist a script for a row of the contract."""

    def enlist(script: Script) -> Script:
        ATTACKS[row].append(Attack(script, over))
        return script

    return enlist


# -- how to begin --------------------------------------------------------------


async def opened(peer: ScriptedPeer, *lines: bytes, path: bytes = b"/") -> bytes:
    """Shake hands; return the server's answer."""
    line = b"GET " + path + b" HTTP/1.1"
    await peer.stream.send(handshake_request(*lines, line=line, host=b"127.0.0.1"))
    return await hears_yes(peer)


async def dribbled(peer: ScriptedPeer, data: bytes, size: int, pause: float) -> None:
    """Send bytes in small pieces."""
    for start in range(0, len(data), size):
        await peer.stream.send(data[start : start + size])
        await anyio.sleep(pause)


# -- what has to come of it ----------------------------------------------------


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Demand that something happens in time, give or take what a busy machine needs."""
    with anyio.move_on_after(seconds + SLACK) as scope:
        yield
    if scope.cancelled_caught:
        raise BrokenPromise(f"{what} took more than {seconds} s")


async def hears_yes(peer: ScriptedPeer) -> bytes:
    """Demand a 101."""
    with within(0, "the 101"):
        head = await peer.receive_head()
    if not head.startswith(b"HTTP/1.1 101 "):
        raise BrokenPromise(f"not accepted: {head[:40]!r}")
    return head


async def hears_no(peer: ScriptedPeer, *statuses: int) -> None:
    """Demand a refusal, and the end; 0 stands for an end without an answer."""
    with within(0, "the refusal"):
        try:
            while True:
                peer.buffer += await peer.stream.receive()
        except LOST:
            pass
    line, _, _ = bytes(peer.buffer).partition(b"\r\n")
    status = int(line[9:12]) if line.startswith(b"HTTP/1.1 ") else 0
    if status not in statuses:
        raise BrokenPromise(f"{status} ({line[:60]!r}) instead of {statuses}")


async def next_frame(peer: ScriptedPeer, seconds: float = 0) -> Frame:
    """Receive a frame in time, answering those that keep the connection alive."""
    with within(seconds, "the next frame"):
        while (got := await peer.receive_frame()).opcode == PING:
            await peer.send_frame(PONG, got.payload)
    return got


async def hears(peer: ScriptedPeer, wanted: Frame, seconds: float = 0) -> None:
    """Demand a certain frame next."""
    got = await next_frame(peer, seconds)
    if got != wanted:
        got_text = f"{got.opcode} {got.payload[:20]!r} ({len(got.payload)} bytes)"
        raise BrokenPromise(f"{got_text} instead of {wanted.payload[:20]!r}")


async def hears_echo(peer: ScriptedPeer, payload: bytes = b"still here?") -> None:
    """Demand that the connection still works."""
    await peer.send_frame(TEXT, payload)
    await hears(peer, Frame(TEXT, payload))


async def hears_close(peer: ScriptedPeer, *codes: int, seconds: float = 0) -> None:
    """Demand a Close with one of some codes; drop what comes before."""
    with within(seconds, "the Close"):
        try:
            while (got := await peer.receive_frame()).opcode != CLOSE:
                pass
        except LOST as exc:
            raise BrokenPromise(f"the end without Close {codes}: {exc!r}") from exc
    code = int.from_bytes(got.payload[:2])
    if code not in codes:
        raise BrokenPromise(f"Close {code} instead of {codes}")


async def hears_the_end(
    peer: ScriptedPeer, seconds: float = DISCONNECT_TIMEOUT
) -> None:
    """Demand that the server closes."""
    with within(seconds, "the end"):
        try:
            while True:
                await peer.stream.receive()
        except LOST:
            pass


def hang_up(peer: ScriptedPeer) -> None:
    """Send a FIN, and go on listening; below TLS, which thinks nothing of it."""
    raw = peer.stream.extra(SocketAttribute.raw_socket)
    # A socket of uvloop's does not let itself be shut down.
    with socket.fromfd(raw.fileno(), raw.family, raw.type) as same:
        same.shutdown(socket.SHUT_WR)


async def leave_with_a_reset(peer: ScriptedPeer) -> None:
    """Close so that the server gets a reset."""
    raw = peer.stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(peer.stream)
