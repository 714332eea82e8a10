"""The reference codec: wsproto's frames, with the limits that it leaves to us.

In: received bytes; messages to send. Out: ``Received`` results; bytes to write.
"""

from __future__ import annotations

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

from ._codec import (
    POLICY,
    TOO_BIG,
    Close,
    Frame,
    Ping,
    Pong,
    ProtocolViolation,
    Received,
)


class WsprotoCodec:
    """The reference codec: wsproto's frames, with the limits that it leaves to us.

    :param is_client: which side of the connection this is
    :param max_message_size: bytes of payload in one message, after extensions
    :param max_fragments: fragments in one message
    :param extensions: negotiated wsproto extensions

    """

    def __init__(
        self,
        *,
        is_client: bool,
        max_message_size: float,
        max_fragments: int,
        extensions: Sequence[Extension] = (),
    ) -> None:
        guard = _Guard(
            # What an extension makes of a payload can be larger or smaller than the
            # payload, so the announced length decides only where there is none.
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
        self._fed = False  # since there was no event left
        self._text: list[str] = []
        self._binary = bytearray()

    def has_more(self) -> bool:
        return self._fed

    def feed(self, data: bytes) -> None:
        self._fed = True
        self._connection.receive_data(data)

    def take_messages(self, most: int) -> list[str | bytes]:
        return []  # no way is shorter than next()

    def next(self) -> Received | None:
        if self._events is None:
            self._events = self._connection.events()
        for event in self._events:
            result = self._result(event)
            if result is not None:
                return result
        self._events = None
        self._fed = False
        return None

    def _result(self, event: Event) -> Received | None:
        if isinstance(event, TextMessage):
            self._grow(
                len(event.data) if event.data.isascii() else len(event.data.encode())
            )
            self._text.append(event.data)
            if not event.message_finished:
                return None
            text = "".join(self._text)
            self._text.clear()
            self._guard.assembled = 0
            return text
        if isinstance(event, BytesMessage):
            self._grow(len(event.data))
            self._binary += event.data
            if not event.message_finished:
                return None
            binary = bytes(self._binary)
            self._binary.clear()
            self._guard.assembled = 0
            return binary
        if isinstance(event, PingEvent):
            return Ping(bytes(event.payload))
        if isinstance(event, PongEvent):
            return Pong(bytes(event.payload))
        assert isinstance(event, CloseConnection)
        if self._connection.state in (ConnectionState.OPEN, _LOCAL_CLOSING):
            # wsproto reports its parser's errors as if the peer had sent a Close,
            # but only a real one moves its state.
            if event.code == TOO_BIG:
                raise self._too_big()
            if event.code == POLICY:
                raise ProtocolViolation(
                    POLICY, f"more than {self._guard.max_fragments} fragments"
                )
            raise ProtocolViolation(int(event.code), event.reason or "")
        return Close(int(event.code), event.reason or "")

    def _grow(self, size: int) -> None:
        self._guard.assembled += size
        if self._guard.assembled > self._max_message_size:
            raise self._too_big()

    def _too_big(self) -> ProtocolViolation:
        # trio-websocket's words, which its users know.
        return ProtocolViolation(
            TOO_BIG, f"Exceeded maximum message size: {self._max_message_size} bytes"
        )

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        # Whether to compress is for the extensions to say.
        if isinstance(message, str):
            return bytes(self._connection.send(TextMessage(data=message)))
        return bytes(self._connection.send(BytesMessage(data=message)))

    def framer(self) -> Callable[[str | bytes], bytes]:
        return self.frame_message

    def frame_large(self, message: str | bytes) -> Frame:
        return self.frame_message(message)

    def frame_ping(self, payload: bytes) -> bytes:
        return bytes(self._connection.send(PingEvent(payload=payload)))

    def frame_pong(self, payload: bytes) -> bytes:
        return bytes(self._connection.send(PongEvent(payload=payload)))

    def frame_close(self, code: int | None, reason: str) -> bytes:
        # wsproto takes its own 1005 to mean a Close without a code.
        event = CloseConnection(
            code=CloseReason.NO_STATUS_RCVD if code is None else code,
            reason=reason if code is not None else None,
        )
        return bytes(self._connection.send(event))


_LOCAL_CLOSING: Final = ConnectionState.LOCAL_CLOSING


class _Guard(Extension):
    """Sees each frame's header before its payload, and refuses what is too much.

    wsproto has no limit of its own and hands payloads on as they trickle in; the
    announced length is known only to extensions.
    """

    name = "limits"

    def __init__(self, max_message_size: float, max_fragments: int) -> None:
        self.max_message_size = max_message_size
        self.max_fragments = max_fragments
        self.assembled = 0  # bytes of the current message that are decoded
        self._fragments = 0  # complete ones of the current message
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
        # Called again for the same frame while its mask key is incomplete, so only
        # the end of a frame counts it.
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
