"""HTTP's Basic scheme, as a server sees it (RFC 7617)."""

from __future__ import annotations

import binascii
import re
from typing import Final

_CONTROL: Final = r"[\x00-\x1f\x7f]"  # compiled when the first client sends a password


def parse_basic(authorization: str) -> tuple[str, str] | None:
    """Take the user's name and the password out of an Authorization header.

    :return: ``None`` if there are none: it is of another scheme, or not well-formed

    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = binascii.a2b_base64(encoded.strip(" "), strict_mode=True).decode()
    except ValueError:  # of either: neither base64, nor UTF-8 in it
        return None
    user, colon, password = decoded.partition(":")
    # RFC 7617 section 2: neither may have control characters.
    if not colon or re.search(_CONTROL, decoded):
        return None
    return user, password


def basic_challenge(realm: str) -> bytes:
    """Make the value of WWW-Authenticate.

    :raises ValueError: if the realm cannot be sent
    :raises TypeError: if it is not a ``str``

    """
    if not isinstance(realm, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"realm must be a str, not {type(realm).__name__}")
    if not (realm.isascii() and realm.isprintable()):
        raise ValueError(f"realm must be printable ASCII, not {realm!r}")
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Basic realm="{quoted}", charset="UTF-8"'.encode()
