"""A transport over a TCP socket or a UNIX socket.

Sending tries the socket first and waits only if the socket is full. What could not be
sent is kept, so a cancelled send can be completed later. `connect` is in `_connect`,
and what accepts connections in `_socket_listeners`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from anyio.lowlevel import checkpoint

from .._endpoint import Endpoint, endpoint_of
from ._adaptive_reads import READ_FAILED
from ._attributes import Attributes, socket_attributes
from ._hang_up import bytes_taken, has_hung_up, has_vanished
from ._interface import TransportLost, Watcher
from ._readiness import Readiness, readiness_of

RECEIVE_SIZE: Final = 65536  # bytes, if the caller passes no size

# Whether one call can send two buffers. Not on Windows.
CAN_GATHER: Final = hasattr(socket.socket, "sendmsg")


class SocketTransport:
    """A transport over a TCP socket or a UNIX socket.

    :param sock: a connected socket; the transport closes it
    :param remote: the peer's address, ``None`` to ask the socket for it
    :param readiness: waits for the socket; ``None`` makes it

    """

    __slots__ = (
        "_descriptor",
        "_has_sent_eof",
        "_local",
        "_readiness",
        "_remote",
        "_socket",
        "_writes",
        "is_ssl",
        "peer_active",
        "unsent",
    )

    survives_cancel = True

    def __init__(
        self,
        sock: socket.socket,
        remote: Any = None,
        readiness: Readiness | None = None,
    ) -> None:
        self.is_ssl: bool = False
        self.peer_active: bool = True
        self._socket = sock
        # Read now: after a reset the socket no longer knows it.
        self._remote = remote or _address(sock.getpeername)
        # This side's address is read when the socket is closed: until then the socket
        # knows it, and a copy would cost memory in each connection.
        self._local: Any = None
        self._has_sent_eof = False
        self._readiness = readiness or readiness_of(sock)
        self._descriptor = sock.fileno()  # for `send_each`; -1 once it is closed
        self.unsent: bytes | memoryview = b""
        self._writes = 0  # that sent something which had to wait

    @property
    def local(self) -> Endpoint | str:
        return self._own_name() or repr(self._socket)

    @property
    def remote(self) -> Endpoint | str:
        if remote := endpoint_of(self._remote, is_ssl=self.is_ssl):
            return remote
        # A client of a UNIX socket has no name, but the server's socket has one.
        local = self._own_name()
        is_path = isinstance(local, str)
        return f"a client of {local}" if is_path else repr(self._socket)

    def _own_name(self) -> Endpoint | str | None:
        local = self._local or _address(self._socket.getsockname)
        return endpoint_of(local, is_ssl=self.is_ssl)

    @property
    def extra_attributes(self) -> Attributes:
        return socket_attributes(self._socket)

    @property
    def future(self) -> object | None:
        """What the reader may receive from in C; ``None`` if that is not possible."""
        readiness = self._readiness
        return readiness if readiness.is_in_c else None

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes at once, while nothing is unsent.

        :return: bytes. If there are none, the socket is full or broken: `write` tells

        """
        try:
            return self._socket.send(data)
        except OSError:
            return 0

    def keep_rest(self, data: bytes, sent: int) -> None:
        """Keep what `send_now` or `send_each` has not sent, for `flush`."""
        self.unsent = memoryview(data)[sent:]

    def receive(self, max_bytes: int | None) -> Coroutine[Any, Any, bytes | None]:
        # Not async itself: that would be one more coroutine to run for each message,
        # and to keep in memory while the connection idles.
        return self._readiness.receive(max_bytes or RECEIVE_SIZE)

    def receive_now(self, max_bytes: int) -> bytes | None:
        try:
            return self._socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise TransportLost(READ_FAILED) from exc

    def receive_into(self, place: memoryview) -> int:
        try:
            size = self._socket.recv_into(place)
        except BlockingIOError:
            size = 0
        except OSError as exc:
            raise TransportLost(READ_FAILED) from exc
        self._readiness.may_be_reset = True
        self._readiness.expect_end()
        return size

    def watch(self, watcher: Watcher) -> bool:
        return self._readiness.watch(watcher)

    def look_soon(self) -> None:
        self._readiness.look_soon()

    def has_left(self, seconds: float | None) -> bool:
        return has_hung_up(self._socket) or (
            seconds is not None and has_vanished(self._socket, seconds)
        )

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
            self._readiness.may_be_reset = False
            return True
        if sent < len(data):
            self.unsent = memoryview(data + payload)[sent:]
        else:
            self.unsent = memoryview(payload)[sent - len(data) :]
        return False

    def unsent_bytes(self) -> int:
        return len(self.unsent)

    async def flush(self) -> None:
        try:
            while self.unsent:
                await self._readiness.writable()
                with suppress(BlockingIOError):
                    sent = self._socket.send(self.unsent)
                    # Not an empty memoryview, which would keep all of the data alive.
                    self.unsent = self.unsent[sent:] or b""
                    # There is room because the peer took what was sent before.
                    self.peer_active = True
                    self._writes += 1
        except Exception as exc:
            raise TransportLost("the socket broke while sending") from exc

    def progress(self) -> object:
        # A socket can be written to when a third of its buffer is free, which may be a
        # megabyte. The kernel knows of less, where it tells.
        return (self._writes, bytes_taken(self._socket)) if self.unsent else None

    def call_soon(self, callback: Callable[[], None]) -> bool:
        return self._readiness.call_soon(callback)

    async def send_eof(self) -> bool:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise TransportLost("the socket broke while closing") from exc
        self._has_sent_eof = True
        self._readiness.expect_end()
        return True

    def linger(self, seconds: float) -> AbstractContextManager[object]:
        return self._readiness.linger(seconds)  # nothing else here waits

    async def aclose(self) -> None:
        self._close()
        # Whoever has sent the end has waited for the peer's. Another pass of the event
        # loop would take 3 % of a connection.
        if not self._has_sent_eof:
            await checkpoint()

    async def abort(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._local = _address(self._socket.getsockname)
            self._readiness.close()
            self._descriptor = -1
            # close() alone ends the connection only if no other process has the socket,
            # such as a child that was forked meanwhile.
            if not self._has_sent_eof:
                with suppress(OSError):  # the peer is gone already
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self.unsent = b""


def _address(method: Callable[[], Any]) -> Any:
    try:
        return method()
    except OSError:  # the peer is gone already
        return None


def configure_socket(sock: socket.socket) -> None:
    """Set the options of a new socket; close it if that fails."""
    try:
        sock.setblocking(False)
        # A frame is written in one piece and must not be delayed until the next one.
        # UNIX sockets delay nothing, and have no such option.
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # EINVAL on macOS if the peer is gone already
        sock.close()
        raise
