"""TLS over a transport whose writes never wait: a socket's, or one over TLS.

Theory of operation
-------------------
An ``ssl.SSLObject`` encrypts and decrypts in memory: it reads records from one
``ssl.MemoryBIO`` and writes records to another. So encrypting never waits, and a frame
is passed to the socket's transport either as a whole or not at all. What the socket
does not take at once is kept there, in order, as without TLS: a cancelled send can be
completed later.

What is received is decrypted in ``_tls_records``.

A large message is encrypted and passed on in pieces, since a ``MemoryBIO`` never gives
memory back: it would keep as much as the largest message of its connection.

Users' TLS streams (``anyio.streams.tls.TLSStream``, ``trio.SSLStream``) cannot promise
that, because they encrypt and wait in one call.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

from anyio import move_on_after
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute

from .._endpoint import Endpoint
from ._attributes import Attributes, tls_attributes
from ._interface import Transport, TransportLost, Watcher, send
from ._sockets import RECEIVE_SIZE
from ._tls_contexts import check_alpn
from ._tls_records import MAX_PLAINTEXT, MAX_RECORDS, TlsRecords
from ._tls_sessions import keep_session, session_key, take_session

# Bytes of a message that are encrypted at once.
PIECE: Final = 131_072


class TlsTransport(TlsRecords):
    """A transport over TLS.

    :param below: the transport that carries the TLS records; it ``survives_cancel``
    :param context: the TLS context
    :param server_name: for a client, the name that the server's certificate must have;
        ``None`` for a server
    :param received: records that were received already

    """

    __slots__ = ("_interrupted", "_session_key", "is_ssl")

    survives_cancel = True

    def __init__(
        self,
        below: Transport,
        context: ssl.SSLContext,
        server_name: str | None,
        received: bytes = b"",
    ) -> None:
        self.is_ssl = below.is_ssl = True
        self._interrupted = False  # in the checkpoint between two turns
        self._session_key = (
            None if server_name is None else session_key(context, server_name)
        )
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(
            *(incoming, outgoing),
            server_side=server_name is None,
            server_hostname=server_name,
            session=(
                None
                if self._session_key is None
                else take_session(context, self._session_key)
            ),
        )
        super().__init__(below, tls, incoming, outgoing, received)

    @property
    def local(self) -> Endpoint | str:
        return self._below.local

    @property
    def remote(self) -> Endpoint | str:
        return self._below.remote

    @property
    def extra_attributes(self) -> Attributes:
        return {
            **self._below.extra_attributes,
            **tls_attributes(self._tls),
            TLSAttribute.ssl_object: lambda: self._tls,
            TLSAttribute.standard_compatible: lambda: False,
        }

    @property
    def peer_active(self) -> bool:
        return self._below.peer_active

    @peer_active.setter
    def peer_active(self, peer_active: bool) -> None:
        self._below.peer_active = peer_active

    async def handshake(self) -> None:
        """Do the TLS handshake. This must be called first.

        :raises ssl.SSLError: if the handshake fails, for example because the
            certificate is not trusted, or if ALPN agreed on another protocol
        :raises TransportLost: if the connection breaks, or the peer closes it

        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await send(self._below, self._outgoing.read())
                if self._waiting and self._give():
                    await checkpoint()
                    continue
                data = await self._below.receive(RECEIVE_SIZE)
                if not data:
                    raise TransportLost("the peer closed the connection") from None
                self._give(data)
            except ssl.SSLError:
                with suppress(TransportLost):  # the alert tells the peer why
                    self._below.write(self._outgoing.read())
                raise
            else:
                check_alpn(self._tls.selected_alpn_protocol())
                self._end_handshake()
                await send(self._below, self._outgoing.read())
                return

    async def receive(self, max_bytes: int | None) -> bytes | None:
        size = max_bytes or MAX_PLAINTEXT
        if size > MAX_PLAINTEXT:
            size = MAX_PLAINTEXT
        try:
            while True:
                received = b""
                if not self._has_left:
                    data = await self._below.receive(size)
                    if not data:
                        return data  # b"" without close_notify: many send none
                    received = data
                elif self._records >= MAX_RECORDS:
                    self._records = 0
                    self._interrupted = False
                    await checkpoint()
                    if self._interrupted:
                        return None
                plaintext = self._decrypt(received, size)
                if plaintext is not None:
                    return plaintext
                self._below.peer_active = True
        finally:
            if self._has_left:  # and no event loop tells of it
                self._below.look_soon()

    def receive_now(self, max_bytes: int) -> bytes | None:
        while True:
            received = b""
            if not self._has_left:
                data = self._below.receive_now(RECEIVE_SIZE)
                if not data:
                    return data
                self._below.peer_active = True
                received = data
            self._records = 0
            plaintext = self._decrypt(received, max_bytes)
            if plaintext is not None:
                return plaintext

    def receive_into(self, place: memoryview) -> int:
        return 0

    def watch(self, watcher: Watcher) -> bool:
        is_watched = self._below.watch(watcher)
        if self._has_left:  # by the handshake
            self._below.look_soon()
        return is_watched

    def look_soon(self) -> None:
        self._below.look_soon()

    def has_left(self, seconds: float | None) -> bool:
        return self._below.has_left(seconds)

    def interrupt(self) -> None:
        self._interrupted = True
        self._below.interrupt()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        try:
            if len(data) > PIECE:  # a masked message, whose payload is not by itself
                return self._write_in_pieces(data)
            self._tls.write(data)
            if payload:  # which is large
                return self._write_in_pieces(payload)
        # This includes SSLWantReadError, raised if the peer wants to renegotiate. TLS
        # 1.3 has no renegotiation, and no WebSocket peer is known to use it.
        except ssl.SSLError as exc:
            raise TransportLost("TLS broke while sending") from exc
        return self._below.write(self._outgoing.read())

    def _write_in_pieces(self, payload: bytes) -> bool:
        view = memoryview(payload)
        everything_sent = True
        unsent: list[bytes] = []
        for start in range(0, len(view), PIECE):
            self._tls.write(view[start : start + PIECE])
            records = self._outgoing.read()
            if everything_sent:
                everything_sent = self._below.write(records)
            else:
                unsent.append(records)
        if unsent:
            self._below.write(b"".join(unsent))
        return everything_sent

    @property
    def unsent(self) -> bytes | memoryview:
        return self._below.unsent

    def unsent_bytes(self) -> int:
        return self._below.unsent_bytes()

    async def flush(self) -> None:
        await self._below.flush()

    def progress(self) -> object:
        return self._below.progress()

    def call_soon(self, callback: Callable[[], None]) -> bool:
        return self._below.call_soon(callback)

    async def send_eof(self) -> bool:
        # close_notify first: it tells the peer that nothing was cut off.
        with suppress(ssl.SSLError):  # WantRead: the peer has not sent its own yet
            self._tls.unwrap()
        self._has_sent_eof = True
        await send(self._below, self._outgoing.read())
        return await self._below.send_eof()

    def linger(self, seconds: float) -> AbstractContextManager[object]:
        return move_on_after(seconds)  # close_notify may have to wait, too

    async def aclose(self) -> None:
        self._keep_session()
        await self._below.aclose()

    async def abort(self) -> None:
        self._keep_session()
        await self._below.abort()

    def _keep_session(self) -> None:
        if self._session_key is not None:
            keep_session(self._tls, self._session_key)
