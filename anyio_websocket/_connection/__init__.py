"""An open connection: messages, pings, keepalive and the closing handshake."""

from __future__ import annotations

from ._afterwards import has_unread, was_of_use, what_ended_the_loop
from ._background import BackgroundTask
from ._broadcast import BroadcastReport, broadcast, broadcast_with_checkpoints
from ._connection import WebSocketConnection
from ._core import ConnectionCore, open_core
from ._events import WebSocketEvent
from ._json import encoded, json_dumps, json_loads
from ._observer import Observer, observer_of
from ._payloads import Buffer, payload_of
from ._sent_fragments import is_in_parts
from ._statistics import ConnectionStatistics
from ._totals import Backlog, Totals

__all__ = [
    "BackgroundTask",
    "Backlog",
    "BroadcastReport",
    "Buffer",
    "ConnectionCore",
    "ConnectionStatistics",
    "Observer",
    "Totals",
    "WebSocketConnection",
    "WebSocketEvent",
    "broadcast",
    "broadcast_with_checkpoints",
    "encoded",
    "has_unread",
    "is_in_parts",
    "json_dumps",
    "json_loads",
    "observer_of",
    "open_core",
    "payload_of",
    "was_of_use",
    "what_ended_the_loop",
]
