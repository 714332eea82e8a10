"""A socket's bytes as a future of asyncio: in C if that was built, else in Python.

``ANYIO_WEBSOCKET_PURE=1`` in the environment selects Python.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("ANYIO_WEBSOCKET_PURE", "0") != "0":
        raise ImportError
    from ._waiting import SocketFuture
except ImportError:
    from ._readiness_future_py import SocketFuture

__all__ = ["SocketFuture"]
