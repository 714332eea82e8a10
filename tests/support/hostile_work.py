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


def bomb(mib: int) -> bytes:
    """Make a payload that inflates to so many MiB of zeros.

    One MiB is compressed, and repeated: 256 of them would take a second.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    one = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return (one * mib)[:-4]


def empty_dynamic_blocks(count: int) -> bytes:
    """Make blocks that have a table of codes, and nothing in it but their end."""
    symbols = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    block = [
        (0b100, 3),  # not the last one; dynamic codes
        (0, 5),  # 257 codes for literals
        (0, 5),  # one for distances
        (14, 4),  # 18 lengths of codes
        *((int(symbol in (1, 18)), 3) for symbol in symbols),
        (1, 1),  # 138 literals without a code
        (127, 7),
        (1, 1),  # and 118
        (107, 7),
        (0, 3),  # one bit each for the end and a distance; the end
    ]
    # The first bit of a deflate stream is the lowest one (RFC 1951 section 3.1.1).
    bits = "".join(f"{value:0{size}b}" for value, size in reversed(block)) * count
    flushed = "000"  # the block that a flush adds
    size = len(flushed) + len(bits)
    return int(flushed + bits, 2).to_bytes((size + 7) // 8, "little")


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
