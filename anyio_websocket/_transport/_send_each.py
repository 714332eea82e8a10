"""Sending the same bytes over many sockets: in C if that was built, else in Python.

``ANYIO_WEBSOCKET_PURE=1`` in the environment selects Python.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("ANYIO_WEBSOCKET_PURE", "0") != "0":
        raise ImportError
    from ._fan_out import send_each
except ImportError:
    from ._send_each_py import send_each

__all__ = ["send_each"]
