"""What connections have counted: one of them, or all of a server's together.

Each connection adds its own counts here when it is closed, so that the sums of a server
never go down. Nothing is added while a connection sends and receives, except for
messages, which are counted only where the application asks for it.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from .._protocol import MessageCounts


class Totals:
    """Sums over connections."""

    __slots__ = (
        "accepted",
        "bytes_received",
        "bytes_sent",
        "failed",
        "lock",
        "messages",
        "pings_sent",
        "rejected",
        "send_wait_seconds",
    )

    def __init__(self) -> None:
        #: is held while a connection that was closed is added, and while the sums are
        #: read: in another thread it would be missing, or be in them twice
        self.lock: Lock = Lock()
        #: counts the messages of all connections, open and closed
        self.messages: MessageCounts = MessageCounts()
        self.bytes_sent: int = 0
        self.bytes_received: int = 0
        self.pings_sent: int = 0
        self.send_wait_seconds: float = 0.0
        #: requests that became connections, that were rejected, and handshakes that
        #: ended without a response
        self.accepted: int = 0
        self.rejected: int = 0
        self.failed: int = 0


#: for connections whose sums nobody asks for, so that they need no memory
UNUSED: Final = Totals()


class Backlog:
    """What waits in the memory of connections at this moment."""

    __slots__ = ("queued_bytes", "queued_messages", "unsent_bytes")

    def __init__(self) -> None:
        self.queued_messages: int = 0
        self.queued_bytes: int = 0
        self.unsent_bytes: int = 0
