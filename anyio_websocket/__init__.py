"""WebSocket client and server for anyio: one library under asyncio and under trio."""

from __future__ import annotations

from ._client import (
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    reconnect_delays,
    wrap_client_stream,
)
from ._connection import WebSocketConnection
from ._endpoint import Endpoint
from ._errors import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketError,
)
from ._protocol import PerMessageDeflate
from ._server import (
    WebSocketRequest,
    WebSocketServer,
    serve_websocket,
    wrap_server_stream,
)

__all__ = [
    "CloseReason",
    "ConnectionClosed",
    "ConnectionRejected",
    "ConnectionTimeout",
    "DisconnectionTimeout",
    "Endpoint",
    "HandshakeError",
    "PerMessageDeflate",
    "WebSocketConnection",
    "WebSocketError",
    "WebSocketRequest",
    "WebSocketServer",
    "connect_websocket",
    "connect_websocket_url",
    "open_websocket",
    "open_websocket_url",
    "reconnect_delays",
    "serve_websocket",
    "wrap_client_stream",
    "wrap_server_stream",
]

__version__ = "0.1.0"


def _bring_home() -> None:
    # A public name has one home, which reprs, tracebacks, pickles and the docs show.
    for name in __all__:
        globals()[name].__module__ = __name__


_bring_home()
del _bring_home
