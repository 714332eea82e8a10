"""`ReceivedParts`: between a codec and its engine while a message comes in parts.

What the codec has of a message when it returns, to let other tasks run or because more
bytes are needed, becomes a `Part`. So a part is what came with a read or with a `TURN`
of work, less than a megabyte or two, however long the message is. The codec does all
the rest, as it does for a message that is joined.
"""

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from ._codec import Codec, Paused, Received

# Bytes of memory that a part takes besides its data.
_PART_SIZE: Final = 64


class Part(NamedTuple):
    """A part of a message."""

    data: str | bytes
    is_last: bool

    def payload(self) -> bytes:
        """Return it as it came."""
        return self.data.encode() if isinstance(self.data, str) else self.data

    def __sizeof__(self) -> int:
        # The inbox is bounded by what its messages take.
        return sys.getsizeof(self.data) + _PART_SIZE


class ReceivedParts:
    """The receiving side of a codec, for one message in parts.

    :param codec: where the message comes from
    :param on_end: is called when the message has ended, and whole ones follow

    """

    __slots__ = ("_codec", "_gives", "_on_end", "_paused", "_skips")

    def __init__(self, codec: Codec, on_end: Callable[[], None]) -> None:
        self._codec = codec
        self._on_end = on_end
        self._gives = False  # whether the message after a skipped one comes in parts
        self._skips = False  # whether the rest of a message is dropped
        self._paused = False  # whether the codec did so after the last part

    def begin(self) -> None:
        """Give the next message, or the one that the codec is in, in parts."""
        self._gives = True

    def skip(self) -> None:
        """Drop what is left of the message, of which a part was given."""
        self._gives = False
        self._skips = True

    def join(self, payload: bytes) -> None:
        """Leave the message to the codec after all.

        :param payload: what was given of it

        """
        self._gives = False
        if not self._skips:
            if payload:
                self._codec.put_back(payload)
            self._on_end()

    def feed(self, data: bytes) -> None:
        self._codec.feed(data)

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        self._codec.feed(data)
        return [], True

    def has_more(self) -> bool:
        return self._paused or self._codec.has_more()

    def next(self) -> Received | Part | Paused | None:
        if self._paused:
            self._paused = False
            return Paused.PAUSED
        event = self._codec.next()
        if isinstance(event, str | bytes):
            if not self._skips:
                self._on_end()
                return Part(event, True)
            self._skips = False
            if not self._gives:
                self._on_end()
            return Paused.PAUSED  # which is a reason to ask again
        if event is None or event is Paused.PAUSED:
            part = self._codec.take_part()
            if part and not self._skips:
                self._paused = event is Paused.PAUSED
                return Part(part, False)
        return event
