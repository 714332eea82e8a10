"""Which web pages may connect: the check against cross-site WebSocket hijacking.

It compares the Origin of a request with the ``origins`` option, or with the Host.

Theory of operation
-------------------
A browser lets the pages of every site open WebSockets to every server, and sends the
user's cookies along. It names the page's origin in the request, so it is the server's
part to refuse pages of other sites. What the server compares with by default is the
host that the browser connected to. The port does not count: a page is often served on
one port of a host and its WebSockets on another, and cookies know no ports either.

A reverse proxy may replace the Host by the name of the upstream server. Then the page's
own site looks like a foreign one that attacks a local port. Firefox tells the two
apart, as it sends Sec-Fetch-Site with the handshake (over https, and to localhost). No
script can set that header, and no proxy changes it. Chromium 156 sends it with every
request but this one.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from ._printable import printable

# The parts of https://example.org:8443. Stricter than urlsplit(), which ignores tabs,
# empty queries, and what follows the bracket of an IPv6 address. It is compiled when it
# is first used, which took a hundredth of the package's import time.
_ORIGIN: Final = (
    r"([A-Za-z][A-Za-z0-9+.-]*)://"
    r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\[\]]+)"
    r"(?::([0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FORM: Final = "use the form https://example.org:8443"


class _Origin(NamedTuple):
    scheme: str
    host: str = ""  # in lower case; ".example.org" for every name below it
    port: int | None = None


# Origins without a host. A browser sends "null" for pages that belong to no site, such
# as files and sandboxed frames. Some programs that show files send "file://".
_WITHOUT_HOST: Final = {"null": _Origin("null"), "file://": _Origin("file")}


class Origins:
    """The origins whose pages may connect (RFC 6454, RFC 6455 section 10.2).

    :param allowed: origins such as ``https://example.org``, ``https://*.example.org``
        for every name below it, ``null`` or ``file://``; ``"*"`` allows all of them;
        ``None`` allows pages of the host that the browser connects to
    :raises ValueError: if an element can never be the origin of a page
    :raises TypeError: if an element is not a ``str``, or if ``allowed`` itself is a
        ``str`` other than ``"*"``

    """

    def __init__(self, allowed: Iterable[str] | str | None) -> None:
        self._any = allowed == "*"
        self._listed: frozenset[_Origin] | None = None
        self._wildcards: tuple[_Origin, ...] = ()
        if allowed is not None and not self._any:
            if isinstance(allowed, str):
                raise TypeError(
                    f'origins must be a list of origins, "*" or None, not {allowed!r}'
                )
            listed = frozenset(map(_parse_option, allowed))
            self._listed = listed
            self._wildcards = tuple(o for o in listed if o.host.startswith("."))

    def reason_to_reject(
        self,
        origin: str | None,
        host: str,
        *,
        is_ssl: bool = False,
        fetch_site: bytes | None = None,
    ) -> str | None:
        """Say why a page of this origin may not connect; ``None`` if it may.

        :param origin: the Origin of the request; ``None`` is allowed, because a client
            that sends no Origin is not a browser
        :param host: the Host of the request
        :param is_ssl: whether the client speaks TLS with us; a page that was loaded
            over http could then be one that an attacker on the network has changed
        :param fetch_site: the Sec-Fetch-Site of the request
        :return: a sentence that names the origin, the host, and what can be done

        """
        if self._any or origin is None:
            return None
        try:
            parsed = _parse(origin)
        except ValueError:
            parsed = None
        if self._listed is None:
            if fetch_site == b"same-origin":
                return None
            schemes = ("https",) if is_ssl else ("http", "https")
            if parsed and parsed.scheme in schemes and _is_host(parsed.host, host):
                return None
            rule = (
                f"by default, only {' and '.join(schemes)} pages of the same host may"
            )
            advice = (
                "To let them in, the operator of the server can list the origin in "
                "origins=; if there is a reverse proxy, it should pass on the Host "
                "header that the browser sent"
            )
        else:
            if parsed and (parsed in self._listed or self._matches_wildcard(parsed)):
                return None
            rule = "the server's origins= does not list it"
            advice = (
                "To let them in, the operator of the server can add the origin there"
            )
        if parsed is None:
            rule = "it is not an origin that a browser sends"
            advice = 'Only a server with origins="*" accepts it'
        return (
            f"pages of the Origin {printable(origin)} may not connect to the Host "
            f"{printable(host)}: {rule}. {advice}"
        )

    def _matches_wildcard(self, origin: _Origin) -> bool:
        return any(
            origin.scheme == wildcard.scheme
            and origin.port == wildcard.port
            and origin.host.endswith(wildcard.host)
            for wildcard in self._wildcards
        )


def _is_host(name: str, host: str) -> bool:
    """Say whether a Host header has this name, at whatever port."""
    try:
        return _parse(f"http://{host.rstrip(':')}").host == name
    except ValueError:
        return False


def _parse(origin: str) -> _Origin:
    """Take an origin apart.

    :raises ValueError: if it is not one

    """
    if origin in _WITHOUT_HOST:
        return _WITHOUT_HOST[origin]
    match = re.fullmatch(_ORIGIN, origin)
    if match is None:
        raise ValueError(_FORM)
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    if host.startswith("["):
        host = f"[{IPv6Address(host[1:-1])}]"  # an address can be written in many ways
    if port is None:
        return _Origin(scheme, host, _DEFAULT_PORTS.get(scheme))
    if not 0 < int(port) < 65536:
        raise ValueError("the port must be from 1 to 65535")
    return _Origin(scheme, host, int(port))


def _parse_option(origin: object) -> _Origin:
    if not isinstance(origin, str):
        raise TypeError(f"an origin must be a str, not {origin!r}")
    if origin in _WITHOUT_HOST:
        return _WITHOUT_HOST[origin]
    try:
        return _parse_page(origin)
    except ValueError as exc:
        raise ValueError(f"{origin!r} is not an origin of pages: {exc}") from None


def _parse_page(origin: str) -> _Origin:
    """Parse an origin with a host, or a wildcard.

    :raises ValueError: if no browser sends it; the text says why

    """
    scheme, separator, rest = origin.partition("://")
    if origin == "*":
        raise ValueError('pass origins="*" to allow all pages')
    if not separator:
        raise ValueError(_FORM)
    if scheme.lower() == "file":
        raise ValueError('use "file://" or "null", which is what files have')
    if scheme.lower() in ("ws", "wss"):
        raise ValueError("pages have the scheme http or https")
    if "@" in rest:
        raise ValueError("an origin has no user name")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority != rest:
        raise ValueError(f"an origin has no path, so use {scheme}://{authority}")
    name = rest.removeprefix("*.")
    if "*" in name:
        raise ValueError(f"* stands for whole labels, as in {scheme}://*.example.org")
    parsed = _parse(_with_a_labels(f"{scheme}://{name}"))
    if "%" in parsed.host:
        raise ValueError("browsers decode percent signs in names")
    is_address = parsed.host.startswith("[")
    if _looks_like_ipv4(parsed.host):
        IPv4Address(parsed.host)
        is_address = True
    if name == rest:
        return parsed
    if is_address:
        raise ValueError("an address has no labels that * could stand for")
    return parsed._replace(host=f".{parsed.host}")


def _with_a_labels(origin: str) -> str:
    """Encode an international name as browsers do."""
    match = re.fullmatch(_ORIGIN, origin)
    if match is None or match[2].isascii():
        return origin
    import idna  # takes 5 % of the package's import time, and few hosts need it

    name = idna.encode(match[2], uts46=True).decode("ascii")
    return origin[: match.start(2)] + name + origin[match.end(2) :]


def _looks_like_ipv4(host: str) -> bool:
    """Say whether browsers take a host for an IPv4 address (WHATWG URL)."""
    last = host.removesuffix(".").rpartition(".")[2]
    return last.isdecimal() or re.fullmatch("0x[0-9a-f]*", last) is not None
