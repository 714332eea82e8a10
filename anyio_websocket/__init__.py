"""A WebSocket client and server for anyio, which runs on asyncio and on trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from ._version import __version__ as __version__

# Most programs use one side, and the other one is not imported: it would take a tenth
# of the time. Type checkers read both imports.
if TYPE_CHECKING:
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
else:
    _CLIENT = frozenset(
        {
            "Attempt",
            "ClientUpgrade",
            "ReconnectingConnection",
            "connect_websocket",
            "connect_websocket_url",
            "is_transient",
            "open_reconnecting",
            "open_websocket",
            "open_websocket_url",
            "reconnect_delays",
            "reconnecting",
            "wrap_client_stream",
        }
    )

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in _CLIENT:
            from . import _client as side
        else:
            from . import _server as side
        _show_home(vars(side))
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


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


def _show_home(values: dict[str, type]) -> None:
    # Reprs, tracebacks, pickles and the docs show where users import a name from.
    for name, value in values.items():
        if name in __all__:
            value.__module__ = __name__
            globals()[name] = value


_show_home(dict(globals()))
del TYPE_CHECKING, annotations
