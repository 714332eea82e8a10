"""Parts of a message that come when a test says so."""

from __future__ import annotations

import anyio


class Source:
    """An async iterable, of which the parts come when the test says so."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._is_at_end = False
        self._event = anyio.Event()

    def put(self, *parts: bytes) -> None:
        self._parts += parts
        self._event.set()

    def end(self) -> None:
        self._is_at_end = True
        self._event.set()

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        if not (self._parts or self._is_at_end):
            self._event = anyio.Event()
            await self._event.wait()
        if self._parts:
            return self._parts.pop(0)
        raise StopAsyncIteration
