"""The server: from a listener or a stream to a request and its connection."""

from __future__ import annotations

from ._basic_auth import basic_auth
from ._open import serve_websocket, serve_websocket_unix
from ._received_head import received_head
from ._request import WebSocketRequest
from ._router import Router
from ._serve import WebSocketServer, server_of, wrap_server_stream
from ._statistics import ServerStatistics
from ._upgrade import accept_upgrade

__all__ = [
    "Router",
    "ServerStatistics",
    "WebSocketRequest",
    "WebSocketServer",
    "accept_upgrade",
    "basic_auth",
    "received_head",
    "serve_websocket",
    "serve_websocket_unix",
    "server_of",
    "wrap_server_stream",
]
