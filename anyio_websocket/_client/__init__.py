"""The client: from a URL, an address or a stream to an open connection."""

from __future__ import annotations

from ._open import (
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
)
from ._reconnect import reconnect_delays

__all__ = [
    "connect_websocket",
    "connect_websocket_url",
    "open_websocket",
    "open_websocket_url",
    "reconnect_delays",
    "wrap_client_stream",
]
