"""A connection as streams of anyio, for code that knows no WebSocket.

Nothing of this is imported before it is used.
"""

from __future__ import annotations

from ._attributes import KEYS, attributes_of
from ._byte_stream import ByteView
from ._object_stream import ObjectView

__all__ = ["KEYS", "ByteView", "ObjectView", "attributes_of"]
