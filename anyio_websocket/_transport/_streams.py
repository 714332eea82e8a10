"""Transports over streams of anyio and of trio.

They are used for streams that users pass to ``wrap_client_stream()`` and
``wrap_server_stream()``, for those that users' listeners accept, and where the event
loop cannot wait for sockets.

Whatever a stream raises ends its own connection and nothing else. So every exception
becomes a `TransportLost`, with the exception as its cause: ``OSError`` and
``ssl.SSLError``; the resource errors of anyio and trio (``BusyResourceError`` if a TLS
stream has to write while it receives, and our writer is writing); and ``RuntimeError``,
which uvloop's transports raise after a reset. Cancellation is no ``Exception``.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, Protocol, runtime_checkable

import anyio
from anyio import CancelScope, move_on_after
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute

from .._endpoint import Endpoint, endpoint_of
from ._attributes import Attributes, socket_attributes, tls_attributes
from ._hang_up import bytes_taken, has_hung_up, has_vanished
from ._interface import Transport, TransportLost, Watcher

# Bytes that one call of a stream's send method is given. After each call we know that
# the peer takes bytes, even if all of a large message takes longer than a Ping or than
# send_timeout may.
SEND_CHUNK_SIZE: Final = 65_536


@runtime_checkable
class TrioStream(Protocol):
    """A ``trio.abc.Stream``, recognised by its methods: trio may not be installed."""

    async def send_all(self, data: bytes, /) -> None: ...

    async def receive_some(self, max_bytes: int | None = None, /) -> Any: ...

    async def aclose(self) -> None: ...


AnyStream = ByteStream | TrioStream


def transport_of(stream: AnyStream) -> Transport:
    """Adapt a stream to `Transport`.

    :param stream: an :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
    :raises TypeError: if it is neither

    """
    if isinstance(stream, ByteStream):
        return StreamTransport(stream)
    if isinstance(stream, TrioStream):  # pyright: ignore[reportUnnecessaryIsInstance]
        return TrioTransport(stream)
    raise TypeError(
        "the stream must be an anyio.abc.ByteStream or a trio.abc.Stream, not "
        f"{type(stream).__name__}"
    )


class _Stream(ABC):
    """What transports over streams have in common: every send may have to wait.

    If a send is cancelled, there is no way to know how much of it was sent, so nothing
    may be sent after it.
    """

    _stream: Any
    is_ssl: bool = False
    survives_cancel: bool = False
    local: Endpoint | str
    remote: Endpoint | str

    def __init__(self) -> None:
        self.peer_active: bool = True
        self.unsent: bytes = b""
        self._rest = b""  # of a read that brought more than was asked for
        self._receiving: CancelScope | None = None
        self._flushing = 0  # bytes that are given to the stream
        self._chunks = 0  # that were sent

    async def receive(self, max_bytes: int | None) -> bytes | None:
        try:
            if self._rest:
                await checkpoint()
                return self._take(self._rest, max_bytes)
            with CancelScope() as self._receiving:
                data = await self._receive(max_bytes)
                if type(data) is not bytes:
                    # Some streams return another kind of buffer. bytes() alone would
                    # make any int into as many zeros.
                    data = bytes(memoryview(data))
                if max_bytes is None or len(data) <= max_bytes:
                    return data
                return self._take(data, max_bytes)
            return None
        except Exception as exc:
            raise TransportLost("the stream broke while receiving") from exc
        finally:
            self._receiving = None

    def _take(self, data: bytes, max_bytes: int | None) -> bytes:
        """Return what was asked for, and keep the rest for the next call."""
        size = len(data) if max_bytes is None else max_bytes
        self._rest = data[size:]
        return data[:size]

    def receive_now(self, max_bytes: int) -> bytes | None:
        raise NotImplementedError

    def receive_into(self, place: memoryview) -> int:
        return 0

    def watch(self, watcher: Watcher) -> bool:
        return False

    def look_soon(self) -> None:
        return  # there is nothing to call

    def has_left(self, seconds: float | None) -> bool:
        # A stream without a socket cannot be asked; then only a failed Ping tells.
        sock = self._raw_socket()
        return sock is not None and (
            has_hung_up(sock) or (seconds is not None and has_vanished(sock, seconds))
        )

    def interrupt(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        self.unsent += data + payload
        return False

    def unsent_bytes(self) -> int:
        return len(self.unsent) + self._flushing

    async def flush(self) -> None:
        data, self.unsent = self.unsent, b""
        try:
            for start in range(0, len(data), SEND_CHUNK_SIZE):
                if start > 0:
                    self.peer_active = True  # the peer took what was sent before
                self._flushing = len(data) - start
                await self._send(data[start : start + SEND_CHUNK_SIZE])
                self._chunks += 1
        except Exception as exc:
            raise TransportLost("the stream broke while sending") from exc
        finally:
            self._flushing = 0

    def progress(self) -> object:
        if not self._flushing:
            return None
        sock = self._raw_socket()
        return self._chunks, None if sock is None else bytes_taken(sock)

    def call_soon(self, callback: Callable[[], None]) -> bool:
        return False

    def linger(self, seconds: float) -> AbstractContextManager[object]:
        return move_on_after(seconds)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except Exception as exc:
            raise TransportLost("the stream broke while closing") from exc

    @abstractmethod
    def _raw_socket(self) -> Any: ...

    @abstractmethod
    async def _receive(self, max_bytes: int | None) -> Any: ...

    @abstractmethod
    async def _send(self, data: bytes) -> None: ...


class StreamTransport(_Stream):
    """A transport over an anyio stream."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__()
        self._stream = stream
        self.is_ssl = self._extra(TLSAttribute.ssl_object) is not None
        # Read now: a closed socket no longer knows its addresses.
        self.local = self._endpoint(SocketAttribute.local_address)
        self.remote = self._endpoint(SocketAttribute.remote_address)

    def release(self) -> tuple[ByteStream, bytes]:
        """Give the stream away; return it, and what was received and not fetched."""
        return self._stream, self._rest

    @property
    def extra_attributes(self) -> Attributes:
        # For the same reason as below.
        attributes: Attributes = {}
        with suppress(Exception):
            attributes = self._stream.extra_attributes
        return attributes

    def _extra(self, attribute: Any) -> Any:
        # If the peer is gone already, a socket raises OSError. If uvloop has closed its
        # transport, there is no socket: AttributeError.
        with suppress(Exception):
            return self._stream.extra(attribute)
        return None

    def _endpoint(self, attribute: Any) -> Endpoint | str:
        with suppress(Exception):  # an address of an unknown kind
            address = endpoint_of(self._extra(attribute), is_ssl=self.is_ssl)
            if address is not None:
                return address
        return repr(self._stream)

    def _raw_socket(self) -> Any:
        return self._extra(SocketAttribute.raw_socket)

    async def _receive(self, max_bytes: int | None) -> Any:
        try:
            if max_bytes is None:
                return await self._stream.receive()
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""

    async def _send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def send_eof(self) -> bool:
        if self.is_ssl:
            return False  # TLS has no half-close that every peer understands
        try:
            await self._stream.send_eof()
        except NotImplementedError:
            return False
        except Exception as exc:
            raise TransportLost("the stream broke while closing") from exc
        return True

    async def abort(self) -> None:
        _shut_down(self._extra(SocketAttribute.raw_socket))
        # After an error there is nothing more that could be done to close the stream.
        with CancelScope(shield=True), suppress(Exception):
            await anyio.aclose_forcefully(self._stream)


