"""Received messages that the application has not asked for yet."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Final

from .._protocol import Part
from ._reader_fields import InboxFields
from ._totals import Backlog

Message = str | bytes

# Bytes of memory; 18 000 messages of one character, or one of 1 MiB. A message of the
# greatest size that the application allows fits in any case.
INBOX_SIZE: Final = 2**20

# Bytes that a message takes in the queue besides its own: a slot of a deque.
ENTRY_SIZE: Final = 8


class Inbox(InboxFields):
    """A queue that is bounded by the memory that its messages take, and by number.

    Each message counts with what it takes in memory (`sys.getsizeof`, 40 ns), not with
    its length: a text of one character takes 50 bytes, and one with a character beyond
    the Basic Multilingual Plane four bytes for each of its characters.

    :param max_messages: how many messages may wait. Reading goes on until one more is
        complete, as in trio-websocket, so that a Close or a Pong after so many
        messages is seen
    :param max_bytes: how much memory they may take. A message is put in while they take
        less, so that a message of the greatest size always gets through

    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages")

    def __init__(self, max_messages: float, max_bytes: float) -> None:
        self._max_messages = max_messages + 1
        self._max_bytes = max_bytes
        #: the messages that wait; other modules only look whether there are any. A
        #: tuple until the first one comes, because a deque allocates 64 slots at once
        self.messages: deque[Message] | tuple[()] = ()
        self._bytes = 0

    def free_slots(self, receivers: int) -> float:
        """Return how many more messages may be put in.

        :param receivers: tasks that wait for a message. There is a slot for each

        """
        most = self._max_messages if self._bytes < self._max_bytes else 0
        return max(most, receivers) - len(self.messages)

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        if not isinstance(self.messages, deque):
            self.messages = deque()
        self.messages.append(message)
        self._bytes += _size(message)

    def pop(self) -> Message:
        """Remove the oldest message and return it."""
        assert isinstance(self.messages, deque)
        message = self.messages.popleft()
        self._bytes -= _size(message)
        return message

    def put_first(self, message: Message) -> None:
        """Add a message before all others."""
        self.put(message)
        assert isinstance(self.messages, deque)
        self.messages.rotate()

    def pop_parts(self) -> list[Part]:
        """Remove the parts of a message, which are in front, and return them."""
        parts: list[Part] = []
        while self.messages:
            first: object = self.messages[0]
            if not isinstance(first, Part):
                break
            self.pop()
            parts.append(first)
        return parts

    def add_to(self, backlog: Backlog, ahead: Sequence[Message]) -> None:
        """Add the messages that wait, and others that come after them."""
        backlog.queued_messages += len(self.messages) + len(ahead)
        backlog.queued_bytes += self._bytes + sum(map(_size, ahead))

    def clear(self) -> None:
        """Drop all messages."""
        self.messages = ()
        self._bytes = 0


def _size(message: Message) -> int:
    return sys.getsizeof(message) + ENTRY_SIZE
