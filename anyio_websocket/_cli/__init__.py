"""The command line: ``connect``, ``serve`` and ``ping``, on the public API alone."""

from __future__ import annotations

from ._main import main

__all__ = ["main"]
