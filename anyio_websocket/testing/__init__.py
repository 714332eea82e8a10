"""What tests of applications need: connections in memory, with a real handshake.

Nothing of it needs a port, a certificate or a thread, and it is the same on asyncio and
on trio. The package itself imports nothing of it, and it does not import pytest.
"""

from __future__ import annotations

from ._pair import websocket_pair
from ._serve import InMemoryClient, serve_in_memory
from ._streams import MemoryListener, MemoryStream, memory_stream_pair

__all__ = [
    "InMemoryClient",
    "MemoryListener",
    "MemoryStream",
    "memory_stream_pair",
    "serve_in_memory",
    "websocket_pair",
]
