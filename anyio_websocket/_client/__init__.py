"""The client: from a URL, an address or a stream to an open connection."""

from __future__ import annotations

from ._misuse import Opening
from ._open import (
    connect_websocket,
    connect_websocket_url,
    open_over,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
)
from ._open_reconnecting import ReconnectingConnection, open_reconnecting
from ._proxy_failure import refusal
from ._reconnect import reconnect_delays
from ._reconnecting import Attempt, reconnecting
from ._transient import is_transient, mistake, system_error
from ._upgrade import ClientUpgrade, Upgrade

__all__ = [
    "Attempt",
    "ClientUpgrade",
    "Opening",
    "ReconnectingConnection",
    "Upgrade",
    "connect_websocket",
    "connect_websocket_url",
    "is_transient",
    "mistake",
    "open_over",
    "open_reconnecting",
    "open_websocket",
    "open_websocket_url",
    "reconnect_delays",
    "reconnecting",
    "refusal",
    "system_error",
    "wrap_client_stream",
]
