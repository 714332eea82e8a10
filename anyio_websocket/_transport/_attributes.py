"""What a transport over a socket, or over TLS, knows of itself: anyio's attributes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute

Attributes = Mapping[Any, Callable[[], Any]]

# Their types say what they stand for, which makes some no keys for type checkers.
_OF_SOCKETS: Any = SocketAttribute
_OF_TLS: Any = TLSAttribute


def socket_attributes(sock: Any) -> dict[Any, Callable[[], Any]]:
    """Return the attributes of a socket, as anyio's socket streams have them.

    :param sock: a socket of Python's or of trio's

    """
    attributes: dict[Any, Callable[[], Any]] = {
        _OF_SOCKETS.family: lambda: sock.family,
        _OF_SOCKETS.raw_socket: lambda: sock,
    }
    for name, method in (("local", sock.getsockname), ("remote", sock.getpeername)):
        try:
            address = method()
        except OSError:  # it is closed, or the peer is gone
            continue
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Of IPv6 there are four items; anyio gives the same two for both families.
            attributes[getattr(_OF_SOCKETS, f"{name}_port")] = partial(int, address[1])
            address = address[:2]
        attributes[getattr(_OF_SOCKETS, f"{name}_address")] = partial(_same, address)
    return attributes


def tls_attributes(tls: Any) -> dict[Any, Callable[[], Any]]:
    """Return the attributes of TLS.

    :param tls: an `ssl.SSLObject`, or a ``trio.SSLStream``, which has its methods

    """
    return {
        _OF_TLS.alpn_protocol: tls.selected_alpn_protocol,
        _OF_TLS.channel_binding_tls_unique: tls.get_channel_binding,
        _OF_TLS.cipher: tls.cipher,
        _OF_TLS.peer_certificate: lambda: tls.getpeercert(False),
        _OF_TLS.peer_certificate_binary: lambda: tls.getpeercert(True),
        _OF_TLS.server_side: lambda: tls.server_side,
        _OF_TLS.shared_ciphers: tls.shared_ciphers,
        _OF_TLS.tls_version: tls.version,
    }


def _same(value: Any) -> Any:
    return value
