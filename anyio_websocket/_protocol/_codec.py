"""Frames: bytes in, messages and control frames out, and the other way round.

In: received bytes; messages to send. Out: ``Received`` results; bytes to write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

NO_STATUS: Final = 1005  # RFC 6455 section 7.1.5: a Close without a code
TOO_BIG: Final = 1009
POLICY: Final = 1008


class Ping(NamedTuple):
    """A Ping arrived; it wants a Pong with the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """A Pong arrived, asked for or not."""

    payload: bytes


class Close(NamedTuple):
    """A Close arrived; 1005 stands for a Close without a code."""

    code: int
    reason: str


Received = str | bytes | Ping | Pong | Close
# A frame, or its head and its payload apart.
Frame = bytes | tuple[bytes, bytes]


class ProtocolViolation(Exception):
    """The peer broke a rule; the connection must be failed with this code.

    :param code: the close code to fail with
    :param reason: the text for the Close frame, short and without the peer's bytes

    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Codec(Protocol):
    """What the engine asks of a frame codec.

    A codec is one side of one open connection. It joins fragments, holds the limits
    of size and number, and decodes no further than it is asked to: what was fed and
    not asked for yet stays bytes.
    """

    def has_more(self) -> bool:
        """Whether `next` may find something in what was fed."""
        ...

    def feed(self, data: bytes) -> None:
        """Take received bytes."""

    def take_messages(self, most: int) -> list[str | bytes]:
        """Return the next messages as far as they are easy to get, or none.

        They are those that come first, whole, and each in a single frame.

        :param most: how many are wanted
        """
        ...

    def next(self) -> Received | None:
        """Return the next message or control frame, ``None`` if more is needed.

        :raises ProtocolViolation: if the peer broke a rule; nothing may be asked
            after that
        """

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        """Frame a whole message.

        What is returned must be written, in the order in which it was made: a
        compressed message refers to those before.

        :param message: the message
        :param compress: whether to compress it, where that was negotiated; ``None``
            for what the settings say
        """
        ...

    def framer(self) -> Callable[[str | bytes], bytes]:
        """Return what does the same as `message`, on the shortest way."""
        ...

    def frame_large(self, message: str | bytes) -> Frame:
        """Frame a message as `message` does, but without copying it if need be."""
        ...

    def frame_ping(self, payload: bytes) -> bytes:
        """Frame a Ping."""
        ...

    def frame_pong(self, payload: bytes) -> bytes:
        """Frame a Pong."""
        ...

    def frame_close(self, code: int | None, reason: str) -> bytes:
        """Frame a Close; ``None`` for one without a code."""
        ...
