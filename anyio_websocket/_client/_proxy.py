"""Proxies: which one stands between a client and a server, and connecting through it.

In: a server's address and the options. Out: a connection to the server. The two kinds
of proxies are in `_http_proxy` and `_socks_proxy`.
"""

from importlib.util import find_spec
from typing import Final, NamedTuple

from .._protocol import Credentials, check_basic, credentials_of_url
from .._settings import ClientSettings
from .._transport import Transport, TransportLost, connect
from . import _url
from ._encrypt import ClosedInHandshake, default_context, encrypt, hint
from ._proxy_failure import ProxyFailure

# Schemes and their default ports.
_PORTS: Final = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
_MAX_SOCKS5: Final = 255  # bytes of a name or a password (RFC 1929)


class Proxy:
    """A proxy, and the server to reach through it.

    :param url: the proxy's URL
    :param what: where the URL is from, for errors
    :param target: the server
    :param settings: the options, checked
    :raises ValueError: if the URL is not one of a proxy, or the proxy cannot connect to
        such a server
    :raises ImportError: if it is a SOCKS proxy, and the extra ``socks`` is missing

    """

    def __init__(
        self, url: str, what: str, target: _url.Target, settings: ClientSettings
    ) -> None:
        self._host, self._port, self._scheme, self._credentials = _parse(url, what)
        # What is in the environment may change while the program stays the same.
        if (
            settings.proxy is not True
            and settings.proxy_ssl is not None
            and self._scheme != "https"
        ):
            raise ValueError("proxy_ssl is for a proxy whose URL begins with https:")
        authority = _url.authority(self._host, self._port)
        #: its address, for errors
        self.address = f"{self._scheme}://{authority}"
        #: whether it was asked to connect, and has not answered yet
        self.is_asked = False
        self._server = _url.plain_host(target.host)
        self._server_port = target.port
        self._settings = settings
        self._authority = _url.authority(target.host, target.port)
        if self._scheme.startswith("socks"):
            if find_spec("socksio") is None:
                raise ImportError(
                    f"{what} names a SOCKS proxy, which needs the package socksio: "
                    "pip install anyio_websocket[socks]"
                )
            if self._scheme.startswith("socks4") and ":" in self._server:
                raise ValueError("SOCKS 4 cannot connect to IPv6 addresses: use socks5")

    async def connect(self) -> tuple[Transport, bytes]:
        """Connect to the server.

        :return: a transport, and what was received over it already
        :raises ProxyFailure: if the proxy cannot be reached, or does not connect

        """
        try:
            transport = await connect(self._host, self._port, self._settings.local_host)
        except OSError as exc:
            raise ProxyFailure(f"the proxy cannot be reached: {exc}") from exc
        if self._scheme == "https":
            transport = await self._encrypt(transport)
        try:
            return transport, await self._ask(transport)
        except BaseException as exc:
            await transport.abort()
            if isinstance(exc, TransportLost):
                text = "the connection to the proxy was lost"
                raise ProxyFailure(text) from exc.__cause__
            raise

    async def _encrypt(self, transport: Transport) -> Transport:
        context = self._settings.proxy_ssl or await default_context()
        try:
            return await encrypt(transport, context, _url.tls_name(self._host))
        except OSError as exc:
            raise ProxyFailure(
                f"the TLS handshake with the proxy failed: {exc}{hint(exc)}"
            ) from exc
        except ClosedInHandshake as exc:
            raise ProxyFailure(
                "the proxy closed the connection during the TLS handshake"
            ) from exc.__cause__

    async def _ask(self, transport: Transport) -> bytes:
        """Ask the proxy to connect; return what was received after its reply."""
        if self._scheme.startswith("http"):
            # Imported when it is used, as few programs connect through a proxy.
            from ._http_proxy import TunnelRequest, open_tunnel

            headers: list[tuple[bytes, bytes]] = []
            if user_agent := self._settings.identity.user_agent:
                headers.append(user_agent)
            if self._credentials is not None:
                headers.append((b"Proxy-Authorization", self._credentials.basic()))
            limit = self._settings.max_head_size
            request = TunnelRequest(self._authority, headers, limit)
            self.is_asked = True
            received = await open_tunnel(transport, request)
            self.is_asked = False
            return received
        from ._socks_proxy import connect_by_socks4, connect_by_socks5, resolve

        server = await resolve(self._scheme, self._server, self._server_port)
        by_socks = (
            connect_by_socks4
            if self._scheme.startswith("socks4")
            else connect_by_socks5
        )
        self.is_asked = True
        await by_socks(
            transport, server or self._server, self._server_port, self._credentials
        )
        self.is_asked = False
        return b""


class _Parts(NamedTuple):
    host: str
    port: int
    scheme: str
    credentials: Credentials | None


def _parse(url: str, what: str) -> _Parts:
    """Split a proxy's URL into its parts.

    :raises ValueError: if it is not one; the text does not show it

    """
    try:
        parts = _url.split(url, _PORTS)
        scheme = parts.scheme
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("a proxy's URL has no path")
        credentials = credentials_of_url(parts.userinfo, "the URL")
        if credentials is not None:
            _check_credentials(scheme, credentials)
        _url.authority(parts.host, parts.port)
    except ValueError as exc:
        raise ValueError(f"{what}: {exc}") from None
    return _Parts(parts.host, parts.port, scheme, credentials)


def _check_credentials(scheme: str, credentials: Credentials) -> None:
    if scheme.startswith("http"):
        check_basic(credentials.user.decode(), "the URL")
    elif scheme.startswith("socks4"):
        if credentials.password:
            raise ValueError("SOCKS 4 knows user names and no passwords")
    elif max(len(credentials.user), len(credentials.password)) > _MAX_SOCKS5:
        raise ValueError(f"SOCKS 5 takes {_MAX_SOCKS5} bytes of a name or a password")
