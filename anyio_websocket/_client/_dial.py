"""Dialing: from a server's name to a stream that the handshake can use.

In: host, port, and how to use TLS. Out: a transport.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import anyio

from .._errors import HandshakeError
from .._protocol import ClientHandshake, Extensions
from .._transport import (
    StreamTransport,
    TlsTransport,
    Transport,
    TransportLost,
    can_wait_for_sockets,
    connect,
)
from .._types import Header
from . import _url


class Dialer:
    """Where a connection goes; every argument is checked before anything is sent.

    :param host: the server's name or IP address
    :param port: the server's TCP port
    :param use_ssl: whether and how to use TLS
    :raises ValueError: if the address cannot be one
    :raises TypeError: if ``use_ssl`` is neither a bool nor a context

    """

    def __init__(self, host: str, port: int, use_ssl: object) -> None:
        if use_ssl is True:
            self._context: ssl.SSLContext | None = ssl.create_default_context()
        elif use_ssl is False:
            self._context = None
        elif isinstance(use_ssl, ssl.SSLContext):
            self._context = use_ssl
        else:
            raise TypeError("`use_ssl` argument must be bool or ssl.SSLContext")
        self.host_header = _url.host_header(host, port)
        self._host = host
        self._port = port

    def handshake(
        self,
        resource: str,
        subprotocols: Iterable[str] | None,
        extra_headers: Iterable[Header] | None,
        extensions: Extensions,
    ) -> ClientHandshake:
        """Write the request to that server."""
        return ClientHandshake(
            host=self.host_header,
            target=_url.check_resource(resource),
            subprotocols=subprotocols,
            extra_headers=extra_headers,
            extensions=extensions,
        )

    async def dial(self) -> Transport:
        """Connect, with TLS if wanted.

        :raises OSError: if the server cannot be reached, or TLS fails
        :raises HandshakeError: if the server leaves in the middle of TLS

        """
        if not can_wait_for_sockets():
            return await self._dial_by_anyio()
        transport = await connect(self._host, self._port)
        if self._context is None:
            return transport
        try:
            tls = TlsTransport(transport, self._context, _url.tls_name(self._host))
            await tls.handshake()
        except BaseException as exc:
            await transport.abort()
            if isinstance(exc, TransportLost):
                raise self._tls_failed() from exc.__cause__ or exc
            raise
        return tls

    async def _dial_by_anyio(self) -> Transport:
        if self._context is None:
            return StreamTransport(await anyio.connect_tcp(self._host, self._port))
        try:
            return StreamTransport(
                await anyio.connect_tcp(
                    self._host,
                    self._port,
                    ssl_context=self._context,
                    tls_hostname=_url.tls_name(self._host),
                    tls_standard_compatible=False,
                )
            )
        except (anyio.EndOfStream, anyio.BrokenResourceError) as exc:
            raise self._tls_failed() from exc

    def _tls_failed(self) -> HandshakeError:
        return HandshakeError(
            f"{self.host_header} closed the connection during the TLS handshake"
        )
