"""Which web pages may connect: the check against cross-site WebSocket hijacking.

It compares the Origin of a request with the ``origins`` option, or with the Host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

# Only a scheme, a host and a port; urlsplit() alone ignores tabs and empty queries.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@\\]+")
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Origins:
    """The origins whose pages may connect (RFC 6454, RFC 6455 section 10.2).

    :param allowed: origins such as ``https://example.org``, or ``null``; ``"*"`` allows
        all of them; ``None`` allows the origin that the Host of the request names
    :raises ValueError: if an element is not an origin
    :raises TypeError: if an element is not a ``str``, or if ``allowed`` itself is a
        ``str`` other than ``"*"``

    """

    def __init__(self, allowed: Iterable[str] | str | None) -> None:
        self._any = allowed == "*"
        self._allowed: frozenset[tuple[str, str, int | None] | str] | None = None
        if allowed is not None and not self._any:
            if isinstance(allowed, str):
                raise TypeError(
                    f'origins must be a list of origins, "*" or None, not {allowed!r}'
                )
            self._allowed = frozenset(_parse_option(origin) for origin in allowed)

    def allow(self, origin: str | None, host: str) -> bool:
        """Say whether a page of this origin may connect to this host.

        :param origin: the Origin of the request; ``None`` is allowed, because a client
            that sends no Origin is not a browser
        :param host: the Host of the request

        """
        if self._any or origin is None:
            return True
        try:
            parsed = _parse(origin)
        except ValueError:
            return False
        if self._allowed is not None:
            return parsed in self._allowed
        if isinstance(parsed, str):
            return False
        scheme, name, port = parsed
        try:
            return _parse(f"{scheme}://{host}") == (scheme, name, port)
        except ValueError:
            return False


def _parse_option(origin: object) -> tuple[str, str, int | None] | str:
    if not isinstance(origin, str):
        raise TypeError(f"an origin must be a str, not {origin!r}")
    try:
        return _parse(origin)
    except ValueError:
        raise ValueError(
            f"{origin!r} is not an origin: use the form https://example.org:8443"
        ) from None


def _parse(origin: str) -> tuple[str, str, int | None] | str:
    if origin == "null":
        return origin
    if not _ORIGIN.fullmatch(origin):
        raise ValueError
    parts = urlsplit(origin)
    scheme, name, port = parts.scheme.lower(), parts.hostname, parts.port
    if not name:
        raise ValueError
    if not name.isascii():  # only in the option; browsers send A-labels
        import idna  # takes 5 % of the package's import time, and few hosts need it

        name = idna.encode(name, uts46=True).decode("ascii")
    return scheme, name.lower(), _DEFAULT_PORTS.get(scheme) if port is None else port
