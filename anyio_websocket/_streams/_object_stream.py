"""A connection as a stream of objects: each is a message.

What `WebSocketConnection.as_object_stream` promises is written there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyio.abc import ObjectStream
from anyio.lowlevel import checkpoint

from ._view import Connection, View


class ObjectView(View, ObjectStream[Any]):
    """The messages of a connection, or objects that are made of them.

    :param connection: whose messages
    :param loads: makes an object of a message; ``None`` leaves it as it is
    :param dumps: makes a message of an object
    :param text: whether that is a text; ``None`` goes by its type

    """

    def __init__(
        self,
        connection: Connection,
        loads: Callable[[str | bytes], Any] | None,
        dumps: Callable[[Any], str | bytes],
        text: bool | None,
    ) -> None:
        super().__init__(connection)
        self._loads = loads
        self._dumps = dumps
        self._text = text

    async def receive(self) -> Any:
        message = await self._receive()
        return message if self._loads is None else self._loads(message)

    async def send(self, item: Any) -> None:
        await checkpoint()
        await self._send(self._dumps(item), self._text)
