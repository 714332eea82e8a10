"""Whether a peer is gone, or takes what is sent, told by the socket.

A connection is not read from while its inbox is full. The peer's end is behind the
bytes that are not read, but the kernel knows about it. The kernel also knows how much
the peer has taken, long before a socket can be written to again.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import Any, Final

# Reported by Linux when the peer has closed its side, and by nothing else. A reset and
# a close of both sides (POLLERR, POLLHUP) are reported everywhere and in any case.
_PEER_CLOSED: Final[int] = getattr(select, "POLLRDHUP", 0)

# Linux's struct tcp_info: retransmissions without an answer is its third byte; segments
# that were sent and not acknowledged, and milliseconds since the last acknowledgement,
# are its 5th and 13th number of four bytes after the first eight bytes. The number of
# bytes that were acknowledged has eight bytes, after 24 numbers of four bytes and two
# of eight.
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_RETRANSMITS: Final = 2
_UNACKED: Final = 24
_LAST_ACK: Final = 56
_BYTES_ACKED: Final = 120
_TCP_INFO_SIZE: Final = 128
# A single loss is normal; after two, the third attempt was made 0.6 s after the first
# or later.
_LOSSES: Final = 2


def has_hung_up(sock: Any) -> bool:
    """Say whether the peer closed its side, or the connection is broken.

    :param sock: a connected socket, or what looks like one

    """
    try:
        sock.getpeername()  # fails after a reset, on Windows too
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(sock.fileno(), _PEER_CLOSED)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True
    except Exception:  # what a user's stream has for a socket cannot be asked
        return False


def has_vanished(sock: Any, seconds: float) -> bool:
    """Say whether the peer's machine acknowledges nothing any more.

    The machine of a living peer does, even if the peer's program reads nothing. Only
    Linux tells, elsewhere the answer is no.

    :param sock: a connected TCP socket, or what looks like one
    :param seconds: since when there must have been no acknowledgement

    """
    if _TCP_INFO is None:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_SIZE)
        (unacked,) = struct.unpack_from("=I", info, _UNACKED)
        (last_ack,) = struct.unpack_from("=I", info, _LAST_ACK)
        losses: int = info[_RETRANSMITS]
    except Exception:  # no TCP, or no socket: see `has_hung_up`
        return False
    return unacked > 0 and losses >= _LOSSES and last_ack >= 1000 * seconds


def bytes_taken(sock: Any) -> int | None:
    """Return how many bytes the peer's machine has acknowledged.

    :param sock: a connected TCP socket, or what looks like one
    :return: ``None`` if that is not known; only Linux tells

    """
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_SIZE)
        (taken,) = struct.unpack_from("=Q", info, _BYTES_ACKED)
    except Exception:  # no TCP, a kernel before 4.1, or no socket: see `has_hung_up`
        return None
    return int(taken)
