"""Rows D: messages too large, of too many pieces, or compressed as they must not be."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import anyio

from anyio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from anyio_websocket.testing import Frame, ScriptedPeer

from ...support.frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from ...support.hostile_work import bomb
from .script import (
    BrokenPromise,
    dribbled,
    hears,
    hears_close,
    hears_echo,
    hears_the_end,
    next_frame,
    opened,
    plays,
    within,
)

LIMIT: Final = 2**20  # bytes; the default of max_message_size
FRAGMENTS: Final = 131_072  # the most of a message, and one more
OFFER: Final = b"Sec-WebSocket-Extensions: permessage-deflate"
FLUSHED: Final = b"\x00\x00\xff\xff"  # RFC 7692 section 7.2.1 has it taken off


def deflated(data: bytes, *, bits: int = 12, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Compress a message."""
    deflate = zlib.compressobj(wbits=-bits)
    return (deflate.compress(data) + deflate.flush(end)).removesuffix(FLUSHED)


# Made once: what is dear about these is for the server to bear.
TOO_LARGE: Final = [
    frame(BINARY, bytes(LIMIT + 1), mask=bytes(4)),
    frame(BINARY, bytes(LIMIT), fin=False, mask=bytes(4)) + frame(CONTINUATION, b"x"),
]
BOMB: Final = frame(BINARY, bomb(64), rsv=4, mask=bytes(4))
INFLATED: Final = frame(BINARY, deflated(bytes(LIMIT)), rsv=4, mask=bytes(4))
# Each is an empty block that is not final, and adds nothing to the message.
EMPTY_BLOCKS: Final = frame(
    BINARY, (b"\x00" + FLUSHED) * 5000 + b"\x00", rsv=4, mask=bytes(4)
)
SHREDS: Final = frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) * FRAGMENTS
NOISE: Final = random.Random(1).randbytes(5000)


@plays("D1")
async def sends_too_much(peer: ScriptedPeer) -> None:
    await opened(peer)
    await _floods(peer, random.choice(TOO_LARGE), 1009)


@plays("D1")
async def sends_a_bomb(peer: ScriptedPeer) -> None:
    await opened(peer, OFFER)
    await _floods(peer, BOMB, 1009)


@plays("F12")
async def makes_work(peer: ScriptedPeer) -> None:
    """It does not keep others waiting: their echoes are timed meanwhile."""
    await opened(peer, OFFER, path=b"/drain")
    await peer.stream.send(INFLATED * 20 + EMPTY_BLOCKS)
    await peer.send_frame(PING, b"done?")
    # How long 20 MiB take is the machine's business.
    await hears(peer, Frame(PONG, b"done?"), seconds=30)


@plays("D11")
async def sends_a_text_that_takes_the_most_memory(peer: ScriptedPeer) -> None:
    await opened(peer)
    text = "é語" + "a" * 200_000 + "😀"
    await hears_echo(peer, text.encode())


@plays("D2")
async def shreds(peer: ScriptedPeer) -> None:
    await opened(peer)
    # The server takes 131 turns for them, and lets everybody else run between two.
    await _floods(peer, SHREDS, 1008, seconds=5)


async def _floods(
    peer: ScriptedPeer, data: bytes, code: int, *, seconds: float = 0
) -> None:
    """Send something that has to end the connection before it is through."""

    async def send() -> None:
        # The server reads on for a while, and not for ever.
        with suppress(anyio.BrokenResourceError):
            await peer.stream.send(data)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await hears_close(peer, code, seconds=seconds)
        await hears_the_end(peer)


@plays("D3")
async def dribbles_a_large_frame(peer: ScriptedPeer) -> None:
    await opened(peer)
    payload = random.randbytes(20_000)
    await dribbled(peer, peer.frame(BINARY, payload), 97, 0.005)
    await hears(peer, Frame(BINARY, payload))


