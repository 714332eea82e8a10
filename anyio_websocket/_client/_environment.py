"""The environment's word on proxies: which one to use for a server, if any.

In: a server's host and port, and the variables that curl, and most other programs, go
by. Out: the variable that names the proxy, and its value.

Why not `urllib.request.getproxies()`: importing it takes as long as importing half of
this package; it does not know ``ws:`` and ``wss:``, networks in ``no_proxy``, and that
this machine needs no proxy to itself; and it may look up names, which blocks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import inet_aton
from typing import Final

from . import _url

# Best first. RFC 6455 section 4.1 says that SOCKS is to be preferred, and then the
# proxy for https, because that one certainly makes tunnels.
_FOR_WSS: Final = ("wss_proxy", "socks_proxy", "https_proxy", "all_proxy")
_FOR_WS: Final = ("ws_proxy", "socks_proxy", "https_proxy", "http_proxy", "all_proxy")

_WITH_PORT: Final = re.compile(r"([^:\[\]]+|\[[^\[\]]*\]):([0-9]{1,5})")

_Address = IPv4Address | IPv6Address | None


def proxy_variable(
    host: str, port: int, *, is_secure: bool, environ: Mapping[str, str] = os.environ
) -> tuple[str, str] | None:
    """Find the proxy that the environment names for a server.

    :param host: a name or an IP address without brackets
    :param port: the port
    :param is_secure: whether TLS is used with the server
    :param environ: the environment
    :return: the name of the variable and the URL in it; ``None`` to connect directly

    """
    for name in _FOR_WSS if is_secure else _FOR_WS:
        if value := _get(name, environ):
            if _is_exempt(host, port, _get("no_proxy", environ) or ""):
                return None
            return name, _with_scheme(value)
    return None


def _with_scheme(value: str) -> str:
    """Make a URL of what a variable may have instead of one."""
    scheme, separator, rest = value.strip().partition("://")
    if not separator:  # as curl reads it
        return f"http://{scheme}"
    if scheme.lower() == "socks":  # as GNOME writes it
        return f"socks5h://{rest}"
    return f"{scheme}://{rest}"


def _get(name: str, environ: Mapping[str, str]) -> str | None:
    """Look a variable up; the name in lower case wins, even if its value is empty."""
    value = environ.get(name)
    if value is None:
        # A web server passes a request's header Proxy to a CGI program as HTTP_PROXY
        # ("httpoxy"), so a client of that server could choose the proxy.
        if name == "http_proxy" and "REQUEST_METHOD" in environ:
            return None
        value = environ.get(name.upper())
    return value


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    name = _url.plain_host(host).lower().removesuffix(".")
    address = _address(name)
    return _is_this_machine(name, address) or any(
        _matches(entry.lower(), name, port, address)
        for entry in re.split(r"[\s,]+", no_proxy)
        if entry
    )


def _address(name: str) -> _Address:
    """Return the address that a name is; ``None`` if it has to be looked up.

    A look-up takes 127.1, 0x7f.1 and 2130706433 for 127.0.0.1, as `inet_aton` does.

    """
    try:
        return ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(inet_aton(name))
    except OSError:
        return None


def _is_this_machine(name: str, address: _Address) -> bool:
    if address is None:  # RFC 6761 section 6.3
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def _matches(entry: str, name: str, port: int, address: _Address) -> bool:
    """Say whether a server is what an entry of ``no_proxy`` means."""
    if entry == "*":
        return True
    if match := _WITH_PORT.fullmatch(entry):
        entry, its_port = match.groups()
        if int(its_port) != port:
            return False
    if address is not None:
        try:
            return address in ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            return False
    # "example.org", ".example.org" and "*.example.org" are the name and all below it.
    entry = entry.removeprefix("*").removeprefix(".").removesuffix(".")
    if not entry.isascii():
        try:
            entry = _url.plain_host(entry)
        except ValueError:
            return False
    return name == entry or name.endswith(f".{entry}")
