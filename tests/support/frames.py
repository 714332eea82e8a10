"""Frames of clients by hand, and names that are short."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from anyio_websocket.testing import Frame, Opcode, frame_bytes
from anyio_websocket.testing._frames import close_payload, masked, take_frame

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "close_payload",
    "cut",
    "frame",
    "masked",
    "take_frame",
]

MASK = b"\x01\x02\x03\x04"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

frame = partial(frame_bytes, mask=MASK)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at the given offsets."""
    return [data[a:b] for a, b in pairwise([0, *sorted(places), len(data)])]