class TrioTransport(_Stream):
    """A transport over a trio stream."""

    def __init__(self, stream: TrioStream) -> None:
        super().__init__()
        # Not imported here: programs without trio streams must not need trio.
        tls: Any = getattr(sys.modules.get("trio"), "SSLStream", ())
        self._stream = stream
        plain: Any = stream
        self.is_ssl = isinstance(stream, tls)
        while isinstance(plain, tls):
            plain = plain.transport_stream
        self._socket: Any = getattr(plain, "socket", None)
        # Read now: a closed socket no longer knows its addresses.
        self.local = self._endpoint("getsockname")
        self.remote = self._endpoint("getpeername")

    @property
    def extra_attributes(self) -> Attributes:
        below = {} if self._socket is None else socket_attributes(self._socket)
        return below | tls_attributes(self._stream) if self.is_ssl else below

    def _endpoint(self, method: str) -> Endpoint | str:
        if self._socket is not None:
            # The peer is gone already, or the address is of an unknown kind.
            with suppress(Exception):
                address = getattr(self._socket, method)()
                return endpoint_of(address, is_ssl=self.is_ssl) or repr(self._stream)
        return repr(self._stream)

    def _raw_socket(self) -> Any:
        return self._socket

    async def _receive(self, max_bytes: int | None) -> Any:
        try:
            return await self._stream.receive_some(max_bytes)
        except Exception as exc:
            if isinstance(exc.__cause__, ssl.SSLEOFError):
                return b""  # the TLS peer left without close_notify, as many do
            raise

    async def _send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def send_eof(self) -> bool:
        half_close = getattr(self._stream, "send_eof", None)
        if half_close is None:
            return False
        try:
            await half_close()
        except Exception as exc:
            raise TransportLost("the stream broke while closing") from exc
        return True

    async def abort(self) -> None:
        _shut_down(self._socket)
        # After an error there is nothing more that could be done to close the stream.
        with CancelScope(shield=True), suppress(Exception), CancelScope() as scope:
            scope.cancel()
            await self._stream.aclose()


def _shut_down(sock: Any) -> None:
    """Let the peer see the end at once, even if another process has the socket too.

    :param sock: the socket under a stream; anything else if there is none

    """
    # uvloop's stand-in for a socket has no shutdown(), but it has a descriptor.
    with suppress(Exception):
        descriptor = os.dup(sock.fileno())
        try:
            copy = socket.socket(fileno=descriptor)
        except BaseException:  # a user's stream over something else
            os.close(descriptor)
            raise
        with copy:
            copy.shutdown(socket.SHUT_RDWR)
