"""What a frame codec is: received bytes become messages and control frames, and back.

`FrameCodec` is the one in use. `WsprotoCodec` does the same with wsproto's frames, for
connections with custom extensions, and is what the tests compare the first one with.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

# RFC 6455 section 5.5: no control frame carries more.
# Opcodes (RFC 6455 section 5.2)
CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

MAX_CONTROL_PAYLOAD: Final = 125  # bytes

# Units of work after which `Codec.next` returns, so that other tasks can run. A unit is
# one microsecond or less, up to two for what is made to be expensive: half of a frame,
# a kilobyte of payload, half a kilobyte of text. A timer of asyncio waits three turns.
TURN: Final = 1000

# Bytes of a large message that are received in one turn without waiting.
REST_AT_ONCE: Final = 2**20


class Ping(NamedTuple):
    """A Ping was received. The reply is a Pong with the same payload."""

    payload: bytes


class Pong(NamedTuple):
    """A Pong was received, which may or may not reply to a Ping."""

    payload: bytes


class Close(NamedTuple):
    """A Close was received; code 1005 means that it had no code."""

    code: int
    reason: str


class Paused(Enum):
    """Work enough for one turn was done, and there is more."""

    PAUSED = 0


Received = str | bytes | Ping | Pong | Close
# A frame, or its header and its payload apart, which saves a copy of the payload.
Frame = bytes | tuple[bytes, bytes]


class ProtocolViolation(Exception):
    """The peer broke a rule, so the connection must be failed.

    :param code: the close code to fail it with
    :param reason: the text for the Close frame: short, and without bytes of the peer's

    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Codec(Protocol):
    """What the engine needs of a frame codec.

    A codec is one side of one open connection. It joins fragments, and enforces the
    limits on size and number. It decodes lazily: bytes that were fed stay bytes until
    `next` or `take_messages` asks for what is in them.
    """

    def has_more(self) -> bool:
        """Say whether there are bytes that `next` has not looked at."""
        ...

    def feed(self, data: bytes) -> None:
        """Add received bytes."""

    def receive_rest(self, receive_into: Callable[[memoryview], int]) -> int:
        """Receive more of a large message straight to its place.

        That saves a copy of it, and the calls that many pieces take.

        :param receive_into: receives without waiting, and returns how many bytes came
        :return: how many bytes came, `REST_AT_ONCE` at most; 0 also if there is no such
            message, or no memory for it yet

        """
        ...

    def take_messages(self, max_count: int) -> list[str | bytes]:
        """Return the next messages as far as they are cheap to decode.

        Those are the messages at the front that are complete and consist of a single
        frame. An empty list does not mean that `next` would find nothing.

        :param max_count: how many messages to return at most

        """
        ...

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        """Add received bytes, and do what `take_messages` does: one call for both.

        :return: the messages, and ``False`` if there is surely nothing left

        """
        ...

    def next(self) -> Received | Paused | None:
        """Return the next message or control frame, ``None`` if more bytes are needed.

        The bytes of one read can take long to decode: a few of them decompress to a
        megabyte, or are thousands of fragments. So work is counted, not events, and
        after a `TURN` of it `Paused.PAUSED` is returned. The next call goes on.

        :raises ProtocolViolation: if the peer broke a rule; the codec must not be
            used for receiving after that

        """

    def take_part(self) -> str | bytes:
        """Remove and return what is there of the message that `next` is in.

        It can be empty. A ``str`` has no half characters. `next` then returns what
        comes after it, as if that was the message; the limits count for all of it.
        """
        ...

    def put_back(self, payload: bytes) -> None:
        """Put before the message that `next` is in what was taken of it; see above."""
        ...

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        """Frame a whole message.

        The frames must be sent in the order in which they were made, and none may be
        left out, because a compressed message refers to those before it.

        :param message: the message
        :param compress: whether to compress the message, if compression was
            negotiated; ``None`` leaves it to the threshold of the settings

        """
        ...

    def framer(self) -> Callable[[str | bytes], bytes]:
        """Return the fastest function that does what `frame_message` does."""
        ...

    def frame_large(self, message: str | bytes) -> Frame:
        """Frame a message as `frame_message` does, without a copy where possible."""
        ...

    def frame_for_many(
        self, message: str | bytes, compress: bool | None, made: dict[object, bytes]
    ) -> bytes | None:
        """Frame a message that many connections are sent, once for each kind of them.

        :param compress: see `frame_message`; ``None`` compresses without context
            takeover only, because then one frame is for many
        :param made: the frames of this message that were made for other connections
        :return: ``None`` if the frame must be made for this connection alone, by
            `frame_message`, when it can be written

        """
        ...

    def fragmenter(self, compress: bool | None) -> Callable[[str | bytes, bool], Frame]:
        """Return a function that frames one message piece by piece.

        It is called with each piece, all of them ``str`` or all of them ``bytes``, and
        whether the message ends with it. Only the last may be empty. No other message
        may be framed before that, but control frames may.

        :param compress: see `frame_message`; ``None`` goes by the first piece

        """
        ...

    def frame_ping(self, payload: bytes) -> bytes:
        """Frame a Ping."""
        ...

    def frame_pong(self, payload: bytes) -> bytes:
        """Frame a Pong."""
        ...

    def frame_close(self, code: int | None, reason: str) -> bytes:
        """Frame a Close; ``None`` makes one without a code and a reason."""
        ...
