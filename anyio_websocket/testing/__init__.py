"""What tests of applications need: connections in memory, with a real handshake.

Nothing of it needs a port, a certificate or a thread, and it is the same on asyncio and
on trio. The package itself imports nothing of it, and it does not import pytest.
"""

from __future__ import annotations

from ._check_byte_stream import check_byte_stream
from ._check_object_stream import check_object_stream
from ._faulty_stream import FaultyStream
from ._frames import Frame, Opcode, frame_bytes
from ._handshakes import handshake_request, handshake_response
from ._pair import websocket_pair
from ._scripted_peer import ScriptedPeer
from ._serve import InMemoryClient, serve_in_memory
from ._streams import MemoryListener, MemoryStream, memory_stream_pair

__all__ = [
    "FaultyStream",
    "Frame",
    "InMemoryClient",
    "MemoryListener",
    "MemoryStream",
    "Opcode",
    "ScriptedPeer",
    "check_byte_stream",
    "check_object_stream",
    "frame_bytes",
    "handshake_request",
    "handshake_response",
    "memory_stream_pair",
    "serve_in_memory",
    "websocket_pair",
]


def _set_modules() -> None:
    # As in the package itself: users see where they import a name from.
    for name in __all__:
        globals()[name].__module__ = __name__


_set_modules()
del _set_modules
