"""Rows C: frames that break the rules, and some that only look as if they did."""

from __future__ import annotations

import os
import random
import struct
from typing import Final

from anyio_websocket.testing import Frame, ScriptedPeer

from ...support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    frame,
)
from .script import (
    MASK,
    dribbled,
    hang_up,
    hears,
    hears_close,
    hears_echo,
    hears_the_end,
    leave_with_a_reset,
    opened,
    plays,
)


def sized(size: int, opcode: int = BINARY) -> bytes:
    """Build the head of a frame that says it has so many bytes."""
    return bytes([0x80 | opcode, 0xFF]) + struct.pack(">Q", size) + MASK


# Said on an open connection, and the code that it is closed with.
CLOSED: Final[dict[str, list[tuple[bytes, int]]]] = {
    "C1": [
        (frame(TEXT, b"not masked", mask=None), 1002),
        *((frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *((frame(TEXT, b"x", rsv=rsv), 1002) for rsv in (1, 2, 3)),
        (frame(PING, b"x", fin=False), 1002),
        (frame(PING, length=126), 1002),
        (frame(CLOSE, fin=False), 1002),
        (b"\x82\xfe\x00\x05" + MASK, 1002),
        (sized(5), 1002),
    ],
    "C2": [
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(BINARY, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(CLOSE, close_payload(1000)), 1000),
    ],
    "C3": [
        *(
            (frame(TEXT, text), 1007)
            for text in (b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2")
        ),
        (frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"x"), 1007),
        (frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"\x80"), 1007),
    ],
    "C4": [
        *((sized(size), 1009) for size in (2**20 + 1, 2**31, 2**32, 2**62, 2**63 - 1)),
        *((sized(size), 1002) for size in (2**63, 2**64 - 1)),
    ],
    "C5": [
        (frame(CLOSE, b"\x03"), 1002),
        *(
            (frame(CLOSE, close_payload(code)), 1002)
            for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)
        ),
        (frame(CLOSE, close_payload(1000) + b"\xff"), 1007),
        (frame(CLOSE, close_payload(1014)), 1014),  # IANA has it
        (frame(CLOSE, close_payload(4999, "done")), 4999),
    ],
}


def _enlist() -> None:
    for row, cases in CLOSED.items():

        async def closed(
            peer: ScriptedPeer, cases: list[tuple[bytes, int]] = cases
        ) -> None:
            data, code = random.choice(cases)
            await opened(peer)
            await peer.stream.send(data)
            await hears_close(peer, code)
            await hears_the_end(peer)

        plays(row)(closed)


_enlist()


@plays("C3")
async def cuts_a_text_anywhere(peer: ScriptedPeer) -> None:
    text = "naïve café, 𝄞 and €".encode()
    cut = random.randrange(len(text))
    await opened(peer)
    await peer.send_frame(TEXT, text[:cut], fin=False)
    await peer.send_frame(CONTINUATION, text[cut:])
    await hears(peer, Frame(TEXT, text))


@plays("C6", "tcp")
async def ends_in_a_frame(peer: ScriptedPeer) -> None:
    await opened(peer)
    data = peer.frame(BINARY, os.urandom(1000))
    await peer.stream.send(data[: random.choice((1, 2, 5, 8, 500))])
    hang_up(peer)
    await hears_the_end(peer)


@plays("C6", "tcp")
async def resets_in_a_frame(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.stream.send(peer.frame(BINARY, bytes(1000))[:500])
    await leave_with_a_reset(peer)


@plays("C6")
async def leaves_in_a_message(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(BINARY, bytes(1000), fin=False)


@plays("C7")
async def masks_with_zeros(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.stream.send(frame(TEXT, b"bare", mask=bytes(4)))
    await hears(peer, Frame(TEXT, b"bare"))


@plays("C8")
async def talks_on_after_its_close(peer: ScriptedPeer) -> None:
    await opened(peer)
    more = frame(TEXT, b"and another thing") * 100 + os.urandom(10_000)
    await peer.stream.send(frame(CLOSE, close_payload(1000)) + more)
    await hears_close(peer, 1000)
    await hears_the_end(peer)


@plays("C8")
async def talks_on_after_a_mistake(peer: ScriptedPeer) -> None:
    await opened(peer)
    more = frame(TEXT, b"never mind") * 100 + frame(CLOSE, close_payload(1000))
    await peer.stream.send(frame(3) + more)
    await hears_close(peer, 1002)
    await hears_the_end(peer)


@plays("C9")
async def cuts_frames_anywhere(peer: ScriptedPeer) -> None:
    await opened(peer)
    texts = [b"%d " % i + b"x" * random.randrange(100) for i in range(5)]
    data = b"".join(peer.frame(TEXT, text) for text in texts)
    await dribbled(peer, data, random.choice((1, 2, 3, 7)), 0.002)
    for text in texts:
        await hears(peer, Frame(TEXT, text))
    await hears_echo(peer)
