"""A message that is received in parts, while it is still coming.

The reader gives the parts to the task that is in the block, in the way of messages
(``_reader``). So the bounds of the inbox count, and what holds while no task reads does
so between two parts. The protocol makes the parts (``_protocol._received_parts``).
"""

from __future__ import annotations

from types import TracebackType

from anyio import BusyResourceError

from .._protocol import Part
from ._reader import Reader


class ReceivedFragments:
    """An asynchronous context manager, and the iterator over the parts of one message.

    :param reader: gives the parts

    """

    __slots__ = ("_has_begun", "_has_ended", "_is_inside", "_is_waiting", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._is_inside = False  # whether the block was entered and not left
        self._is_waiting = False  # whether a task waits for a part
        self._has_begun = False  # whether a part was taken
        self._has_ended = False  # whether the last one was

    async def __aenter__(self) -> ReceivedFragments:
        if self._is_inside or self._has_begun:
            raise RuntimeError("receive_fragments() is for one block: call it again")
        await self._reader.begin_fragments()
        self._is_inside = True
        return self

    def __aiter__(self) -> ReceivedFragments:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next part, and wait for it if there is none.

        :raises ConnectionClosed: if the connection ends before the message does
        :raises RuntimeError: outside of the block
        :raises anyio.BusyResourceError: if another task waits for a part

        """
        if not self._is_inside:
            raise RuntimeError(
                "parts can be received in the block only: "
                "async with connection.receive_fragments() as parts"
            )
        if self._is_waiting:
            raise BusyResourceError("waiting for a part")
        if self._has_ended:
            raise StopAsyncIteration
        found: object = self._reader.take(True)
        if found is None:
            self._is_waiting = True
            try:
                found = await self._reader.message(True)
            finally:
                self._is_waiting = False
        is_first = not self._has_begun
        self._has_begun = True
        if isinstance(found, Part):
            self._has_ended = found.is_last
            if found.is_last and not found.data and not is_first:
                raise StopAsyncIteration
            return found.data
        assert isinstance(found, str | bytes)
        self._has_ended = True
        return found

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._is_inside = False
        is_half = self._has_begun and not self._has_ended
        self._reader.end_fragments(skip=is_half)
