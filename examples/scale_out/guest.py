"""A client of a room that hears everything once and in order, wherever it is connected.

``python guest.py LOOP URL TEXT ...`` says each text, and prints what is said in the
room until all of them were heard. The URL is that of a room: ``ws://HOST/rooms/NAME``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

import anyio

from anyio_websocket import (
    Attempt,
    ConnectionClosed,
    ReconnectingConnection,
    WebSocketConnection,
    open_reconnecting,
)


class Guest:
    """Knows what it has heard, and what it has said that was not heard yet.

    :param url: of the room

    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.last = 0
        self.pending: dict[str, str] = {}

    async def where(self, attempt: Attempt) -> tuple[str, dict[str, Any]]:
        """Ask for what was said since, at each attempt to connect."""
        return f"{self._url}?after={self.last}", {}

    async def on_connect(self, connection: WebSocketConnection) -> None:
        """Say again what may be lost. The server knows it by its key."""
        for key, text in list(self.pending.items()):
            await connection.send_json({"key": key, "text": text})

    async def say(self, room: ReconnectingConnection, text: str) -> None:
        """Say something."""
        key = uuid4().hex
        self.pending[key] = text
        with suppress(ConnectionClosed):  # on_connect() says it again
            await room.send_json({"key": key, "text": text})

    async def hear(self, room: ReconnectingConnection) -> str:
        """Return what is said next; what comes a second time is left out."""
        while True:
            number, said = await room.get_json()
            if number > self.last:
                self.last = number
                self.pending.pop(said["key"], None)
                return str(said["text"])


async def main(url: str, *texts: str) -> None:
    """Say the texts, and print what everybody says."""
    guest = Guest(url)
    async with open_reconnecting(guest.where, on_connect=guest.on_connect) as room:
        for text in texts:
            await guest.say(room, text)
        while guest.pending:
            print(await guest.hear(room))


if __name__ == "__main__":
    anyio.run(partial(main, *sys.argv[2:]), backend=sys.argv[1])
