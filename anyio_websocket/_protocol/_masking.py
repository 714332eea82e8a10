"""Masking (RFC 6455 section 5.3), the dearest part of a frame in pure Python.

In: payloads and keys. Out: masked or unmasked payloads; fresh keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

# bytes; what is masked at once. Larger payloads are taken in blocks of it, which keeps
# the scratch memory small and, being reused by malloc, free of page faults: 1 MiB
# takes 1.0 ms so, and up to 1.8 ms at once (CPython 3.11 and 3.13).
BLOCK: Final = 65536

# bytes; below it one XOR of two large integers is faster than four passes of
# translate() over every fourth byte (CPython 3.11 and 3.13: even at about 2.5 KiB)
_XOR_LIMIT: Final = 2048
_REPEATS: Final = [(size + 3) // 4 for size in range(126)]
_XOR_TABLES: Final = [bytes(i ^ key for i in range(256)) for key in range(256)]

# bytes; keys are fetched in blocks, as a call for each costs more than masking a short
# message
_KEY_BLOCK: Final = 256


def masked(data: bytes, key: bytes) -> bytes | bytearray:
    """Mask or unmask a piece of a payload.

    :param data: the piece, best of at most ``BLOCK`` bytes
    :param key: the four bytes of the mask, turned to where the piece starts

    """
    size = len(data)
    if size < _XOR_LIMIT:
        mask = (key * (size // 4 + 1))[:size]
        number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
        return number.to_bytes(size, "little")
    result = bytearray(size)
    for i in range(4):
        result[i::4] = data[i::4].translate(_XOR_TABLES[key[i]])
    return result


def short_masked(data: bytes, key: bytes) -> bytes:
    """The same for at most 125 bytes, in fewer steps."""
    size = len(data)
    mask = (key * _REPEATS[size])[:size]
    number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
    return number.to_bytes(size, "little")


def mask_keys() -> Iterator[bytes]:
    """Give mask keys without end: random whoever sees others, none given twice.

    A process that forks shares the unused rest of a block with its child. That is no
    loss: the two cannot both go on with one connection, and each connection has a
    block of its own.
    """
    while True:
        block = os.urandom(_KEY_BLOCK)
        for start in range(0, _KEY_BLOCK, 4):
            yield block[start : start + 4]
