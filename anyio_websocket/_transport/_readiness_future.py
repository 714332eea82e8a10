"""A socket's bytes as a future of asyncio: in C if that was built, else in Python."""

from __future__ import annotations

from .._pure import raise_if_pure

try:
    raise_if_pure()
    from ._readiness_future_c import SocketFuture
except ImportError:
    from ._readiness_future_py import SocketFuture

__all__ = ["SocketFuture"]
