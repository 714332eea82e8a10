"""Sec-WebSocket-Key and Sec-WebSocket-Accept: the proof that the server understood.

RFC 6455 sections 4.1 and 4.2.2. wsproto has both functions as well, but importing it
takes a tenth of the package's import time.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of section 1.3


def generate_key() -> bytes:
    """Return a new Sec-WebSocket-Key: 16 random bytes in base64."""
    return base64.b64encode(os.urandom(16))


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that replies to a Sec-WebSocket-Key."""
    # Not for security, and so allowed in FIPS mode, which forbids SHA-1 otherwise.
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)
