"""What a WebSocket URL says (RFC 6455 section 3), checked before anything is sent.

In: URLs, hosts, ports and resources of users. Out: where to connect and what to ask.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
# What a request line may carry; a fragment never leaves the client.
_RESOURCE: Final = re.compile(r"/[\x21\x22\x24-\x7e]*")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f]")
# urlsplit() passes over what stands around the brackets.
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^\[\]]+)?\](?::[0-9]*)?")


class Target(NamedTuple):
    """Where a URL points to."""

    host: str  # without brackets
    port: int
    resource: str  # path and query
    is_secure: bool


def parse(url: object) -> Target:
    """Take a URL apart.

    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one; a
        fragment and userinfo are left out
    :raises ValueError: if it is none; userinfo is not shown, for it is a secret

    """
    text = str(url)
    if _FORBIDDEN.search(text):  # urlsplit() would drop some of these silently
        raise ValueError("the URL has spaces or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the URL has no valid host and port") from None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        # Without slashes, what looks like a scheme may be a user's name.
        given = f", not {scheme!r}" if "://" in text else ""
        raise ValueError(f'the URL scheme must be "ws" or "wss"{given}')
    if not host:
        raise ValueError("the URL has no host")
    if "[" in parts.netloc:
        if not _IPV6.fullmatch(parts.netloc.rpartition("@")[2]):
            raise ValueError("the URL has no valid host and port")
        host = host.replace("%25", "%", 1)  # RFC 6874 section 2: the zone
    if port is None:
        port = _DEFAULT_PORTS[scheme]
    path = parts.path or "/"
    # urlsplit() does not tell an empty query from none.
    before_fragment = text.partition("#")[0]
    query = before_fragment.partition("?")[2]
    resource = f"{path}?{query}" if "?" in before_fragment else path
    target = Target(host, port, check_resource(_iri_to_uri(resource)), scheme == "wss")
    host_header(target.host, target.port)  # checked now, before anything is sent
    return target


def host_header(host: str, port: int) -> str:
    """Check host and port, and make what the Host header says of them.

    :param host: a name, international or not, or an IP address without brackets
    :param port: the port; 80 and 443 are left out
    :raises ValueError: if there can be no such host or port
    :raises TypeError: if they are no text and no number

    """
    if not isinstance(host, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the host must be a str, not {host!r}")
    if not isinstance(port, int) or isinstance(port, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the port must be an int, not {port!r}")
    if not 1 <= port <= 65535:
        raise ValueError(f"the port must be between 1 and 65535, not {port}")
    name = _host_name(host)
    return name if port in _DEFAULT_PORTS.values() else f"{name}:{port}"


def tls_name(host: str) -> str:
    """Return what the server's certificate must be for.

    The ssl module would encode an international name by the older IDNA 2003, and so
    look for another name than Host has.

    :param host: a host that `host_header` takes

    """
    return _host_name(host).strip("[]")


def check_resource(resource: str) -> str:
    """Check what a request is to ask for.

    :param resource: path and query; a slash is put before it if it has none
    :raises ValueError: if it cannot stand in a request line
    :raises TypeError: if it is no text

    """
    if not isinstance(resource, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the resource must be a str, not {resource!r}")
    if not resource.startswith("/"):
        resource = "/" + resource
    if not _RESOURCE.fullmatch(resource):
        raise ValueError(
            f"resource {resource!r} has a space, a fragment or a character outside of "
            "ASCII: percent-encode it"
        )
    return resource


def _host_name(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        # RFC 6874 section 4: zone identifiers mean nothing to anybody else.
        return f"[{address}]" if address.version == 6 else str(address)
    try:
        name = host if host.isascii() else _a_labels(host)
    except UnicodeError:
        raise ValueError(f"{host!r} is not a valid international host name") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > 254 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is not a valid host name")
    return name


# Wider than RFC 1123 by the underscore, which names of services have.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def _a_labels(host: str) -> str:
    import idna  # takes 5 % of the package's import time, and few hosts need it

    return idna.encode(host, uts46=True).decode("ascii")


def _iri_to_uri(resource: str) -> str:
    # RFC 3987 section 3.1; what is ASCII stays as it is, percent signs included.
    return "".join(char if char.isascii() else quote(char) for char in resource)
