"""One open connection without I/O: what the peer said, and what may still be said.

In: received bytes; what the application wants sent. Out: events; bytes to write.

Theory of operation
-------------------
A codec knows frames; the engine knows the conversation. It has three facts, each of
them set once: which Close was received, which Close was sent, and whether the peer
broke the protocol. Everything else follows from them:

* After the peer's Close or its mistake nothing is parsed any more. RFC 6455 section
  1.4 says that what comes after a Close is discarded, and section 7.1.7 that a failed
  connection must not process data.
* After our Close nothing is sent any more (section 5.5.1), so a Ping that arrives
  then is not answered.
* A received Close is answered once, with its own code (section 5.5.1), unless ours
  went out first.

Decoding is pulled, one event at a time, so that no more messages exist as objects
than somebody has room for; the rest waits as bytes in the codec.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from ._codec import NO_STATUS, Close, Codec, Frame, Ping, Pong, ProtocolViolation
from ._extensions import Extensions
from ._frames import FrameCodec

# Fragments per message. Autobahn sends 65 536; joined as they come, none costs memory
# of its own, so this only bounds the CPU that one message can burn.
MAX_FRAGMENTS: Final = 131_072

# RFC 6455 section 5.5: no control frame carries more.
MAX_CONTROL_PAYLOAD: Final = 125  # bytes
MAX_CLOSE_REASON: Final = MAX_CONTROL_PAYLOAD - 2  # bytes; the code takes two

# Codes that stand for something that no frame says (section 7.4.1). Applications do
# pass them to aclose(), for which trio-websocket sends 1000.
_NEVER_SENT: Final = frozenset({1005, 1006, 1015})


# characters or bytes; to copy a message of this size costs more in page faults than in
# copying: a server's echo of 1 MiB takes 1290 us with it and 630 without
NO_COPY_SIZE: Final = 131_072


class Failure(NamedTuple):
    """The peer broke the protocol; nothing that it sends counts any more."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close | Failure


class Engine:
    """The conversation over one open connection.

    :param codec: the frames of this side of the connection

    """

    __slots__ = (
        "_codec",
        "close_received",
        "close_sent",
        "failed",
        "frame_message",
        "take_messages",
    )

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        # These two are the codec's own, for a call less in each message; not more of
        # them, as each takes memory in every connection.
        #: returns the next messages that are easy to get, as many as are asked for at
        #: the most; none does not mean that there is no event
        self.take_messages: Callable[[int], list[str | bytes]] = codec.take_messages
        #: frames a message, which must be written before the next one
        self.frame_message: Callable[[str | bytes], bytes] = codec.framer()
        #: the peer's Close, once it came
        self.close_received: Close | None = None
        #: our Close, once it was framed
        self.close_sent: Close | None = None
        #: whether the peer broke the protocol
        self.failed: bool = False

    def frame_large(self, message: str | bytes) -> Frame:
        """Frame a message of ``LARGE`` or more, as `message` does."""
        return self._codec.frame_large(message)

    def framer(self, compress: bool) -> Callable[[str | bytes], bytes]:
        """Return what frames a message, compressed or not, where that was agreed on."""
        return partial(self._codec.frame_message, compress=compress)

    def receive_data(self, data: bytes) -> None:
        """Take received bytes; they count for nothing once the peer has closed."""
        if self.close_received is None and not self.failed:
            self._codec.feed(data)

    def has_more(self) -> bool:
        """Say whether there may be another event in what was received."""
        return self._codec.has_more()

    def next_event(self) -> Event | None:
        """Return the next thing the peer said, ``None`` if more bytes are needed."""
        if self.close_received is not None or self.failed:
            return None
        try:
            event = self._codec.next()
        except ProtocolViolation as violation:
            self.failed = True
            self.take_messages = _no_messages
            return Failure(violation.code, violation.reason)
        if event.__class__ is Close:
            assert isinstance(event, Close)
            self.close_received = event
            self.take_messages = _no_messages
        return event

    def frame_ping(self, payload: bytes) -> bytes:
        """Frame a Ping."""
        return self._codec.frame_ping(payload)

    def frame_pong(self, payload: bytes) -> bytes:
        """Frame a Pong, or nothing if our Close is out."""
        if self.close_sent is not None:
            return b""
        return self._codec.frame_pong(payload)

    def frame_close(self, code: int, reason: str) -> bytes:
        """Frame our Close, or nothing if it is out already."""
        if self.close_sent is not None:
            return b""
        self.close_sent = Close(code, reason)
        return self._codec.frame_close(None if code == NO_STATUS else code, reason)


def _no_messages(most: int) -> list[str | bytes]:
    """Stand in for the codec once nothing of the peer's counts any more."""
    return []


def open_engine(
    extensions: Extensions,
    *,
    is_client: bool,
    max_message_size: float,
    trailing: bytes = b"",
) -> Engine:
    """Make the engine of a connection whose handshake is done.

    :param extensions: what was agreed on
    :param is_client: which side this is
    :param max_message_size: bytes of payload in one received message
    :param trailing: what came right behind the peer's part of the handshake

    """
    codec: Codec
    if extensions.custom:
        # Imported here: few bring extensions of their own, and wsproto's frames take
        # a tenth of the package's import time.
        from ._wsproto import WsprotoCodec

        codec = WsprotoCodec(
            is_client=is_client,
            max_message_size=max_message_size,
            max_fragments=MAX_FRAGMENTS,
            extensions=extensions.custom,
        )
    else:
        codec = FrameCodec(
            is_client=is_client,
            max_message_size=max_message_size,
            max_fragments=MAX_FRAGMENTS,
            deflate=extensions.deflate,
        )
    engine = Engine(codec)
    if trailing:
        engine.receive_data(trailing)
    return engine


def close_code_to_send(code: object) -> int:
    """Check a close code that an application chose.

    :param code: the code
    :raises TypeError: if it is no int
    :raises ValueError: if it may not be sent (RFC 6455 section 7.4)

    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"the close code must be an int, not {code!r}")
    if code in _NEVER_SENT:
        return 1000
    if 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999:
        return int(code)
    raise ValueError(
        f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999"
    )


def close_reason_to_send(reason: object) -> str:
    """Check the text beside a close code; cut it where a Close frame ends.

    :param reason: the text, or ``None`` for none
    :raises TypeError: if it is neither
    :raises ValueError: if it has no UTF-8 form (a lone surrogate)

    """
    if reason is None:
        return ""
    if not isinstance(reason, str):
        raise TypeError(f"the close reason must be a str or None, not {reason!r}")
    encoded = reason.encode()  # UnicodeEncodeError is a ValueError
    if len(encoded) <= MAX_CLOSE_REASON:
        return reason
    return encoded[:MAX_CLOSE_REASON].decode(errors="ignore")
