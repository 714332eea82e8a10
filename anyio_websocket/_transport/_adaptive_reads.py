"""How many bytes to ask a socket for, and when to try again without waiting.

Both event loops share this: small reads while messages are small, larger ones while
they are large, and no wait after a read that came back full.
"""

from __future__ import annotations

import socket
from typing import Final

# Reads in a row without waiting. At 128 KiB each, other tasks get their turn after a
# megabyte, so a fast peer cannot keep the event loop to itself.
MAX_FULL_READS: Final = 8

# Bytes asked for unless the read before brought as many: 64 KiB, the header of their
# frame, and what TLS adds to each 16 KiB. malloc has a block of this size ready. One of
# 128 KiB costs a third more where messages are small, and saves a third where they are
# large (1 MiB).
SMALL_READ_SIZE: Final = 66_048

READ_FAILED: Final = "the socket broke while receiving"


class AdaptiveReads:
    """Reads from a socket, and remembers what the last reads brought.

    :param sock: a non-blocking socket

    """

    __slots__ = ("_full_reads", "_is_bulk", "_socket", "may_be_reset")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # Reads in a row that came back full, after which there is probably more. It
        # starts at 1 so that the first read does not wait either: a client's request
        # comes right after its connection.
        self._full_reads = 1
        self._is_bulk = False  # whether the last read was large
        #: whether nothing was sent since the last read; see `UvloopReadiness`
        self.may_be_reset: bool = False

    def _read(self, size: int) -> bytes:
        asked = size if self._is_bulk else min(size, SMALL_READ_SIZE)
        data = self._socket.recv(asked)
        # The rest of what came in full reads tells nothing of what comes next.
        self._is_bulk = len(data) >= SMALL_READ_SIZE or (
            self._is_bulk and self._full_reads > 0
        )
        self._full_reads = self._full_reads + 1 if len(data) == asked else 0
        self.may_be_reset = True
        return data
