"""A WebSocket client and server for anyio, which runs on asyncio and on trio."""

from __future__ import annotations

from ._client import (
    Attempt,
    ClientUpgrade,
    ReconnectingConnection,
    connect_websocket,
    connect_websocket_url,
    is_transient,
    open_reconnecting,
    open_websocket,
    open_websocket_url,
    reconnect_delays,
    reconnecting,
    wrap_client_stream,
)
from ._connection import (
    BroadcastReport,
    ConnectionStatistics,
    WebSocketConnection,
    WebSocketEvent,
    broadcast,
    broadcast_with_checkpoints,
)
from ._endpoint import Endpoint
from ._errors import (
    CloseCode,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    ProxyError,
    WebSocketError,
)
from ._options import (
    ClientOptions,
    ClientStreamOptions,
    ConnectionOptions,
    ServerOptions,
    ServerStreamOptions,
)
from ._plain_http import HTTPRequest, HTTPResponse, healthz
from ._protocol import PerMessageDeflate
from ._server import (
    Router,
    ServerStatistics,
    WebSocketRequest,
    WebSocketServer,
    accept_upgrade,
    basic_auth,
    serve_websocket,
    serve_websocket_unix,
    wrap_server_stream,
)
from ._version import __version__ as __version__

__all__ = [
    "Attempt",
    "BroadcastReport",
    "ClientOptions",
    "ClientStreamOptions",
    "ClientUpgrade",
    "CloseCode",
    "CloseReason",
    "ConnectionClosed",
    "ConnectionOptions",
    "ConnectionRejected",
    "ConnectionStatistics",
    "ConnectionTimeout",
    "DisconnectionTimeout",
    "Endpoint",
    "HTTPRequest",
    "HTTPResponse",
    "HandshakeError",
    "PerMessageDeflate",
    "ProxyError",
    "ReconnectingConnection",
    "Router",
    "ServerOptions",
    "ServerStatistics",
    "ServerStreamOptions",
    "WebSocketConnection",
    "WebSocketError",
    "WebSocketEvent",
    "WebSocketRequest",
    "WebSocketServer",
    "accept_upgrade",
    "basic_auth",
    "broadcast",
    "broadcast_with_checkpoints",
    "connect_websocket",
    "connect_websocket_url",
    "healthz",
    "is_transient",
    "open_reconnecting",
    "open_websocket",
    "open_websocket_url",
    "reconnect_delays",
    "reconnecting",
    "serve_websocket",
    "serve_websocket_unix",
    "wrap_client_stream",
    "wrap_server_stream",
]


def _set_modules() -> None:
    # Reprs, tracebacks, pickles and the docs show where users import a name from.
    for name in __all__:
        globals()[name].__module__ = __name__


_set_modules()
del _set_modules
