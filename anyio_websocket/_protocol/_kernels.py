"""The functions that touch every message: in C if that was built, else in Python."""

from __future__ import annotations

from .._pure import raise_if_pure

try:
    raise_if_pure()
    from ._kernels_c import (
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
