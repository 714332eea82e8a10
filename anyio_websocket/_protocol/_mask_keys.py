"""The mask keys of a client's frames (RFC 6455 section 5.3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

# bytes; keys are drawn in blocks, because one os.urandom() per key costs more than
# masking a short message
_BLOCK: Final = 256


def mask_keys() -> Iterator[bytes]:
    """Yield mask keys without end, random and each of them used once.

    A process that forks shares the unused keys of a block with its child. That does
    no harm: the two cannot both go on with one connection, and each connection has a
    block of its own.
    """
    while True:
        block = os.urandom(_BLOCK)
        for start in range(0, _BLOCK, 4):
            yield block[start : start + 4]
