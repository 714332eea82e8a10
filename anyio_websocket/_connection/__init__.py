"""An open connection: messages, pings, keepalive and the closing handshake."""

from __future__ import annotations

from ._afterwards import has_unread, was_of_use, what_ended_the_loop
from ._background import BackgroundTask
from ._connection import WebSocketConnection
from ._core import ConnectionCore, open_core

__all__ = [
    "BackgroundTask",
    "ConnectionCore",
    "WebSocketConnection",
    "has_unread",
    "open_core",
    "was_of_use",
    "what_ended_the_loop",
]
