"""Waiting for the next message: in C if that was built, else in Python.

``ANYIO_WEBSOCKET_PURE=1`` in the environment selects Python.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("ANYIO_WEBSOCKET_PURE", "0") != "0":
        raise ImportError
    from ._receiving import ReaderFields
except ImportError:
    from ._receive_kernels_py import ReaderFields

__all__ = ["ReaderFields"]
