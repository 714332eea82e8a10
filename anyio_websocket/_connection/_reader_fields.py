"""Taking the next message, or waiting for it: in C if built, else in Python."""

from __future__ import annotations

from .._pure import raise_if_pure

try:
    raise_if_pure()
    from ._reader_fields_c import InboxFields, ReaderFields
except ImportError:
    from ._reader_fields_py import InboxFields, ReaderFields

__all__ = ["InboxFields", "ReaderFields"]
