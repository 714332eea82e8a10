"""Dialing: from a server's address to a transport for the handshake.

In: a server's address, and the options that say how to get there. Out: a transport,
connected and encrypted.

`Dialer` decides on the way and puts TLS with the server on top of it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .._errors import ConnectionRejected, HandshakeError, ProxyError
from .._settings import ClientSettings, ClientStreamSettings
from .._transport import (
    Transport,
    check_ssl_context,
    check_unix_path,
    connect,
    connect_unix,
    connect_via,
)
from . import _url
from ._encrypt import ClosedInHandshake, default_context, encrypt, hint

if TYPE_CHECKING:
    from ._proxy import Proxy
    from ._redirects import Redirects


class Dialed(NamedTuple):
    """A connection to the server."""

    transport: Transport
    received: bytes  # that came before the request was sent


class Dialer:
    """Connects to one server; its arguments are checked before anything is sent.

    :param target: the server, and what to request of it
    :param use_ssl: ``False`` for no TLS, ``True`` for the system's settings, or an
        `ssl.SSLContext`
    :param settings: the options, checked
    :param is_redirected: whether a server of another origin sent the client there
    :raises ValueError: if the host or the port is not valid, or if an option cannot
        work with this server
    :raises TypeError: if an argument has the wrong type

    """

    def __init__(
        self,
        target: _url.Target,
        use_ssl: object,
        settings: ClientSettings,
        *,
        is_redirected: bool = False,
    ) -> None:
        if isinstance(use_ssl, ssl.SSLContext):
            check_ssl_context(use_ssl)
        elif not isinstance(use_ssl, bool):
            raise TypeError("`use_ssl` argument must be bool or ssl.SSLContext")
        self._use_ssl = use_ssl
        self._settings = settings
        #: the server, and what to request of it
        self.target = target
        self.resource = target.resource
        identity = settings.identity
        #: who the client says it is
        self.headers = (
            identity.public_headers()
            if is_redirected
            else identity.headers(target.credentials)
        )
        #: follows redirects, if any are to be followed
        self.redirects: Redirects | None = None
        if settings.max_redirects > 0:
            # Imported when they are needed, as all that few programs use.
            from ._redirects import Redirects

            self.redirects = Redirects(
                settings.max_redirects, cross_origin=settings.cross_origin_redirects
            )
        self._is_redirected = is_redirected
        host, port = target.host, target.port
        #: what the request says in Host
        self.host_header = _url.host_header(host, port, is_secure=use_ssl is not False)
        end = f":{port:d}"
        #: the server's address, and the proxy's if there is one, for errors
        self.server = self.host_header.removesuffix(end) + end
        self._proxy = self._choose_proxy(target)
        if self._proxy is not None:
            self.server += f" through the proxy at {self._proxy.address}"
        if settings.local_host is not None:
            self.server += f" from {settings.local_host}"
        self._host = host
        self._port = port
        if settings.unix_path is not None:
            path = str(settings.unix_path)
            check_unix_path(path)
            self.server += f" over the UNIX socket {path!r}"
        name = None if is_redirected else settings.server_hostname
        self._tls_name = None if name is None else _url.tls_name(name)
        if name is not None and use_ssl is False:
            raise ValueError("server_hostname is for TLS, and use_ssl is False")

    @classmethod
    def for_url(
        cls, target: _url.Target, ssl_context: object, settings: ClientSettings
    ) -> Dialer:
        """Make the dialer for a URL.

        :param target: the URL's parts
        :param ssl_context: an `ssl.SSLContext`; ``None`` for the system's settings if
            the URL is a ``wss:`` one
        :param settings: the options, checked
        :raises ValueError: if there is a context, but the URL is a ``ws:`` one
        :raises TypeError: if the context is not an `ssl.SSLContext`

        """
        use_ssl: bool | ssl.SSLContext = target.is_secure
        if not target.is_secure:
            if ssl_context is not None:
                raise ValueError("SSL context must be None for ws: URL scheme")
            if settings.server_hostname is not None:
                raise ValueError("server_hostname is for TLS: use a wss: URL")
        elif ssl_context is not None and ssl_context is not True:
            # False means "no TLS" above, so it must not get there: this is wss:.
            use_ssl = check_ssl_context(ssl_context)
        return cls(target, use_ssl, settings)

    def _choose_proxy(self, target: _url.Target) -> Proxy | None:
        """Choose the proxy, by the options or the environment.

        :raises ValueError: if the URL is not one of a proxy, or the proxy cannot
            connect to such a server
        :raises ImportError: if it is a SOCKS proxy, and the extra ``socks`` is missing

        """
        settings = self._settings
        if settings.proxy_ssl is not None:
            check_ssl_context(settings.proxy_ssl, name="proxy_ssl")
        url, what = settings.proxy, "proxy"
        if url is None or settings.via is not None or settings.unix_path is not None:
            return None
        if url is True:
            from ._environment import proxy_variable

            found = proxy_variable(
                target.host, target.port, is_secure=self._use_ssl is not False
            )
            if found is None:
                return None
            what, url = found
        from ._proxy import Proxy

        return Proxy(url, what, target, settings)

    def follow(self, rejected: ConnectionRejected) -> Dialer:
        """Make the dialer for what a redirect leads to.

        :param rejected: what the server responded
        :raises ConnectionRejected: if it is not a redirect, or is not followed

        """
        from ._redirects import REDIRECTS, is_same_origin

        if self.redirects is None:
            if rejected.status_code in REDIRECTS:
                rejected.not_followed("max_redirects=1 would allow one")
            raise rejected
        target = self.redirects.next(rejected, self.target)
        try:
            dialer = Dialer(
                target,
                # The context of the first server; for ws: there was none.
                target.is_secure and (self._use_ssl or True),
                self._settings,
                is_redirected=(
                    self._is_redirected or not is_same_origin(target, self.target)
                ),
            )
        except (ImportError, ValueError) as exc:  # the proxy for that server
            raise rejected.not_followed(str(exc)) from exc
        dialer.redirects = self.redirects
        return dialer

    def what_is_late(self) -> str:
        """Say what did not come in time, if that is known; for errors."""
        if self._proxy is not None and self._proxy.is_asked:
            return ": the proxy gave no answer"
        return ""

    async def dial(self) -> Dialed:
        """Connect, with TLS if it is used.

        :raises OSError: if the server cannot be reached, or TLS fails
        :raises ProxyError: if the proxy cannot be reached, or does not connect
        :raises HandshakeError: if the server closes the connection during the TLS
            handshake

        """
        try:
            return await self._dial()
        except OSError as exc:
            # The error of the system says neither the port nor what is wrong with TLS.
            exc.add_note(f"The server was {self.server}{hint(exc)}.")
            raise

    async def _dial(self) -> Dialed:
        if isinstance(self._use_ssl, ssl.SSLContext):
            context: ssl.SSLContext | None = self._use_ssl
        else:
            context = await default_context() if self._use_ssl else None
        dialed = await self._reach()
        if context is None:
            return dialed
        name = self._tls_name or _url.tls_name(self._host)
        try:
            transport = await encrypt(dialed.transport, context, name, dialed.received)
        except ClosedInHandshake as exc:
            raise HandshakeError(
                f"the server at {self.server} closed the connection during the TLS "
                "handshake. If it does not speak TLS on this port, use ws:"
            ) from exc.__cause__
        return Dialed(transport, b"")

    async def _reach(self) -> Dialed:
        """Connect, by the way that the options say."""
        settings = self._settings
        if self._proxy is not None:
            from ._proxy_failure import ProxyFailure

            try:
                return Dialed(*await self._proxy.connect())
            except ProxyFailure as exc:
                text = f"could not connect to the server at {self.server}: {exc}"
                raise ProxyError(
                    text, exc.status_code, refused=exc.refused
                ) from exc.__cause__
        if settings.via is not None:
            return Dialed(await connect_via(settings.via), b"")
        if settings.unix_path is not None:
            return Dialed(await connect_unix(str(settings.unix_path)), b"")
        return Dialed(await connect(self._host, self._port, settings.local_host), b"")


class ConnectedStream:
    """A dialer for a stream that is connected already.

    :param transport: over the stream
    :param host: the value of the Host header
    :param resource: what to request
    :param settings: the options, checked

    """

    redirects = None

    def __init__(
        self,
        transport: Transport,
        host: str,
        resource: str,
        settings: ClientStreamSettings,
    ) -> None:
        self.resource = resource
        self.headers = settings.identity.headers()
        self.host_header = host
        self.server = host
        self._transport = transport

    def follow(self, rejected: ConnectionRejected) -> NoReturn:
        """Follow no redirect: there is no way to connect to another server."""
        raise rejected

    def what_is_late(self) -> str:
        return ""

    async def dial(self) -> Dialed:
        return Dialed(self._transport, b"")
