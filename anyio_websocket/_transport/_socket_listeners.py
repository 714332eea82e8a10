"""Accepting connections as `SocketTransport`, whoever made the listening socket.

Theory of operation
-------------------
The listeners of anyio and of trio accept streams, which are slower and cannot complete
a cancelled send. So `socket_listener` takes the socket out of such a listener and
accepts on it. A listener whose ``accept()`` is somebody else's may do more than that,
and is left alone.

The listener stays its user's object: it can be asked for its address, and closing it
ends the server. On asyncio, closing a socket does not wake what waits for it, and
leaves the selector with the number of a descriptor that another socket will have next.
So the listener gets an ``aclose()`` that stops the waiting first. All ways to close it
lead there: ``async with``, a `MultiListener` or a TLS listener around it.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, Final

from anyio import ClosedResourceError
from anyio.abc import SocketAttribute, SocketListener

from ._readiness import can_wait_for_sockets, readiness_of
from ._sockets import SocketTransport, configure_socket

_FAMILIES: Final = frozenset(
    getattr(socket, name)
    for name in ("AF_INET", "AF_INET6", "AF_UNIX")
    if hasattr(socket, name)
)


class SocketTransportListener:
    """Accepts connections on a listening socket, as `SocketTransport`.

    :param sock: the socket, which does not block
    :param listener: what it was taken from; it must not accept any more, and is closed
        with this one. ``None`` if there is nothing but the socket

    """

    def __init__(self, sock: socket.socket, listener: Any = None) -> None:
        self._listener = listener
        self._socket = sock
        self._readiness = readiness_of(sock)
        if listener is not None:
            listener.aclose = self.aclose

    async def accept(self) -> SocketTransport:
        """Wait for a connection, and accept it.

        :raises ClosedResourceError: if the listener is closed
        :raises OSError: if accepting fails

        """
        while True:
            if self._socket.fileno() < 0:
                raise ClosedResourceError
            # Wait even if there may be a connection already: a flood of connections
            # must not keep other tasks from running.
            await self._readiness.readable()
            transport = self.accept_now()
            if transport is not None:
                return transport

    def accept_now(self) -> SocketTransport | None:
        """Accept a connection, if one waits.

        :return: ``None`` if none does: the client has left, or another process was
            faster
        :raises OSError: if accepting fails

        """
        try:
            sock, address = self._socket.accept()
        except BlockingIOError:
            return None
        configure_socket(sock)
        return SocketTransport(sock, address, self._readiness.for_socket(sock))

    async def aclose(self) -> None:
        """Stop listening; tasks in `accept` get a `ClosedResourceError`."""
        if self._socket.fileno() >= 0:
            self._readiness.close()
            self._socket.close()
        listener, self._listener = self._listener, None
        if listener is not None:
            del listener.aclose
            await listener.aclose()


def socket_listener(listener: Any) -> SocketTransportListener | None:
    """Accept on the socket of a listener of anyio's or of trio's.

    :param listener: what a user passed; if it is taken, its ``accept()`` must not be
        called any more
    :return: ``None`` if its own ``accept()`` must be used

    """
    if isinstance(listener, SocketTransportListener):
        return listener
    if not can_wait_for_sockets():
        return None
    sock = _socket_of(listener)
    if sock is None:
        return None
    # Closed sockets and kinds of addresses that we do not know are left to the
    # listener. Packets (SOCK_SEQPACKET) are no stream of bytes.
    if (
        sock.fileno() < 0
        or sock.family not in _FAMILIES
        or sock.type != socket.SOCK_STREAM
    ):
        return None
    if not isinstance(sock, socket.socket):
        # trio does not give its socket away, only another descriptor of it.
        sock = socket.socket(fileno=sock.dup().detach())
    return SocketTransportListener(sock, listener)


def _socket_of(listener: Any) -> Any:
    # trio may not be installed. A user who passes a listener of trio has imported it.
    of_trio: Any = getattr(sys.modules.get("trio"), "SocketListener", ())
    if isinstance(listener, of_trio):
        return listener.socket
    # A subclass inherits accept(), unless it has its own.
    home = str(getattr(getattr(listener, "accept", None), "__module__", None))
    if isinstance(listener, SocketListener) and home.startswith("anyio."):
        return listener.extra(SocketAttribute.raw_socket)
    return None
