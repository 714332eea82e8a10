"""The version, which the build reads and clients send."""

from __future__ import annotations

__version__ = "0.1.0"
