"""TLS over a transport whose writes never wait: a socket's, or one over TLS.

Theory of operation
-------------------
An ``ssl.SSLObject`` encrypts and decrypts in memory: it reads records from one
``ssl.MemoryBIO`` and writes records to another. So encrypting never waits, and a frame
is passed to the socket's transport either as a whole or not at all. What the socket
does not take at once is kept there, in order, as without TLS: a cancelled send can be
completed later.

Decrypting takes time, too: a record of one byte takes 1.2 us, and one that asks for new
keys 23 us, so that a read of 128 KiB could be 0.1 s of work. So OpenSSL is given no
more than `MAX_RECORDS` before other tasks run. Where records end is in their headers,
which are not encrypted (RFC 8446 section 5.1).

Users' TLS streams (``anyio.streams.tls.TLSStream``, ``trio.SSLStream``) cannot promise
that, because they encrypt and wait in one call.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute

from .._endpoint import Endpoint
from ._attributes import Attributes, tls_attributes
from ._interface import Transport, TransportLost, Watcher, send
from ._sockets import RECEIVE_SIZE
from ._tls_sessions import keep_session, session_key, take_session

# Bytes. TLS 1.3 lets a peer ask for any number of key updates (RFC 8446 section 4.6.3),
# with 22 bytes each, and every answer is as long. An honest peer asks once in 2**24
# records, so a single answer waits at most.
MAX_UNSENT_ANSWERS: Final = 65_536

# Records that are decrypted in one turn, which takes 1.5 ms at the most.
MAX_RECORDS: Final = 64
_HEADER: Final = 5  # bytes; the last two are the length of what follows


class TlsTransport:
    """A transport over TLS.

    :param below: the transport that carries the TLS records; it ``survives_cancel``
    :param context: the TLS context
    :param server_name: for a client, the name that the server's certificate must have;
        ``None`` for a server
    :param received: records that were received already

    """

    __slots__ = (
        "_below",
        "_has_sent_eof",
        "_incoming",
        "_interrupted",
        "_outgoing",
        "_record_left",
        "_session_key",
        "_tls",
        "_unsent_answers",
        "_waiting",
        "is_ssl",
    )

    survives_cancel = True

    def __init__(
        self,
        below: Transport,
        context: ssl.SSLContext,
        server_name: str | None,
        received: bytes = b"",
    ) -> None:
        self.is_ssl = below.is_ssl = True
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._waiting = received  # and OpenSSL was not given it yet
        self._record_left = 0  # bytes still to come of the record given last
        self._has_sent_eof = False
        self._interrupted = False  # whether it was, since `receive` was called
        self._unsent_answers = 0  # bytes, since the peer last took everything
        self._session_key = (
            None if server_name is None else session_key(context, server_name)
        )
        self._tls = context.wrap_bio(
            *(self._incoming, self._outgoing),
            server_side=server_name is None,
            server_hostname=server_name,
            session=(
                None
                if self._session_key is None
                else take_session(context, self._session_key)
            ),
        )

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
                await send(self._below, self._outgoing.read())
                return

    async def receive(self, max_bytes: int | None) -> bytes | None:
        size = max_bytes or RECEIVE_SIZE
        self._interrupted = False
        try:
            while True:
                # The last record may have had more bytes than were asked for.
                if self._incoming.pending or self._tls.pending():
                    try:
                        return self._read(size)
                    except ssl.SSLWantReadError:
                        pass  # the rest of a record has not arrived yet
                if self._waiting and self._give():
                    await checkpoint()
                    if self._interrupted:
                        return None
                    continue
                data = await self._below.receive(RECEIVE_SIZE)
                if data:
                    self._below.peer_active = True
                    self._give(data)
                elif data is None:
                    return None
                else:
                    return b""  # without close_notify: many peers send none
        finally:
            self._look_if_something_is_left()

    def receive_now(self, max_bytes: int) -> bytes | None:
        while True:
            if self._incoming.pending or self._tls.pending():
                with suppress(ssl.SSLWantReadError):
                    return self._read(max_bytes)
            if self._waiting and self._give():
                continue
            data = self._below.receive_now(RECEIVE_SIZE)
            if not data:
                return data
            self._below.peer_active = True
            self._give(data)

    def _give(self, data: bytes = b"") -> bool:
        """Give OpenSSL what was received, up to `MAX_RECORDS`; the rest waits.

        :param data: what was received now; without it, what waits is given
        :return: whether there was anything to give

        """
        size = len(data)
        if not (self._waiting or self._record_left):
            if size - _HEADER == int.from_bytes(data[3:_HEADER], "big"):
                self._incoming.write(data)  # a single record, as is most often
                return True
        else:
            data = self._waiting + data
            size = len(data)
        end = self._record_left
        count = 0
        while end + _HEADER <= size and count < MAX_RECORDS:
            length = data[end + 3 : end + _HEADER]
            end += _HEADER + int.from_bytes(length, "big")
            count += 1
        given = min(end, size)
        self._record_left = end - given
        self._waiting = data[given:]
        self._incoming.write(data[:given])
        return given > 0

    def _read(self, size: int) -> bytes:
        """Decrypt what has arrived, up to ``size`` bytes.

        More than one record if possible: the reader is called once for each read from
        the network, not once for each record (of at most 16 KiB).

        :raises ssl.SSLWantReadError: if no record is complete

        """
        try:
            data = self._tls.read(size)
            while data and self._incoming.pending and len(data) < size:
                try:
                    more = self._tls.read(size - len(data))
                except ssl.SSLError:
                    break  # if it is an error, the next read reports it again
                if not more:
                    break  # close_notify; what follows it is never taken
                data += more
            return data
        except ssl.SSLZeroReturnError:  # close_notify
            return b""
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as exc:
            if not self._has_sent_eof:
                raise TransportLost("TLS broke while receiving") from exc
            # OpenSSL reads nothing any more once data has come after its close_notify.
            # Nobody wants that data, but it has to be taken: see `respond_and_close`.
            self._incoming.read()
            raise ssl.SSLWantReadError from None
        finally:
            if self._outgoing.pending:  # a key update, an alert
                self._answer()

    def _answer(self) -> None:
        """Send what TLS itself has to say, such as an answer to a key update.

        :raises TransportLost: if the peer makes us answer, and does not read

        """
        answer = self._outgoing.read()
        try:
            everything_sent = self._below.write(answer)
        except TransportLost:
            return  # what was received is still returned
        # Other unsent bytes belong to a message, and its sender waits for them.
        if everything_sent or len(self._below.unsent) <= len(answer):
            self._unsent_answers = 0
        if not everything_sent:
            self._unsent_answers += len(answer)
            if self._unsent_answers > MAX_UNSENT_ANSWERS:
                raise TransportLost(
                    "the TLS peer requests key updates and does not read the answers"
                )

    def watch(self, watcher: Watcher) -> bool:
        is_watched = self._below.watch(watcher)
        self._look_if_something_is_left()  # by the handshake
        return is_watched

    def _look_if_something_is_left(self) -> None:
        # The event loop tells what comes to the socket, and not what is in here.
        if self._waiting or self._incoming.pending or self._tls.pending():
            self._below.look_soon()

    def look_soon(self) -> None:
        self._below.look_soon()

    def has_left(self, seconds: float | None) -> bool:
        return self._below.has_left(seconds)

    def interrupt(self) -> None:
        self._interrupted = True
        self._below.interrupt()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        try:
            self._tls.write(data)
            if payload:
                self._tls.write(payload)
        # This includes SSLWantReadError, raised if the peer wants to renegotiate. TLS
        # 1.3 has no renegotiation, and no WebSocket peer is known to use it.
        except ssl.SSLError as exc:
            raise TransportLost("TLS broke while sending") from exc
        return self._below.write(self._outgoing.read())

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

    async def aclose(self) -> None:
        self._keep_session()
        await self._below.aclose()

    async def abort(self) -> None:
        self._keep_session()
        await self._below.abort()

    def _keep_session(self) -> None:
        if self._session_key is not None:
            keep_session(self._tls, self._session_key)


def check_alpn(protocol: str | None) -> None:
    """Check what ALPN agreed on: it must be HTTP/1.1, which a WebSocket begins with.

    :raises ssl.SSLError: if it is another protocol

    """
    if protocol not in (None, "http/1.1"):
        raise ssl.SSLError(
            f"ALPN agreed on {protocol!r}, and a WebSocket needs 'http/1.1': offer "
            "only this with SSLContext.set_alpn_protocols()"
        )


def check_ssl_context(
    context: object, *, server_side: bool = False, name: str = "ssl_context"
) -> ssl.SSLContext:
    """Return a user's TLS context unchanged.

    :param context: the context that the user passed, if it is not ``None``
    :param server_side: whether it is used by a server
    :param name: the name of the argument; errors have it
    :raises TypeError: if it is not an `ssl.SSLContext`; a false value such as ``False``
        or ``""`` must not mean "no TLS"
    :raises ValueError: if it cannot work on this side, or is that of a server and has
        no certificate

    """
    if not isinstance(context, ssl.SSLContext):
        kind = type(context).__name__  # a URL may have a password in it
        raise TypeError(f"{name} must be an ssl.SSLContext or None, not {kind}")
    if not server_side:
        if context.protocol == ssl.PROTOCOL_TLS_SERVER:
            raise ValueError(
                f"{name} is that of a server (PROTOCOL_TLS_SERVER); a client needs "
                "ssl.create_default_context(), or one of ssl.PROTOCOL_TLS_CLIENT"
            )
        return context
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            f"{name} is that of a client (PROTOCOL_TLS_CLIENT); a server needs "
            "ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), and a certificate from "
            "load_cert_chain()"
        )
    if _lacks_certificate(context):
        raise ValueError(
            f"{name} has no certificate: call its load_cert_chain() before it is "
            "passed to a server"
        )
    return context


def _lacks_certificate(context: ssl.SSLContext) -> bool:
    """Say whether a server's context certainly has no certificate.

    A context cannot be asked for its certificate. So it is given a client's first
    message, in memory (1 ms). Without a certificate OpenSSL finds no cipher to use.
    """
    # The callback may change the context for each client; ciphers without certificates
    # need none.
    if context.sni_callback is not None or any(
        "PSK" in cipher["name"] or cipher["name"].startswith(("ADH", "AECDH"))
        for cipher in context.get_ciphers()
    ):
        return False
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.set_ciphers("ALL:@SECLEVEL=0")
    hello = ssl.MemoryBIO()
    client = client_context.wrap_bio(ssl.MemoryBIO(), hello)
    server = context.wrap_bio(hello, ssl.MemoryBIO(), server_side=True)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    reason: str | None = None
    try:
        server.do_handshake()
    except ssl.SSLError as exc:  # SSLWantReadError if it waits for the client
        reason = exc.reason
    # OpenSSL does not speak TLS 1.3 without a certificate.
    return reason == "NO_SHARED_CIPHER" or (
        reason == "UNSUPPORTED_PROTOCOL"
        and context.minimum_version == ssl.TLSVersion.TLSv1_3
    )
