"""Redirects: where a server sends a client, and whether the client goes there.

In: a rejection, and what was requested. Out: what to request next; or the rejection,
with the reason why it stands.

A redirect is the server's word, and it may be hostile or broken. So it leads to the
same origin only, unless the user allows more; never from TLS to no TLS; and never to a
URL with a user name.
"""

from __future__ import annotations

from typing import Final, NoReturn
from urllib.parse import quote, urljoin, urlsplit

from .._errors import ConnectionRejected
from . import _url

# RFC 9110 sections 15.4.2 to 15.4.9: those with one place to go on. The request is a
# GET in any case.
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))  # what quote() leaves
# A server thinks in http: even of a WebSocket's handshake.
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class Redirects:
    """Follows redirects, up to a limit.

    :param limit: how many; at least one
    :param cross_origin: whether they may lead to other origins

    """

    def __init__(self, limit: int, *, cross_origin: bool) -> None:
        self._limit = limit
        self._cross_origin = cross_origin
        self._followed = 0

    def is_followed(self, status_code: int) -> bool:
        """Say whether a response with this status may be a redirect to follow."""
        return status_code in REDIRECTS

    def next(self, rejected: ConnectionRejected, last: _url.Target) -> _url.Target:
        """Find out what to request next.

        :param rejected: what the server responded
        :param last: what was requested
        :raises ConnectionRejected: if it is not a redirect, or is not followed

        """
        if not self.is_followed(rejected.status_code):
            raise rejected
        if self._followed == self._limit:
            _refuse(rejected, f"it is one more than max_redirects={self._limit}")
        self._followed += 1
        target = _target(rejected, last)
        if last.is_secure and not target.is_secure:
            _refuse(rejected, "it leads from wss: to ws:")
        if is_same_origin(target, last):
            # As the user wrote the host: a zone is not in URLs.
            return target._replace(host=last.host, credentials=last.credentials)
        if not self._cross_origin:
            scheme = "wss" if target.is_secure else "ws"
            origin = f"{scheme}://{_url.authority(target.host, target.port)}"
            _refuse(
                rejected,
                f"it leads to another origin, {origin}; cross_origin_redirects=True "
                "would allow that",
            )
        return target


def is_same_origin(one: _url.Target, other: _url.Target) -> bool:
    """Say whether two targets have the same scheme, host and port (RFC 6454)."""
    return (one.is_secure, one.port) == (other.is_secure, other.port) and (
        _url.plain_host(one.host).lower() == _url.plain_host(other.host).lower()
    )


def _target(rejected: ConnectionRejected, last: _url.Target) -> _url.Target:
    locations = [value for name, value in rejected.headers if name == b"location"]
    if len(locations) != 1:
        _refuse(rejected, "it has no Location, or more than one")
    # Servers write spaces and letters as they are, and a request cannot have them.
    location = quote(locations[0], safe=_VISIBLE)
    base = f"{'https' if last.is_secure else 'http'}://"
    base += _url.authority(last.host, last.port) + last.resource
    try:
        url = urljoin(base, location)
        scheme = urlsplit(url).scheme
        if scheme not in _SCHEMES:
            _refuse(rejected, "its Location is no URL of a server")
        if "@" in urlsplit(url).netloc:
            _refuse(rejected, "its Location has a user name or a password")
        return _url.parse(_SCHEMES[scheme] + url[len(scheme) :])
    except ValueError:
        # Not shown: it may have a token in it.
        _refuse(rejected, "its Location is not a valid URL")


def _refuse(rejected: ConnectionRejected, reason: str) -> NoReturn:
    raise rejected.not_followed(reason)
