"""Sockets of our own: connecting, accepting, and the transport over them.

In: addresses; a listening socket. Out: ``SocketTransport``, which sends without waiting
where it can, keeps what the network did not take, and half-closes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from anyio.abc import SocketAttribute, SocketListener
from anyio.lowlevel import checkpoint

from .._endpoint import Endpoint, endpoint_of
from ._interface import TransportLost
from ._readiness import readiness_of

RECEIVE_SIZE: Final = 65536  # bytes, where the caller leaves it to us

# whether one call can write from several places: not on Windows
CAN_GATHER: Final = hasattr(socket.socket, "sendmsg")


class SocketTransport:
    """A transport over a TCP socket.

    :param sock: a connected socket, which belongs to the transport from now on
    :param remote: the peer's address, ``None`` to ask the socket

    """

    __slots__ = (
        "_local",
        "_readiness",
        "_remote",
        "_socket",
        "is_ssl",
        "peer_active",
        "unsent",
    )

    #: whether what a cancelled `flush` left is still sent by the next one
    survives_cancel = True

    def __init__(self, sock: socket.socket, remote: Any = None) -> None:
        #: whether bytes travel over TLS
        self.is_ssl: bool = False
        #: whether the peer was heard since somebody cleared this
        self.peer_active: bool = True
        self._socket = sock
        # Read now: after a reset the socket no longer knows it.
        self._remote = remote or _name(sock.getpeername)
        # Our own only once the socket is closed; it would cost memory in each.
        self._local: Any = None
        self._readiness = readiness_of(sock)
        #: what waits for `flush`
        self.unsent: bytes | memoryview = b""

    @property
    def local(self) -> Endpoint | str:
        local = self._local or _name(self._socket.getsockname)
        return endpoint_of(local, is_ssl=self.is_ssl) or repr(self._socket)

    @property
    def remote(self) -> Endpoint | str:
        return endpoint_of(self._remote, is_ssl=self.is_ssl) or repr(self._socket)

    def receive(self, max_bytes: int | None) -> Coroutine[Any, Any, bytes | None]:
        # One coroutine less to go through, and to keep while a connection idles.
        return self._readiness.receive(max_bytes or RECEIVE_SIZE)

    def interrupt(self) -> None:
        self._readiness.interrupt()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        if self.unsent:
            self.unsent = b"".join((self.unsent, data, payload))
            return False
        if payload and not CAN_GATHER:
            data += payload
            payload = b""
        size = len(data) + len(payload)
        try:
            if payload:
                sent = self._socket.sendmsg((data, payload))
            else:
                sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise TransportLost("the socket broke while sending") from exc
        if sent == size:
            return True
        if sent < len(data):
            self.unsent = memoryview(data + payload)[sent:]
        else:
            self.unsent = memoryview(payload)[sent - len(data) :]
        return False

    async def flush(self) -> None:
        try:
            while self.unsent:
                await self._readiness.writable()
                with suppress(BlockingIOError):
                    sent = self._socket.send(self.unsent)
                    self.unsent = (
                        self.unsent[sent:] or b""
                    )  # an empty view keeps it all
                    self.peer_active = True  # for it took what was sent before
        except Exception as exc:
            raise TransportLost("the socket broke while sending") from exc

    def call_soon(self, callback: Callable[[], None]) -> bool:
        return self._readiness.call_soon(callback)

    async def send_eof(self) -> bool:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise TransportLost("the socket broke while closing") from exc
        return True

    async def aclose(self) -> None:
        self._close()
        await checkpoint()

    async def abort(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._local = _name(self._socket.getsockname)
            self._readiness.close()
            self._socket.close()
        self.unsent = b""


def _name(method: Callable[[], Any]) -> Any:
    try:
        return method()
    except OSError:  # the peer is gone already
        return None


class OwnListener(SocketListener):
    """Accepts on a listening socket of anyio's, without making streams of it.

    :param listener: whose socket it is; nobody else may accept there

    """

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener
        self._socket: socket.socket = listener.extra(SocketAttribute.raw_socket)
        self._readiness = readiness_of(self._socket)

    @property
    def _raw_socket(self) -> socket.socket:
        return self._socket

    async def accept(self) -> SocketTransport:  # type: ignore[override]
        while True:
            # Even if there may be one already: who floods us with connections must not
            # keep their turn from the others.
            await self._readiness.readable()
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                continue  # it is gone again, or another process has it
            return SocketTransport(_prepared(sock), address)

    async def aclose(self) -> None:
        self._readiness.close()
        await self._listener.aclose()


def _prepared(sock: socket.socket) -> socket.socket:
    try:
        sock.setblocking(False)
        # A frame is written whole, and shall not wait for the next one.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # EINVAL on macOS, where the peer is gone already
        sock.close()
        raise
    return sock
