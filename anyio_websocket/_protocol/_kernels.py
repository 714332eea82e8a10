"""The functions that touch every message: in C if that was built, else in Python.

``ANYIO_WEBSOCKET_PURE=1`` in the environment selects Python.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("ANYIO_WEBSOCKET_PURE", "0") != "0":
        raise ImportError
    from ._speedups import (
        frame_unmasked,
        make_frame,
        mask,
        mask_into,
        take_compressed,
        take_messages,
        take_undecoded,
    )
except ImportError:
    from ._kernels_py import (
        frame_unmasked,
        make_frame,
        mask,
        mask_into,
        take_compressed,
        take_messages,
        take_undecoded,
    )

__all__ = [
    "frame_unmasked",
    "make_frame",
    "mask",
    "mask_into",
    "take_compressed",
    "take_messages",
    "take_undecoded",
]
