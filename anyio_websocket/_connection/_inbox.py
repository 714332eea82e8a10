"""Received messages that nobody has asked for yet.

In: messages that were read while the application was elsewhere. Out: the same, in
order, to ``get_message()``; and whether there is room for more.
"""

from __future__ import annotations

from collections import deque

Message = str | bytes


class Inbox:
    """A queue bounded by number and by bytes.

    :param max_messages: messages that may wait
    :param max_bytes: bytes that may wait; a message is taken while fewer wait, so
        that one of the greatest size always gets through

    """

    __slots__ = ("_bytes", "_max_bytes", "_max_messages", "messages")

    def __init__(self, max_messages: float, max_bytes: float) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        #: those that wait, each with its size; only to be looked at from outside. An
        #: empty tuple as long as none waited: a deque has room for 64 at once
        self.messages: deque[tuple[Message, int]] | tuple[()] = ()
        self._bytes = 0

    def free_slots(self, receivers: int) -> float:
        """Say how many more messages may be taken.

        :param waiting: tasks that wait for a message: with a queue size of 0 they
            are all the room there is

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
        """Take the oldest message."""
        assert isinstance(self.messages, deque)
        message, size = self.messages.popleft()
        self._bytes -= size
        return message

    def clear(self) -> None:
        """Drop all of them."""
        self.messages = ()
        self._bytes = 0


def _size(message: Message) -> int:
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    # What CPython needs at the most for a character; exact UTF-8 would cost a copy.
    return 4 * len(message)
