"""Which web pages may connect: the check against cross-site WebSocket hijacking.

In: the ``origins`` setting, and a request's Origin and Host. Out: yes or no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import idna

# Nothing but scheme, host and port; urlsplit() would drop tabs and empty queries.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@\\]+")
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Origins:
    """The pages that may connect (RFC 6454, RFC 6455 section 10.2).

    :param allowed: origins such as ``https://example.org``, or ``null``; ``"*"`` for
        all; ``None`` for those of the host that the client connects to
    :raises ValueError: if one of them is no origin
    :raises TypeError: if they are not texts

    """

    def __init__(self, allowed: Iterable[str] | str | None) -> None:
        self._any = allowed == "*"
        self._allowed: frozenset[tuple[str, str, int | None] | str] | None = None
        if allowed is not None and not self._any:
            if isinstance(allowed, str):
                raise TypeError(
                    f'origins must be a list of origins, "*" or None, not {allowed!r}'
                )
            self._allowed = frozenset(_setting(origin) for origin in allowed)

    def allow(self, origin: str | None, host: str) -> bool:
        """Say whether a page of this origin may connect to this host.

        :param origin: the request's Origin; a client without one is no browser
        :param host: the request's Host, with its port if it has one

        """
        if self._any or origin is None:
            return True
        try:
            known = _parse(origin)
        except ValueError:
            return False
        if self._allowed is not None:
            return known in self._allowed
        if isinstance(known, str):
            return False
        scheme, name, port = known
        try:
            return _parse(f"{scheme}://{host}") == (scheme, name, port)
        except ValueError:
            return False


def _setting(origin: object) -> tuple[str, str, int | None] | str:
    if not isinstance(origin, str):
        raise TypeError(f"an origin must be a str, not {origin!r}")
    try:
        return _parse(origin)
    except ValueError:
        raise ValueError(
            f"{origin!r} is no origin: it must look like https://example.org:8443"
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
    if not name.isascii():  # a setting; browsers send A-labels
        name = idna.encode(name, uts46=True).decode("ascii")
    return scheme, name.lower(), _DEFAULT_PORTS.get(scheme) if port is None else port
