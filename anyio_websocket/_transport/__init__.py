"""Bytes over the network: sockets of our own, TLS, and streams of the user's."""

from __future__ import annotations

from ._connect import connect
from ._interface import Transport, TransportLost, send
from ._readiness import can_wait
from ._sockets import OwnListener, SocketTransport
from ._streams import AnyStream, StreamTransport, wrap
from ._tls import TlsTransport, check_context

__all__ = [
    "AnyStream",
    "OwnListener",
    "SocketTransport",
    "StreamTransport",
    "TlsTransport",
    "Transport",
    "TransportLost",
    "can_wait",
    "check_context",
    "connect",
    "send",
    "wrap",
]
