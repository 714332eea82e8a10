"""What a peer can send that makes work: few bytes, or one read, and much to do.

Each entry is traffic that a client repeats for as long as it likes (row F12).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from .frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MIB: Final = 2**20  # the default of max_message_size
CJK: Final = ("語" * (MIB // 3)).encode()


def deflated(data: bytes) -> bytes:
    """Compress a payload as permessage-deflate has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class _Bits:
    """Writes a deflate stream by hand (RFC 1951)."""

    def __init__(self) -> None:
        self._value = self._size = 0

    def put(self, value: int, size: int) -> None:
        self._value |= value << self._size
        self._size += size

    def data(self) -> bytes:
        return self._value.to_bytes((self._size + 7) // 8, "little")


def empty_dynamic_blocks(count: int) -> bytes:
    """Make blocks that have a table of codes, and nothing in it but their end."""
    bits = _Bits()
    for _ in range(count):
        bits.put(0b100, 3)  # not the last one; dynamic codes
        bits.put(0, 5)  # 257 codes for literals
        bits.put(0, 5)  # one for distances
        bits.put(14, 4)  # 18 lengths of codes
        for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
            bits.put(symbol in (1, 18), 3)
        bits.put(1, 1)  # 138 literals without a code
        bits.put(127, 7)
        bits.put(1, 1)  # and 118
        bits.put(107, 7)
        bits.put(0, 3)  # one bit each for the end and a distance; the end
    bits.put(0, 3)  # the flushed block
    return bits.data()


Make = Callable[[bytes | None], bytes]


def _repeated(opcode: int, payload: bytes, *, rsv: int = 0, size: int = 2**17) -> Make:
    def make(mask: bytes | None) -> bytes:
        one = frame(opcode, payload, rsv=rsv, mask=mask)
        return one * max(1, size // len(one))

    return make


def _fragmented(payload: bytes) -> Make:
    def make(mask: bytes | None) -> bytes:
        middle = frame(CONTINUATION, payload, fin=False, mask=mask)
        return (
            frame(TEXT, payload, fin=False, mask=mask)
            + middle * 100_000
            + frame(CONTINUATION, payload, mask=mask)
        )

    return make


#: makes the traffic for a mask key, or for ``None``
TRAFFIC: Final[dict[str, Make]] = {
    "empty messages": _repeated(BINARY, b""),
    "short messages": _repeated(TEXT, b"x" * 125),
    "empty fragments": _fragmented(b""),
    "tiny fragments": _fragmented(b"x"),
    "pings": _repeated(PING, b""),
    "long pings": _repeated(PING, b"x" * 125),
    "pongs": _repeated(PONG, b""),
    "large binary": _repeated(BINARY, bytes(MIB)),
    "large text": _repeated(TEXT, CJK),
    "text with an emoji": _repeated(TEXT, b"a" * (MIB - 4) + "😀".encode()),
}
#: the same, of a peer that compresses; many in a read
COMPRESSED: Final[dict[str, Make]] = {
    "bombs": _repeated(BINARY, deflated(bytes(MIB)), rsv=4),
    "bombs of text": _repeated(TEXT, deflated(CJK), rsv=4),
    "short compressed": _repeated(TEXT, deflated(b"hello"), rsv=4),
    "empty compressed": _repeated(BINARY, b"\0", rsv=4),
    "final blocks": _repeated(BINARY, b"\3\0" * 63 + b"\0", rsv=4),
    "empty blocks": _repeated(BINARY, empty_dynamic_blocks(20_000), rsv=4),
    "stored blocks": _repeated(BINARY, b"\0\0\0\xff\xff" * 50_000 + b"\0", rsv=4),
}
