"""`WsprotoCodec`: wsproto's frames behind our interface, for custom extensions.

Only `open_engine` imports this module, and only for a connection with extensions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Sequence
from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage
from wsproto.events import Ping as PingEvent
from wsproto.events import Pong as PongEvent
from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    RsvBits,
)

from ._close import MESSAGE_TOO_BIG, POLICY_VIOLATION, message_too_big
from ._codec import TURN, Close, Frame, Paused, Ping, Pong, ProtocolViolation, Received

# Units of work, see `TURN`.
_EVENT: Final = 50  # a frame, or what came of one
_BYTES: Final = 7  # bits by which a size is shifted


class WsprotoCodec:
    """wsproto's frames, with the limits on size and number that wsproto does not have.

    The tests compare `FrameCodec` with it.

    :param is_client: which side of the connection this is
    :param max_message_size: bytes of payload in one message, decoded by the extensions
    :param max_fragments: fragments in one message
    :param extensions: the negotiated extensions
    :param decode_text: whether a text is returned as ``str``, or as bytes

    """

    def __init__(
        self,
        *,
        is_client: bool,
        max_message_size: float,
        max_fragments: int,
        extensions: Sequence[Extension] = (),
        decode_text: bool = True,
    ) -> None:
        self._decode_text = decode_text
        guard = _Guard(
            # An extension can make a payload longer or shorter, so the length in the
            # header counts only if there is no extension.
            max_message_size if not extensions else float("inf"),
            max_fragments,
        )
        self._guard = guard
        self._max_message_size = max_message_size
        self._connection = Connection(
            ConnectionType.CLIENT if is_client else ConnectionType.SERVER,
            [guard, *extensions],
        )
        self._events: Generator[Event, None, None] | None = None
        self._fed = False  # whether bytes came since the last event
        self._work = 0  # units since `PAUSED` was returned
        # The pieces of a message, joined as they come. Those of a text are encoded
        # again: as objects, pieces of one byte take 50 times their size.
        self._pieces = io.BytesIO()
        self._is_in_message = False
        self._is_text = False  # whether that message is one, and returned as str

    def has_more(self) -> bool:
        return self._fed

    def feed(self, data: bytes) -> None:
        self._fed = True
        self._connection.receive_data(data)

    def receive_rest(self, receive_into: Callable[[memoryview], int]) -> int:
        return 0  # wsproto makes an object of each piece

    def take_messages(self, max_count: int) -> list[str | bytes]:
        return []  # there is no faster way than next()

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        self.feed(data)
        return [], True

    def next(self) -> Received | Paused | None:
        if self._events is None:
            self._events = self._connection.events()
        while self._work < TURN:
            event = next(self._events, None)
            if event is None:
                self._events = None
                self._fed = False
                return None
            self._work += _EVENT
            result = self._result(event)
            if result is not None:
                return result
        self._work = 0
        return Paused.PAUSED

    def _result(self, event: Event) -> Received | None:
        if isinstance(event, TextMessage | BytesMessage):
            return self._join(event)
        if isinstance(event, PingEvent):
            return Ping(bytes(event.payload))
        if isinstance(event, PongEvent):
            return Pong(bytes(event.payload))
        assert isinstance(event, CloseConnection)
        if self._connection.state in (ConnectionState.OPEN, _LOCAL_CLOSING):
            # wsproto reports its parser's errors as if the peer had sent a Close, but
            # only a real Close changes its state.
            if event.code == MESSAGE_TOO_BIG:
                raise message_too_big(self._max_message_size)
            if event.code == POLICY_VIOLATION:
                raise ProtocolViolation(
                    POLICY_VIOLATION, f"more than {self._guard.max_fragments} fragments"
                )
            raise ProtocolViolation(int(event.code), event.reason or "")
        return Close(int(event.code), event.reason or "")

    def _join(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        data = event.data.encode() if isinstance(event, TextMessage) else event.data
        self._work += len(data) >> _BYTES
        is_whole = event.message_finished and not self._is_in_message
        self._is_in_message = not event.message_finished
        self._is_text = isinstance(event, TextMessage) and self._decode_text
        self._guard.assembled += len(data)
        if self._guard.assembled > self._max_message_size:
            raise message_too_big(self._max_message_size)
        if is_whole:
            self._guard.assembled = 0
            if isinstance(event, TextMessage) and self._is_text:
                return event.data
            return bytes(data)
        self._pieces.write(data)
        if not event.message_finished:
            return None
        message = self._pieces.getvalue()
        self._pieces = io.BytesIO()
        self._guard.assembled = 0
        return message.decode() if self._is_text else message

    def take_part(self) -> str | bytes:
        part, self._pieces = self._pieces.getvalue(), io.BytesIO()
        return part.decode() if self._is_text else part

    def put_back(self, payload: bytes) -> None:
        payload += self._pieces.getvalue()
        self._pieces = io.BytesIO()
        self._pieces.write(payload)

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        # The extensions decide whether to compress.
        if isinstance(message, str):
            return bytes(self._connection.send(TextMessage(data=message)))
        return bytes(self._connection.send(BytesMessage(data=message)))

    def framer(self) -> Callable[[str | bytes], bytes]:
        return self.frame_message

    def frame_large(self, message: str | bytes) -> Frame:
        return self.frame_message(message)

    def frame_for_many(
        self, message: str | bytes, compress: bool | None, made: dict[object, bytes]
    ) -> bytes | None:
        return None  # nobody knows what the extensions do

    def fragmenter(self, compress: bool | None) -> Callable[[str | bytes, bool], Frame]:
        def frame(piece: str | bytes, is_last: bool) -> Frame:
            event: TextMessage | BytesMessage
            if isinstance(piece, str):
                event = TextMessage(data=piece, message_finished=is_last)
            else:
                event = BytesMessage(data=piece, message_finished=is_last)
            return bytes(self._connection.send(event))

        return frame

    def frame_ping(self, payload: bytes) -> bytes:
        return bytes(self._connection.send(PingEvent(payload=payload)))

    def frame_pong(self, payload: bytes) -> bytes:
        return bytes(self._connection.send(PongEvent(payload=payload)))

    def frame_close(self, code: int | None, reason: str) -> bytes:
        # wsproto frames a Close without a code if the code is 1005.
        event = CloseConnection(
            code=CloseReason.NO_STATUS_RCVD if code is None else code,
            reason=reason if code is not None else None,
        )
        return bytes(self._connection.send(event))


_LOCAL_CLOSING: Final = ConnectionState.LOCAL_CLOSING


class _Guard(Extension):
    """Enforces the limits at the header of each frame, before its payload.

    wsproto has no limits and reports payloads as they trickle in. Only an extension is
    told the length in the header, so this is one.
    """

    name = "limits"

    def __init__(self, max_message_size: float, max_fragments: int) -> None:
        self.max_message_size = max_message_size
        self.max_fragments = max_fragments
        self.assembled = 0  # decoded bytes of the current message
        self._fragments = 0  # complete fragments of the current message
        self._control = False  # whether the current frame is a control frame

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool | str:  # pragma: no cover - for wsproto's own handshake
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        # wsproto calls this again for the same frame while the mask key is incomplete,
        # so frames are counted where they end.
        self._control = opcode.iscontrol()
        if not self._control:
            size = payload_length
            if opcode is Opcode.CONTINUATION:
                size += self.assembled
            if size > self.max_message_size:
                return CloseReason.MESSAGE_TOO_BIG
            if self._fragments >= self.max_fragments:
                return CloseReason.POLICY_VIOLATION
        return RsvBits(False, False, False)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> None:
        if not self._control:
            self._fragments = 0 if fin else self._fragments + 1
