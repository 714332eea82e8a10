"""An open connection: messages, pings, keepalive and the closing handshake."""

from __future__ import annotations

from ._afterwards import has_unread, was_of_use, what_ended_the_loop
from ._background import BackgroundTask
from ._connection import WebSocketConnection
from ._core import ConnectionCore, open_core
from ._sent_fragments import is_in_parts

__all__ = [
    "BackgroundTask",
    "ConnectionCore",
    "WebSocketConnection",
    "has_unread",
    "is_in_parts",
    "open_core",
    "was_of_use",
    "what_ended_the_loop",
]
