"""Sending the same bytes over many sockets: in C if that was built, else in Python."""

from __future__ import annotations

from .._pure import raise_if_pure

try:
    raise_if_pure()
    from ._send_each_c import send_each
except ImportError:
    from ._send_each_py import send_each

__all__ = ["send_each"]
