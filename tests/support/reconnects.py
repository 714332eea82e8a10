"""A server over streams in memory that plays another scene for each attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from anyio_websocket import Attempt, WebSocketConnection
from anyio_websocket._client._connector import Connector
from anyio_websocket._client._dial import ConnectedStream
from anyio_websocket._client._open import _open
from anyio_websocket._settings import ClientSettings
from anyio_websocket._transport import transport_of
from anyio_websocket.testing import (
    MemoryStream,
    ScriptedPeer,
    handshake_response,
    memory_stream_pair,
)

from .frames import TEXT

Scene = Callable[[ScriptedPeer], Awaitable[None]] | Exception


def open_in_memory(
    stream: MemoryStream, **options: Any
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Do over a stream in memory what `open_websocket` does."""
    settings = ClientSettings(**options)
    dialer = ConnectedStream(transport_of(stream), "example.org", "/", settings)
    return _open(Connector(dialer, settings))


class Scenes:
    """Plays a scene for each attempt, and notes what the client does.

    :param tasks: where they are played
    :param scenes: what to play, or an exception to raise instead of connecting
    :param options: the client's

    """

    def __init__(self, tasks: TaskGroup, *scenes: Scene, **options: Any) -> None:
        self._tasks = tasks
        self._scenes = iter(scenes)
        self._options = options
        #: what the client said of each attempt
        self.attempts: list[Attempt] = []
        #: seconds between the attempts
        self.waits: list[float] = []
        self._last: float | None = None
        self.streams: list[MemoryStream] = []

    async def connect(
        self, attempt: Attempt
    ) -> AbstractAsyncContextManager[WebSocketConnection]:
        """Begin the next scene."""
        now = anyio.current_time()
        if self._last is not None:
            self.waits.append(round(now - self._last, 6))
        self._last = now
        self.attempts.append(attempt)
        scene = next(self._scenes)
        if isinstance(scene, Exception):
            raise scene
        ours, theirs = memory_stream_pair()
        self.streams.append(ours)

        async def play() -> None:
            async with theirs:
                await scene(ScriptedPeer(theirs, is_client=False))

        self._tasks.start_soon(play)
        return open_in_memory(ours, **self._options)


def says(*texts: str, code: int | None = None) -> Scene:
    """Send messages, then a Close, or break off if there is no code."""

    async def scene(peer: ScriptedPeer) -> None:
        await peer.stream.send(handshake_response(await peer.receive_head()))
        for text in texts:
            await peer.send_frame(TEXT, text.encode())
        if code is None:
            return
        await peer.send_close(code)
        while (await peer.receive_frame()).opcode == TEXT:
            pass

    return scene


def rejects(status: int, *lines: bytes) -> Scene:
    """Answer with another status than 101."""

    async def scene(peer: ScriptedPeer) -> None:
        await peer.receive_head()
        head = [b"HTTP/1.1 %d No" % status, b"Content-Length: 0", *lines]
        await peer.stream.send(b"\r\n".join(head) + b"\r\n\r\n")

    return scene


async def vanishes(peer: ScriptedPeer) -> None:
    """Open, and never be heard of again: the machine is off, or asleep."""
    await peer.stream.send(handshake_response(await peer.receive_head()))
    await anyio.sleep_forever()
