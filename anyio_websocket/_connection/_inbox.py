"""Received messages that the application has not asked for yet."""

from __future__ import annotations

from collections import deque

Message = str | bytes


class Inbox:
    """A queue that is bounded by number and by bytes.

    :param max_messages: how many messages may wait
    :param max_bytes: how many bytes may wait. A message is put in while fewer wait, so
        that a message of the greatest size always gets through

    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "messages")

    def __init__(self, max_messages: float, max_bytes: float) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        #: the messages that wait, each with its size; other modules only look whether
        #: there are any. A tuple until the first one comes, because a deque allocates
        #: 64 slots at once
        self.messages: deque[tuple[Message, int]] | tuple[()] = ()
        self._bytes = 0

    def free_slots(self, receivers: int) -> float:
        """Return how many more messages may be put in.

        :param receivers: tasks that wait for a message. There is a slot for each,
            even with a queue size of 0

        """
        most = self._max_messages if self._bytes < self._max_bytes else 0
        return max(most, receivers) - len(self.messages)

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        size = _size(message)
        if not isinstance(self.messages, deque):
            self.messages = deque()
        self.messages.append((message, size))
        self._bytes += size

    def pop(self) -> Message:
        """Remove the oldest message and return it."""
        assert isinstance(self.messages, deque)
        message, size = self.messages.popleft()
        self._bytes -= size
        return message

    def clear(self) -> None:
        """Drop all messages."""
        self.messages = ()
        self._bytes = 0


def _size(message: Message) -> int:
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    # CPython needs at most four bytes for a character; an exact size in UTF-8 would
    # cost a copy.
    return 4 * len(message)
