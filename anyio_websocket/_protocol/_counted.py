"""`CountedCodec`: a codec that counts messages, for connections whose users want that.

It stands between the engine and the codec of a connection. Every other connection has
no such object, and so nothing asks for each message whether it is to be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ._codec import Codec, Frame, Paused, Received


class TakeMessages(Protocol):
    """The function of a `Codec`."""

    def __call__(self, max_count: int) -> list[str | bytes]: ...


class MessageCounts:
    """How many messages were sent and received."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        #: those that were framed, to be written next
        self.sent: int = 0
        #: those that were decoded, whether anybody fetched them or not
        self.received: int = 0


class CountedCodec:
    """A codec, and how many messages went through it.

    :param codec: does the work
    :param total: counts the messages of all connections that belong together

    """

    def __init__(self, codec: Codec, total: MessageCounts) -> None:
        self._codec = codec
        self._total = total
        #: the messages of this connection
        self.counts: MessageCounts = MessageCounts()
        #: see `Codec`
        self.take_messages: TakeMessages = self._counted_take()

    def has_more(self) -> bool:
        return self._codec.has_more()

    def feed(self, data: bytes) -> None:
        self._codec.feed(data)

    def receive_rest(self, receive_into: Callable[[memoryview], int]) -> int:
        return self._codec.receive_rest(receive_into)

    def _counted_take(self) -> TakeMessages:
        # No method, and none is called: that is half of what it takes to count.
        take, counts, total = self._codec.take_messages, self.counts, self._total

        def take_and_count(max_count: int) -> list[str | bytes]:
            found = take(max_count)
            if found:
                count = len(found)
                counts.received += count
                total.received += count
            return found

        return take_and_count

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        found, has_more = self._codec.take_received(data, max_count)
        self.counts.received += len(found)
        self._total.received += len(found)
        return found, has_more

    def next(self) -> Received | Paused | None:
        event = self._codec.next()
        if isinstance(event, str | bytes):
            self.counts.received += 1
            self._total.received += 1
        return event

    def take_part(self) -> str | bytes:
        return self._codec.take_part()

    def put_back(self, payload: bytes) -> None:
        self._codec.put_back(payload)

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        self.add_sent()
        return self._codec.frame_message(message, compress=compress)

    def framer(self) -> Callable[[str | bytes], bytes]:
        frame, counts, total = self._codec.framer(), self.counts, self._total

        def frame_and_count(message: str | bytes) -> bytes:
            counts.sent += 1
            total.sent += 1
            return frame(message)

        return frame_and_count

    def frame_large(self, message: str | bytes) -> Frame:
        self.add_sent()
        return self._codec.frame_large(message)

    def frame_for_many(
        self, message: str | bytes, compress: bool | None, made: dict[object, bytes]
    ) -> bytes | None:
        # Whether it will be sent to this connection is not known: see `add_sent`.
        return self._codec.frame_for_many(message, compress, made)

    def fragmenter(self, compress: bool | None) -> Callable[[str | bytes, bool], Frame]:
        frame = self._codec.fragmenter(compress)

        def frame_and_count(piece: str | bytes, is_last: bool) -> Frame:
            if is_last:
                self.add_sent()
            return frame(piece, is_last)

        return frame_and_count

    def frame_ping(self, payload: bytes) -> bytes:
        return self._codec.frame_ping(payload)

    def frame_pong(self, payload: bytes) -> bytes:
        return self._codec.frame_pong(payload)

    def frame_close(self, code: int | None, reason: str) -> bytes:
        return self._codec.frame_close(code, reason)

    def add_sent(self) -> None:
        """Count a message that was sent."""
        self.counts.sent += 1
        self._total.sent += 1
