"""Building and reading frames by hand, valid and invalid ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

MASK = b"\x01\x02\x03\x04"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def masked(payload: bytes, mask: bytes) -> bytes:
    """XOR a payload with a mask key (RFC 6455 section 5.3)."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
) -> bytes:
    """Build a frame; ``length`` replaces the length in the header, if given."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if mask is None:
        return head + payload
    return head + mask + masked(payload, mask)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at the given offsets."""
    return [data[a:b] for a, b in pairwise([0, *sorted(places), len(data)])]


def close_payload(code: int, reason: str = "") -> bytes:
    """Build the payload of a Close."""
    return struct.pack("!H", code) + reason.encode()


class Frame(NamedTuple):
    """A received frame."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove a frame from the front of a buffer; ``None`` if it is incomplete."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(buffer[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(buffer[2:10]), 10
    mask = None
    if buffer[1] & 0x80:
        mask = bytes(buffer[start : start + 4])
        start += 4
    if len(buffer) < start + size:
        return None
    payload = bytes(buffer[start : start + size])
    result = Frame(
        buffer[0] & 15,
        payload if mask is None else masked(payload, mask),
        bool(buffer[0] & 128),
        buffer[0] >> 4 & 7,
    )
    del buffer[: start + size]
    return result
