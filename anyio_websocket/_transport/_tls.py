"""TLS over a socket of our own.

In: a ``SocketTransport`` and a context. Out: a transport that encrypts.

Theory of operation
-------------------
Python's TLS runs in memory here: plain bytes go in and records come out, and the other
way round. So encrypting never waits, and a frame that was begun is in the socket's
hands as a whole, or nowhere; whatever the socket does not take it keeps in order, as
without TLS.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress

from .._endpoint import Endpoint
from ._interface import TransportLost, send
from ._sockets import RECEIVE_SIZE, SocketTransport


class TlsTransport:
    """A transport over TLS.

    :param below: the connection
    :param context: the context
    :param server_name: on a client, whom the certificate must name; ``None`` on a
        server

    """

    __slots__ = ("_below", "_incoming", "_outgoing", "_tls", "is_ssl")

    #: whether what a cancelled `flush` left is still sent by the next one
    survives_cancel = True

    def __init__(
        self, below: SocketTransport, context: ssl.SSLContext, server_name: str | None
    ) -> None:
        self.is_ssl = below.is_ssl = True
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            *(self._incoming, self._outgoing),
            server_side=server_name is None,
            server_hostname=server_name,
        )

    @property
    def local(self) -> Endpoint | str:
        return self._below.local

    @property
    def remote(self) -> Endpoint | str:
        return self._below.remote

    @property
    def peer_active(self) -> bool:
        """Whether the peer was heard since somebody cleared this."""
        return self._below.peer_active

    @peer_active.setter
    def peer_active(self, peer_active: bool) -> None:
        self._below.peer_active = peer_active

    async def handshake(self) -> None:
        """Agree on keys; to be called first.

        :raises ssl.SSLError: if there is no agreement
        :raises TransportLost: if the connection breaks, or the peer leaves

        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await send(self._below, self._outgoing.read())
                data = await self._below.receive(RECEIVE_SIZE)
                if not data:
                    raise TransportLost("the peer left during the handshake") from None
                self._incoming.write(data)
            except ssl.SSLError:
                with suppress(TransportLost):  # the alert tells the peer why
                    self._below.write(self._outgoing.read())
                raise
            else:
                await send(self._below, self._outgoing.read())
                return

    async def receive(self, max_bytes: int | None) -> bytes | None:
        size = max_bytes or RECEIVE_SIZE
        while True:
            # A record may have brought more than was asked for last time.
            if self._incoming.pending or self._tls.pending():
                try:
                    return self._read(size)
                except ssl.SSLWantReadError:
                    pass  # the rest of a record is still to come
            data = await self._below.receive(RECEIVE_SIZE)
            if data:
                self._below.peer_active = True
                self._incoming.write(data)
            elif data is None:
                return None
            else:
                return b""  # without close_notify, as many peers leave

    def _read(self, size: int) -> bytes:
        """Decrypt what is at hand, so that its size is that of a read and not of TLS.

        :raises ssl.SSLWantReadError: if that is nothing
        """
        try:
            data = self._tls.read(size)
            while data and self._incoming.pending and len(data) < size:
                try:
                    more = self._tls.read(size - len(data))
                except ssl.SSLWantReadError:
                    break
                data += more
            return data
        except ssl.SSLZeroReturnError:  # close_notify
            return b""
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as exc:
            raise TransportLost("TLS broke while receiving") from exc
        finally:
            if self._outgoing.pending:  # new keys, an alert
                self._below.write(self._outgoing.read())

    def interrupt(self) -> None:
        self._below.interrupt()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        try:
            self._tls.write(data)
            if payload:
                self._tls.write(payload)
        # Among them SSLWantReadError, when the peer wants to renegotiate: TLS 1.3 knows
        # no such thing, and nobody does it in a WebSocket.
        except ssl.SSLError as exc:
            raise TransportLost("TLS broke while sending") from exc
        return self._below.write(self._outgoing.read())

    @property
    def unsent(self) -> bytes | memoryview:
        """What waits for `flush`."""
        return self._below.unsent

    async def flush(self) -> None:
        await self._below.flush()

    def call_soon(self, callback: Callable[[], None]) -> bool:
        return self._below.call_soon(callback)

    async def send_eof(self) -> bool:
        # Says close_notify first, so that the peer knows that nothing was cut off.
        with suppress(ssl.SSLError):  # WantRead: the peer has not said it yet
            self._tls.unwrap()
        await send(self._below, self._outgoing.read())
        return await self._below.send_eof()

    async def aclose(self) -> None:
        await self._below.aclose()

    async def abort(self) -> None:
        await self._below.abort()


def check_context(context: object) -> ssl.SSLContext:
    """Return a user's TLS context as it is.

    :param context: what was given
    :raises TypeError: if that is none; nothing that is false shall pass for "no TLS"

    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(
            f"ssl_context must be an ssl.SSLContext or None, not {context!r}"
        )
    return context
