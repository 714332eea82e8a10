"""Frames by hand, valid or not: to bytes, from bytes, and as a person reads them."""

from __future__ import annotations

import struct
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

SHOWN = 60  # bytes or characters of a payload, in texts


class Opcode(IntEnum):
    """The kinds of frames (RFC 6455 section 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    """A received frame, unmasked. ``str()`` of it is for people."""

    #: an `Opcode`, or another number if the peer sent one
    opcode: int
    #: unmasked, and compressed if the peer compressed it
    payload: bytes = b""
    #: whether this is the last frame of its message
    fin: bool = True
    #: the three reserved bits as a number; 4 is RSV1, which says "compressed"
    rsv: int = 0

    def __str__(self) -> str:
        return written_out(self.opcode, self.payload, fin=self.fin, rsv=self.rsv)


def written_out(opcode: int, payload: bytes | None, *, fin: bool, rsv: int) -> str:
    """Write a frame as a person reads it; with ``None``, one with any payload."""
    try:
        text = Opcode(opcode).name.capitalize()
    except ValueError:
        text = f"opcode {opcode}"
    if payload is None:
        text += " with any payload"
    elif opcode == Opcode.CLOSE and len(payload) >= 2:
        text += f" {int.from_bytes(payload[:2])}"
        if payload[2:]:
            text += f" {_shown(payload[2:])}"
    elif payload:
        is_binary = opcode == Opcode.BINARY
        text += f" {_shown(payload, as_text=not is_binary)}"
    else:
        text += " (empty)"
    if not fin:
        text += ", not the last of its message"
    if rsv:
        text += f", with reserved bits {rsv:03b}"
    return text


def _shown(payload: bytes, *, as_text: bool = True) -> str:
    shown: str | bytes = payload
    if as_text:
        with suppress(UnicodeDecodeError):  # then its bytes say more
            shown = payload.decode()
    if len(shown) <= SHOWN:
        return repr(shown)
    return f"{shown[:SHOWN]!r}... ({len(payload)} bytes)"


def frame_bytes(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    length: int | None = None,
) -> bytes:
    """Build a frame (RFC 6455 section 5.2), valid or not.

    :param opcode: an `Opcode`, or another number below 16
    :param payload: the payload before masking; a ``str`` is encoded as UTF-8
    :param fin: whether it is the last frame of its message
    :param rsv: the three reserved bits as a number; 4 is RSV1, which says "compressed"
    :param mask: the four bytes of the mask key, as clients have to send one; ``None``
        does not mask, as servers must not
    :param length: the length to write into the header instead of the right one

    """
    if isinstance(payload, str):
        payload = payload.encode()
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


def close_payload(code: int, reason: str = "") -> bytes:
    """Build the payload of a Close."""
    return struct.pack("!H", code) + reason.encode()


def masked(payload: bytes, mask: bytes) -> bytes:
    """XOR a payload with a mask key (RFC 6455 section 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


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
