"""Bytes over the network: sockets, TLS over them, and streams that users bring."""

from __future__ import annotations

from ._connect import check_unix_path, connect, connect_unix, connect_via
from ._interface import Transport, TransportLost, send
from ._readiness import can_wait_for_sockets, clock_of_loop, current_time
from ._send_each import send_each
from ._socket_listeners import SocketTransportListener, socket_listener
from ._sockets import RECEIVE_SIZE, SocketTransport
from ._start_tls import start_tls
from ._streams import AnyStream, StreamTransport, transport_of
from ._tls import TlsTransport
from ._tls_contexts import check_alpn, check_ssl_context

__all__ = [
    "RECEIVE_SIZE",
    "AnyStream",
    "SocketTransport",
    "SocketTransportListener",
    "StreamTransport",
    "TlsTransport",
    "Transport",
    "TransportLost",
    "can_wait_for_sockets",
    "check_alpn",
    "check_ssl_context",
    "check_unix_path",
    "clock_of_loop",
    "connect",
    "connect_unix",
    "connect_via",
    "current_time",
    "send",
    "send_each",
    "socket_listener",
    "start_tls",
    "transport_of",
]