@plays("D4")
async def compresses_unasked(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(BINARY, deflated(b"hello"), rsv=4)
    await hears_close(peer, 1002)
    await hears_the_end(peer)


@plays("D4")
async def compresses_in_the_wrong_place(peer: ScriptedPeer) -> None:
    await opened(peer, OFFER)
    if random.random() < 0.5:
        await peer.send_frame(PING, b"x", rsv=4)
    else:
        await peer.send_frame(BINARY, b"x", fin=False)
        await peer.send_frame(CONTINUATION, b"x", rsv=4)
    await hears_close(peer, 1002)
    await hears_the_end(peer)


@plays("D5")
async def pings_inside_of_a_message(peer: ScriptedPeer) -> None:
    await opened(peer, OFFER)
    text = b"hello " * 100
    data = deflated(text)
    await peer.send_frame(TEXT, data[:5], fin=False, rsv=4)
    await peer.send_frame(PING, b"now?")
    await hears(peer, Frame(PONG, b"now?"))
    await peer.send_frame(PONG, b"unasked")
    await peer.send_frame(CONTINUATION, data[5:])
    await _hears_compressed(peer, text, zlib.decompressobj(-15))


@plays("D6")
async def sends_damaged_data(peer: ScriptedPeer) -> None:
    await opened(peer, OFFER + b"; client_max_window_bits")
    far = zlib.compressobj(wbits=-15)
    case = random.randrange(3)
    if case == 0:
        data = b"\xff" * 100
    elif case == 1:
        data = deflated(NOISE)[:-100]
    else:  # looks back further than agreed
        data = far.compress(NOISE + bytes(20_000)) + far.flush(zlib.Z_SYNC_FLUSH)
        await peer.send_frame(BINARY, data.removesuffix(FLUSHED), rsv=4)
        data = far.compress(NOISE) + far.flush(zlib.Z_SYNC_FLUSH)
    await peer.send_frame(BINARY, data.removesuffix(FLUSHED), rsv=4)
    await hears_close(peer, 1002, 1007)
    await hears_the_end(peer)


@plays("D7", "tcp")
async def gives_up_sending(peer: ScriptedPeer) -> None:
    """Our own client, over a stream of another make."""
    async with anyio.create_task_group() as tasks:
        ws = await wrap_client_stream(
            tasks, peer.stream, "127.0.0.1", "/", compression=True
        )
        texts = [f"{i} " + "x" * random.randrange(9000) for i in range(20)]
        tasks.start_soon(_send_some, ws, texts)
        rest: Iterator[object] = iter(texts)
        try:
            with within(3, "what was not given up"):
                while (got := await ws.get_message()) != texts[-1]:
                    if got not in rest:  # which goes on behind it
                        raise BrokenPromise("a message that was not sent, or again")
        except ConnectionClosed as exc:
            # A stream of a user's may be left with half a frame.
            if exc.reason is None or exc.reason.code not in (1001, 1006):
                raise BrokenPromise(f"a cancelled send led to {exc!r}") from exc
        finally:
            await ws.aclose()


async def _send_some(ws: WebSocketConnection, texts: list[str]) -> None:
    with suppress(ConnectionClosed):
        for text in texts[:-1]:
            with anyio.move_on_after(random.choice((0, 0.0001, 1))):
                await ws.send_message(text)
        await ws.send_message(texts[-1])


@plays("D8")
async def asks_for_odd_windows(peer: ScriptedPeer) -> None:
    offer = random.choice((b"", b"; client_max_window_bits=%d" % random.randint(8, 15)))
    if random.random() < 0.5:
        offer += b"; server_max_window_bits=%d" % random.randint(9, 15)
    if random.random() < 0.5:
        offer += b"; client_no_context_takeover"
    if random.random() < 0.5:
        offer += b"; server_no_context_takeover"
    head = await opened(peer, OFFER + offer)
    agreed = _parameters(head)
    if agreed is None:
        return  # declined, as it may be
    mine = agreed.get(b"client_max_window_bits", 15)
    theirs = agreed.get(b"server_max_window_bits", 15)
    new_deflate = partial(zlib.compressobj, wbits=-max(9, mine))
    new_inflate = partial(zlib.decompressobj, -theirs)
    deflate, inflate = new_deflate(), new_inflate()
    for _ in range(4):
        text = NOISE[: random.randrange(1500, 5000)] * 2
        data = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)
        await peer.send_frame(BINARY, data.removesuffix(FLUSHED), rsv=4)
        await _hears_compressed(peer, text, inflate)
        if b"client_no_context_takeover" in agreed:
            deflate = new_deflate()
        if b"server_no_context_takeover" in agreed:
            inflate = new_inflate()


def _parameters(head: bytes) -> dict[bytes, int] | None:
    """Find what was agreed on."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-extensions":
            parameters = [item.strip().partition(b"=") for item in value.split(b";")]
            return {name: int(number or 0) for name, _, number in parameters}
    return None


@plays("D9")
async def idles_with_compression(peer: ScriptedPeer) -> None:
    await opened(peer, OFFER)
    inflate = zlib.decompressobj(-15)
    await peer.send_frame(TEXT, deflated(NOISE.hex().encode()), rsv=4)
    await _hears_compressed(peer, NOISE.hex().encode(), inflate)
    await anyio.sleep(3)
    await peer.send_frame(TEXT, b"still here?")  # it need not be compressed
    await _hears_compressed(peer, b"still here?", inflate)


async def _hears_compressed(
    peer: ScriptedPeer, payload: bytes, inflate: zlib._Decompress
) -> None:
    """Demand an echo, compressed unless that would make it longer."""
    got = await next_frame(peer)
    text = inflate.decompress(got.payload + FLUSHED) if got.rsv else got.payload
    if text != payload:
        raise BrokenPromise(f"a wrong message: {got.payload[:20]!r}")
