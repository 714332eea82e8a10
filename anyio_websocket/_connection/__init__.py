"""An open connection: messages, pings, keepalive and the closing handshake."""

from __future__ import annotations

from ._background import Attendant
from ._connection import WebSocketConnection
from ._core import Link, open_link

__all__ = [
    "Attendant",
    "Link",
    "WebSocketConnection",
    "open_link",
]
