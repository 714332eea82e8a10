"""WebSocket URLs and their parts (RFC 6455 section 3), checked before anything is sent.

In: a URL, or a host, a port and a resource, as a user wrote them. Out: where to
connect, and the target and the Host of the request.

Errors must not show secrets: a URL may have a password in front of the host, and a
resource a token in its query.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from .._protocol import Credentials, check_basic, credentials_of_url

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
# What cannot be in a request line. "#" begins a fragment, which is never sent.
_NOT_IN_RESOURCE: Final = re.compile(r"[^\x21\x22\x24-\x7e]")
_NOT_IN_URL: Final = re.compile(r"[\x00-\x20\x7f]")
# urlsplit() ignores what is around the brackets.
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^\[\]]+)?\](?::[0-9]*)?")
# ASCII that no label has. International names are checked when they are encoded.
_NOT_IN_NAME: Final = re.compile(r"[\x00-,/:-@\[-^`{-\x7f]")
# RFC 1123, and the underscore, which names of services have.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# These are only for errors, so they are compiled when they are needed.
_HOST_AND_PORT: Final = r"(?:[^:\[\]]+|\[[^\[\]]*\]?)(?::[0-9]*)?"
# Not a token of several parts with dots between, which ends with a long one.
_NAMED_HOST: Final = (
    r"(?:localhost|(?:[\w-]{1,63}\.)+(?:[A-Za-z]{2,24}|[0-9]{1,3}))(?::[0-9]*)?"
)


class Target(NamedTuple):
    """What a client connects to, and what it requests there."""

    host: str  # an IPv6 address is without brackets
    port: int
    resource: str  # path and query
    is_secure: bool
    credentials: Credentials | None = None  # in the URL


def parse(url: object) -> Target:
    """Split a URL into its parts.

    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one; its
        fragment is dropped
    :raises ValueError: if it is not a valid ``ws:`` or ``wss:`` URL

    """
    text = str(url)
    try:
        return _parse(text)
    except ValueError as exc:
        raise ValueError(f"{exc}{_shown(text)}") from None


def _shown(url: str) -> str:
    """Show a URL in an error, without its query, and only if it has no secret."""
    # A user name and a password may be anywhere in front of an "@".
    if re.search(r"[@\\\s]", url) or not url.isprintable():
        return ""
    scheme, slashes, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    if not slashes:
        # Only what looks like a host, as anything else may be a secret.
        host = scheme.partition("/")[0]
        return f" (in {host})" if re.fullmatch(_NAMED_HOST, host) else ""
    # If the "@" is missing, they are in the place of host and port.
    if scheme.isalpha() and re.fullmatch(_HOST_AND_PORT, rest.partition("/")[0]):
        return f" (in {scheme}://{rest})"
    return ""


class Parts(NamedTuple):
    """What a URL consists of, so far that this is the same for servers and proxies."""

    scheme: str  # in lower case
    userinfo: str  # still encoded
    host: str  # an IPv6 address is without brackets
    port: int
    path: str
    query: str
    fragment: str


def split(text: str, default_ports: Mapping[str, int]) -> Parts:
    """Split a URL.

    :param text: the URL
    :param default_ports: the schemes that it may have, and their ports
    :raises ValueError: if it is not valid, or has another scheme

    """
    if _NOT_IN_URL.search(text):  # urlsplit() would drop some of these silently
        raise ValueError("the URL has spaces or control characters: percent-encode it")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the URL has no valid host and port") from None
    scheme = parts.scheme.lower()
    if scheme not in default_ports:
        # Without slashes, what looks like a scheme may be a user name.
        given = f", not {scheme!r}" if text[len(scheme) :].startswith("://") else ""
        *others, last = (f'"{name}"' for name in default_ports)
        raise ValueError(f"the URL scheme must be {', '.join(others)} or {last}{given}")
    if "\\" in parts.netloc:
        # Browsers take it for a slash, so they connect to the host in front of it, and
        # urlsplit() gives the one behind it.
        raise ValueError("the URL has a backslash in its host, or in front of it")
    if not host:
        raise ValueError("the URL has no host")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    if "[" in netloc:
        if not _IPV6.fullmatch(netloc):
            raise ValueError("the URL has no valid host and port")
        host = host.replace("%25", "%", 1)  # a zone (RFC 6874 section 2)
    if port is None:
        port = default_ports[scheme]
    return Parts(scheme, userinfo, host, port, parts.path, parts.query, parts.fragment)


def _parse(text: str) -> Target:
    scheme, userinfo, host, port, path, _, _ = split(text, _DEFAULT_PORTS)
    path = path or "/"
    # urlsplit() does not distinguish an empty query from no query.
    before_fragment = text.partition("#")[0]
    query = before_fragment.partition("?")[2]
    resource = f"{path}?{query}" if "?" in before_fragment else path
    if credentials := credentials_of_url(userinfo, "the URL"):
        check_basic(credentials.user.decode(), "the URL")
    is_secure = scheme == "wss"
    resource = check_resource(_iri_to_uri(resource))
    host_header(host, port, is_secure=is_secure)  # raises if one of them is not valid
    return Target(host, port, resource, is_secure, credentials)


def target(host: str, port: int, resource: str, use_ssl: object) -> Target:
    """Put together what a user passed in parts; the dialer checks it."""
    return Target(host, port, resource, use_ssl is not False)


def host_header(host: str, port: int, *, is_secure: bool) -> str:
    """Check a host and a port, and make the value of the Host header.

    :param host: a name, which may be international, or an IP address without brackets
    :param port: the port; the header has it unless it is the default of the scheme
        (RFC 6455 section 4.1): 80, or 443 with TLS
    :param is_secure: whether TLS is used
    :raises ValueError: if the host or the port is not valid
    :raises TypeError: if the host is not a ``str``, or the port not an ``int``

    """
    if not isinstance(host, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the host must be a str, not {type(host).__name__}")
    if not isinstance(port, int) or isinstance(port, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the port must be an int, not {type(port).__name__}")
    if not 1 <= port <= 65535:
        raise ValueError(f"the port must be between 1 and 65535, not {port}")
    name = _host_name(host)
    # As a number, because a subclass of int may have a text of its own.
    default = _DEFAULT_PORTS["wss" if is_secure else "ws"]
    return name if port == default else f"{name}:{int(port)}"


def tls_name(host: str) -> str:
    """Return the name for SNI, which the server's certificate must have.

    It is without the final dot that makes a name absolute (RFC 6066 section 3); Host
    and DNS keep it.

    The ssl module would encode an international name with the older IDNA 2003, so it
    could look for a name that differs from the one in Host.

    :param host: a host that `host_header` accepts

    """
    return plain_host(host).removesuffix(".")


def plain_host(host: str) -> str:
    """Return a host as DNS and proxies are told it: an IPv6 address without brackets.

    :param host: a name or an IP address
    :raises ValueError: if it is neither

    """
    return _host_name(host).strip("[]")


def authority(host: str, port: int) -> str:
    """Return a host and a port as one text, which always has the port.

    :raises ValueError: if one of them is not valid

    """
    name = host_header(host, port, is_secure=False)
    end = f":{int(port)}"
    return name.removesuffix(end) + end


def check_resource(resource: str) -> str:
    """Check the path and query of a request.

    :param resource: path and query; a slash is prepended if there is none
    :return: the target of the request
    :raises ValueError: if it has a character that a request line cannot have
    :raises TypeError: if it is not a ``str``

    """
    if not isinstance(resource, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the resource must be a str, not {type(resource).__name__}")
    if bad := _NOT_IN_RESOURCE.search(resource):
        raise ValueError(
            f"the resource has {bad.group()!r} at index {bad.start()}: it must be "
            "percent-encoded, and have no fragment"
        )
    return resource if resource.startswith("/") else f"/{resource}"


def _host_name(host: str) -> str:
    # A host may be a URL by mistake, with a password or a token, so none is shown.
    if "@" in host:
        raise ValueError("the host must not have a user name or a password")
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        # A zone means nothing outside of this machine (RFC 6874 section 4).
        return f"[{address}]" if address.version == 6 else str(address)
    if bad := _NOT_IN_NAME.search(host):
        raise ValueError(
            f"the host has {bad.group()!r} at index {bad.start()}: it must be a name "
            "or an IP address, without brackets"
        )
    try:
        name = host if host.isascii() else _a_labels(host)
    except UnicodeError:
        raise ValueError("the host is not a valid international name") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > 254 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the host is not a valid name")
    return name


def _a_labels(host: str) -> str:
    import idna  # takes 5 % of the package's import time, and few hosts need it

    return idna.encode(host, uts46=True).decode("ascii")


def _iri_to_uri(resource: str) -> str:
    # RFC 3987 section 3.1; ASCII is left as it is, including percent signs.
    return "".join(char if char.isascii() else quote(char) for char in resource)
