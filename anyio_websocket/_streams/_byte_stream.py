"""A connection as a stream of bytes: where a message begins and ends does not matter.

What `WebSocketConnection.as_byte_stream` promises is written there.
"""

from __future__ import annotations

from operator import index
from typing import Final

from anyio import ResourceGuard
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from ._view import Connection, View

# Bytes of a message that is sent. No library's own limit for messages is below it: the
# least is that of coder/websocket, and the next one is 1 MiB.
PIECE_SIZE: Final = 32_768


class ByteView(View, ByteStream):
    """The bytes of a connection's messages.

    :param connection: whose messages

    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._receiving = ResourceGuard("receiving from")
        self._sending = ResourceGuard("sending to")
        self._rest = memoryview(b"")  # of a message of which a part was returned

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        max_bytes = index(max_bytes)  # TypeError for 1.5, before it waits
        if max_bytes < 1:
            raise ValueError("max_bytes must be a positive integer")
        with self._receiving:
            if self._rest and not self._is_closed:
                await checkpoint()
            while self._is_closed or not self._rest:
                message = await self._receive()
                data = message.encode() if isinstance(message, str) else message
                if len(data) <= max_bytes:
                    if data:
                        return data
                else:
                    self._rest = memoryview(data)
            data = self._rest[:max_bytes].tobytes()
            self._rest = self._rest[max_bytes:]
            return data

    async def send(self, item: bytes) -> None:
        with self._sending:
            await checkpoint()
            # Any buffer, copied at once: the caller may change it afterwards.
            data = item if type(item) is bytes else memoryview(item).tobytes()
            if not data and self._connection.closed is None:
                return
            for start in range(0, len(data) or 1, PIECE_SIZE):
                await self._send(data[start : start + PIECE_SIZE])
