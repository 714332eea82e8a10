"""Rows E: floods of control frames, peers that are gone, ends that are none."""

from __future__ import annotations

import random
import socket

import anyio
from anyio.abc import SocketAttribute

from anyio_websocket._settings import LINGER_TIMEOUT
from anyio_websocket.testing import Frame, ScriptedPeer

from ...support.frames import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame
from ..settings import DISCONNECT_TIMEOUT, PING_INTERVAL, PING_TIMEOUT
from .frames import sized
from .script import (
    LOST,
    BrokenPromise,
    dribbled,
    hang_up,
    hears,
    hears_close,
    hears_echo,
    hears_the_end,
    leave_with_a_reset,
    next_frame,
    opened,
    plays,
    within,
)


@plays("E1")
async def never_answers_a_close(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    await hears_close(peer, 1000)
    await hears_the_end(peer)


@plays("E1")
async def floods_instead_of_an_answer(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    await hears_close(peer, 1000)
    await _is_cut_off(peer, DISCONNECT_TIMEOUT, frame(BINARY, bytes(5000)))


@plays("E1", "tcp")
async def never_reads(peer: ScriptedPeer) -> None:
    raw = peer.stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await opened(peer, path=b"/loud")
    await anyio.sleep(0.5)  # until the handler gives up, and the server closes
    # More is on its way than fits; without reading it, only writing tells.
    with within(DISCONNECT_TIMEOUT, "to be given up by the server"):
        try:
            while True:
                await peer.send_frame(PING)
                await anyio.sleep(0.2)
        except LOST:
            pass


@plays("E14")
async def closes_without_a_code(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(CLOSE)
    await hears(peer, Frame(CLOSE, b""))
    await hears_the_end(peer)


@plays("E19")
async def replies_to_the_close_and_stays(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    await hears_close(peer, 1000)
    await peer.send_close(1000)
    await _is_cut_off(peer, LINGER_TIMEOUT, frame(PING))


@plays("E2")
async def makes_a_mistake_and_stays(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(3)
    await hears_close(peer, 1002)
    await _is_cut_off(peer, LINGER_TIMEOUT, frame(PING))


@plays("E2")
async def says_close_and_stays(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_close(1000)
    await hears_close(peer, 1000)
    await _is_cut_off(peer, LINGER_TIMEOUT, frame(PING))


async def _is_cut_off(peer: ScriptedPeer, seconds: float, data: bytes) -> None:
    """Go on talking, and demand that this fails in time: the server closed."""
    with within(seconds, "to be cut off"):
        try:
            while True:
                await peer.stream.send(data)
                await anyio.sleep(0.1)
        except LOST:
            pass


@plays("E3")
async def floods_with_pings(peer: ScriptedPeer) -> None:
    await opened(peer)
    count = random.choice((50, 500))
    pings = b"".join(peer.frame(PING, b"%d" % i) for i in range(count))
    await peer.stream.send(pings)
    last = -1
    while last < count - 1:
        got = await next_frame(peer)
        if got.opcode != PONG or int(got.payload) <= last:
            raise BrokenPromise(f"{got} after pong {last}")
        last = int(got.payload)
        await peer.send_frame(PONG)  # it lives, however slowly it reads
    await hears_echo(peer)


@plays("E3")
async def floods_with_pings_and_reads_nothing(peer: ScriptedPeer) -> None:
    await opened(peer)
    with anyio.move_on_after(1):
        while True:
            await peer.stream.send(frame(PING, b"x" * 125) * 50)
            await anyio.sleep(0.02)


@plays("E3")
async def sends_and_reads_nothing(peer: ScriptedPeer) -> None:
    await opened(peer)
    message = frame(BINARY, bytes(100_000), mask=bytes(4))
    with anyio.move_on_after(1):
        while True:
            await peer.stream.send(message)
            await anyio.sleep(0.02)


@plays("E4")
async def is_dead(peer: ScriptedPeer) -> None:
    await opened(peer)
    await anyio.sleep(PING_INTERVAL / 2)
    await hears_the_end(peer, PING_INTERVAL / 2 + PING_TIMEOUT)


@plays("E4")
async def is_slow(peer: ScriptedPeer) -> None:
    """A frame takes longer than a pong may, and one byte at a time."""
    await opened(peer)
    size = int(PING_INTERVAL + PING_TIMEOUT)  # and six bytes before them
    await dribbled(peer, peer.frame(TEXT, b"x" * size), 1, 0.8)
    await hears(peer, Frame(TEXT, b"x" * size))


@plays("E5")
async def sends_on_after_a_mistake(peer: ScriptedPeer) -> None:
    await opened(peer)
    data, code = random.choice(((sized(2**40), 1009), (frame(3), 1002)))

    async def send() -> None:
        try:
            await peer.stream.send(data)
            while True:
                await peer.stream.send(bytes(5000))
                await anyio.sleep(0.01)
        except LOST:
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await hears_close(peer, code)
        await hears_the_end(peer)
        tasks.cancel_scope.cancel()


@plays("E6")
async def sends_pongs_for_no_ping(peer: ScriptedPeer) -> None:
    await opened(peer)
    for payload in (b"", b"x", b"x" * 125):
        await peer.stream.send(peer.frame(PONG, payload) * 20)
    await hears_echo(peer)


@plays("E7")
async def closes_at_the_same_moment(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    await peer.send_close(4000)
    await hears_close(peer, 1000, 4000)
    await hears_the_end(peer, LINGER_TIMEOUT)


@plays("E7")
async def hangs_up(peer: ScriptedPeer) -> None:
    await opened(peer)
    hang_up(peer)  # below TLS: no close_notify
    await hears_the_end(peer, 0)


@plays("E7", "tcp")
async def resets_behind_its_close(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_close(1000)
    await leave_with_a_reset(peer)


@plays("E7")
async def leaves_behind_the_closes(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_close(1000)
    await hears_close(peer, 1000)


@plays("E8")
async def talks_while_the_server_closes(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    more = peer.frame(PING, b"x") + peer.frame(TEXT, b"x") * random.randrange(100)
    await peer.stream.send(more)
    await peer.stream.send(peer.frame(CLOSE, close_payload(1000)))
    await hears_close(peer, 1000)
    with within(LINGER_TIMEOUT, "the end"):
        rest = await peer.receive_all()
    if rest:
        raise BrokenPromise(f"{rest[:20]!r} behind the Close")


@plays("E8")
async def goes_on_asking(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(TEXT, b"first")
    await hears(peer, Frame(TEXT, b"first"))
    await peer.send_close(1000)
    await peer.send_frame(PING, b"hello?")
    await peer.send_frame(TEXT, b"last")
    await hears_close(peer, 1000)
    await hears_the_end(peer)
