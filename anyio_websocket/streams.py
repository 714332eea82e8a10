"""What code on anyio's streams may ask of a WebSocket below it."""

from __future__ import annotations

from anyio import TypedAttributeSet

from ._connection import WebSocketConnection
from ._protocol import PerMessageDeflate
from ._streams import KEYS

__all__ = ["WebSocketAttribute"]


class WebSocketAttribute(TypedAttributeSet):
    """The attributes of a WebSocket, for ``extra()``.

    A `~anyio_websocket.WebSocketConnection` has them, and so has every stream above it
    that hands on the attributes of what it wraps, as anyio's do.

    """

    #: the connection itself
    connection: WebSocketConnection = KEYS["connection"]
    #: see `~anyio_websocket.WebSocketConnection.subprotocol`
    subprotocol: str | None = KEYS["subprotocol"]
    #: see `~anyio_websocket.WebSocketConnection.path`
    path: str = KEYS["path"]
    #: see `~anyio_websocket.WebSocketConnection.handshake_headers`
    handshake_headers: tuple[tuple[bytes, bytes], ...] = KEYS["handshake_headers"]
    #: see `~anyio_websocket.WebSocketConnection.is_client`
    is_client: bool = KEYS["is_client"]
    #: see `~anyio_websocket.WebSocketConnection.compression`
    compression: PerMessageDeflate | None = KEYS["compression"]
