"""Dialing: from a server's address to a transport for the handshake.

In: a host, a port and whether to use TLS. Out: a transport, connected and encrypted.

`Dialer` decides where to connect and puts TLS on top. Below it, ``_transport.connect``
makes the TCP connection. A proxy belongs between the two: in `Dialer.dial`, in place
of ``connect``, because TLS is spoken with the server and not with the proxy.
"""

from __future__ import annotations

import ssl
import threading
from typing import Final

import anyio
from anyio import to_thread

from .._errors import HandshakeError
from .._transport import (
    StreamTransport,
    TlsTransport,
    Transport,
    TransportLost,
    can_wait_for_sockets,
    check_ssl_context,
    connect,
)
from . import _url

# What OpenSSL says to a server that answers in clear text.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
# X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ..._SELF_SIGNED_CERT_IN_CHAIN and
# ..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY of OpenSSL
_UNKNOWN_ISSUER: Final = (18, 19, 20)


class Dialer:
    """Connects to one server; its arguments are checked before anything is sent.

    :param host: the server's name or IP address
    :param port: the server's TCP port
    :param use_ssl: ``False`` for no TLS, ``True`` for the system's settings, or an
        `ssl.SSLContext`
    :raises ValueError: if the host or the port is not valid
    :raises TypeError: if an argument has the wrong type

    """

    def __init__(self, host: str, port: int, use_ssl: object) -> None:
        if isinstance(use_ssl, ssl.SSLContext):
            check_ssl_context(use_ssl)
        elif not isinstance(use_ssl, bool):
            raise TypeError("`use_ssl` argument must be bool or ssl.SSLContext")
        self._use_ssl = use_ssl
        #: what the request says in Host
        self.host_header = _url.host_header(host, port, is_secure=use_ssl is not False)
        end = f":{port:d}"
        #: the server's address, for errors
        self.server = self.host_header.removesuffix(end) + end
        self._host = host
        self._port = port

    @classmethod
    def for_url(cls, target: _url.Target, ssl_context: object) -> Dialer:
        """Make the dialer for a URL.

        :param target: the URL's parts
        :param ssl_context: an `ssl.SSLContext`; ``None`` for the system's settings if
            the URL is a ``wss:`` one
        :raises ValueError: if there is a context, but the URL is a ``ws:`` one
        :raises TypeError: if the context is not an `ssl.SSLContext`

        """
        use_ssl: bool | ssl.SSLContext = target.is_secure
        if not target.is_secure:
            if ssl_context is not None:
                raise ValueError("SSL context must be None for ws: URL scheme")
        elif ssl_context is not None and ssl_context is not True:
            # False means "no TLS" above, so it must not get there: this is wss:.
            use_ssl = check_ssl_context(ssl_context)
        return cls(target.host, target.port, use_ssl)

    async def dial(self) -> Transport:
        """Connect, with TLS if it is used.

        :raises OSError: if the server cannot be reached, or TLS fails
        :raises HandshakeError: if the server closes the connection during the TLS
            handshake

        """
        try:
            return await self._dial()
        except OSError as exc:
            # The error of the system says neither the port nor what is wrong with TLS.
            exc.add_note(f"The server was {self.server}{hint(exc)}.")
            raise

    async def _dial(self) -> Transport:
        if isinstance(self._use_ssl, ssl.SSLContext):
            context: ssl.SSLContext | None = self._use_ssl
        else:
            context = await default_context() if self._use_ssl else None
        if not can_wait_for_sockets():
            return await self._dial_by_anyio(context)
        transport = await connect(self._host, self._port)
        if context is None:
            return transport
        try:
            tls = TlsTransport(transport, context, _url.tls_name(self._host))
            await tls.handshake()
        except BaseException as exc:
            await transport.abort()
            if isinstance(exc, TransportLost):
                raise self._tls_failed() from exc.__cause__ or exc
            raise
        return tls

    async def _dial_by_anyio(self, context: ssl.SSLContext | None) -> Transport:
        if context is None:
            return StreamTransport(await anyio.connect_tcp(self._host, self._port))
        try:
            return StreamTransport(
                await anyio.connect_tcp(
                    self._host,
                    self._port,
                    ssl_context=context,
                    tls_hostname=_url.tls_name(self._host),
                    tls_standard_compatible=False,
                )
            )
        except (anyio.EndOfStream, anyio.BrokenResourceError) as exc:
            raise self._tls_failed() from exc

    def _tls_failed(self) -> HandshakeError:
        return HandshakeError(
            f"the server at {self.server} closed the connection during the TLS "
            "handshake. If it does not speak TLS on this port, use ws:"
        )


class ConnectedStream:
    """A dialer for a stream that is connected already.

    :param transport: over the stream
    :param host: the value of the Host header

    """

    def __init__(self, transport: Transport, host: str) -> None:
        self.host_header = host
        self.server = host
        self._transport = transport

    async def dial(self) -> Transport:
        return self._transport


_default_contexts: Final[list[ssl.SSLContext]] = []  # one, once it is made
_lock: Final = threading.Lock()


async def default_context() -> ssl.SSLContext:
    """Return the context that verifies servers with the system's certificates.

    Loading them takes 20 ms or more. So they are loaded once in a process, and in a
    worker thread, where they hold up neither the event loop nor a client that tries to
    reconnect. A process that is to see changed certificates has to start again, or to
    pass a context.
    """
    if not _default_contexts:
        await to_thread.run_sync(_make_default_context, abandon_on_cancel=True)
    return _default_contexts[0]


def _make_default_context() -> None:
    with _lock:
        if not _default_contexts:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            _default_contexts.append(context)


def hint(error: OSError) -> str:
    """Say what to do if an error of TLS nearly always is the same mistake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN_ISSUER:
            return (
                ". If you trust its certificate, pass an SSL context that has it: "
                'ssl.create_default_context(cafile="...")'
            )
    elif isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _NOT_TLS:
        return ". It does not speak TLS on this port: use ws:"
    return ""
