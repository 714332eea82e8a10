"""`FrameCodec`: the frames of RFC 6455 section 5, parsed and built.

Received bytes become messages and control frames; messages to send become bytes.

Theory of operation
-------------------
``next()`` is one loop over one buffer with one offset. It makes no object per frame:
the fields of a header go into local variables, and a message that came as a single
frame goes straight from the buffer to the caller. Nearly every message is like that,
so there is a faster way for those, `take_messages`, which returns several at once.

Every other message comes in pieces: it has fragments, or a frame that is longer than
what was received so far, or it is compressed or very large. Its payload is moved to
``_message`` as it comes. That is one growing buffer for the whole message, so the
pieces take no memory of their own, however small they are, and the receive buffer
never keeps more than a header or a control frame. It is a ``BytesIO`` because CPython
hands out the memory of one as the message without a copy: joining 1 MiB takes 20 us,
where a ``bytearray`` and ``bytes`` of it take 800, most of them page faults.

A frame is judged by its header: a length that exceeds the limit of the message (1009)
fails before any of the payload is stored. A compressed message is judged by its header
too (no compressor makes data twice as long, so anything longer is padding), and again
by what it decompresses to. The checks come in wsproto's order; a test compares the two
codecs on arbitrary frames.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable
from typing import Final

from ._close import (
    INVALID_DATA,
    MESSAGE_TOO_BIG,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    parse_close,
    serialize_close,
)
from ._codec import MAX_CONTROL_PAYLOAD, Frame, Ping, Pong, ProtocolViolation, Received
from ._deflate import Deflater, Inflater
from ._kernels import frame_unmasked, make_frame, mask, take_messages
from ._kernels_py import BLOCK, MASKED, WHOLE_BINARY, WHOLE_TEXT, frame_header
from ._mask_keys import mask_keys
from ._permessage_deflate import PerMessageDeflate

_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10

_FIN: Final = 0x80
_RSV1: Final = 0x40  # RFC 7692 section 6: on a message's first frame, "compressed"
_RSV: Final = 0x70

# A compressed message may take this many times the limit of the message on the wire,
# and these bytes more: compressors that flush after every few bytes add six each time.
_EXPANSION: Final = 2
_EXPANSION_BYTES: Final = 1024

_new_decoder: Final = codecs.getincrementaldecoder("utf-8")


class FrameCodec:
    """The frames of one side of a connection, strictly checked.

    :param is_client: which side of the connection this is
    :param max_message_size: bytes of payload in one message, after decompression
    :param max_fragments: fragments in one message
    :param deflate: the negotiated parameters; ``None`` means no compression

    """

    __slots__ = (
        "_buffer",
        "_compressed",
        "_decoder",
        "_deflater",
        "_fin",
        "_fragments",
        "_inflater",
        "_key",
        "_keys",
        "_limit",
        "_mask_bit",
        "_max_fragments",
        "_max_message_size",
        "_message",
        "_offset",
        "_opcode",
        "_preallocated",
        "_remaining",
        "_size",
        "_wire_budget",
    )

    def __init__(
        self,
        *,
        is_client: bool,
        max_message_size: float,
        max_fragments: int,
        deflate: PerMessageDeflate | None = None,
    ) -> None:
        self._mask_bit = 0 if is_client else MASKED  # of received frames
        self._max_message_size = max_message_size
        self._limit = int(min(max_message_size, sys.maxsize))
        self._max_fragments = max_fragments
        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        if deflate is not None:
            self._deflater = Deflater(deflate, is_client=is_client)
            self._inflater = Inflater(deflate, is_client=is_client)
        self._keys = mask_keys() if is_client else None
        self._buffer = b""
        self._offset: int = 0  # in the buffer, up to where it was parsed
        # The message that is being received in pieces:
        self._opcode = 0  # 0 if there is no such message
        self._compressed = False
        self._message: io.BytesIO | None = None  # the payload so far
        self._size = 0  # bytes in it
        self._wire_budget: float = 0  # bytes that its further frames may have
        self._fragments = 0  # complete frames
        # Validates a text as it comes; made for the first piece that is not ASCII.
        self._decoder: codecs.IncrementalDecoder | None = None
        # The frame whose payload is being received:
        self._remaining: int = 0  # bytes still to come
        self._preallocated = False  # whether `_message` has memory for them
        self._fin = False  # whether it is the last frame of the message
        self._key = b""  # mask key, rotated to the next byte; empty if not masked

    # -- receiving -------------------------------------------------------------

    def has_more(self) -> bool:
        return self._offset < len(self._buffer)

    def feed(self, data: bytes) -> None:
        if self._offset < len(self._buffer):
            self._buffer = self._buffer[self._offset :] + data
        else:
            self._buffer = data
        self._offset = 0

    def take_messages(self, max_count: int) -> list[str | bytes]:
        if self._opcode:
            return []  # a message in pieces has to be completed first
        buffer, start = self._buffer, self._offset
        messages, end = take_messages(
            buffer, start, self._mask_bit, self._limit, max_count
        )
        if end == len(buffer):  # an idle connection keeps none of it
            self._buffer, end = b"", 0
        self._offset = end
        return messages

    def next(self) -> Received | None:
        while True:
            if self._remaining:
                if not self._read_payload():
                    self._keep_unparsed()
                    return None
                if self._fin:
                    return self._end_message()
            buffer, start = self._buffer, self._offset
            available = len(buffer) - start
            if available < 2:
                self._keep_unparsed()
                return None
            first, second = buffer[start], buffer[start + 1]
            opcode = first & 0x0F
            length = second & 0x7F
            start += 2
            if opcode > _BINARY:
                _check_control(opcode, first, length)
            else:
                if length > 125:  # an extended length follows
                    size = 2 if length == 126 else 8
                    if available < 2 + size:
                        self._keep_unparsed()
                        return None
                    length = int.from_bytes(buffer[start : start + size], "big")
                    start += size
                    _check_extended_length(length, size)
                if length > self._max_length(first):
                    raise self._too_big()
                if self._fragments >= self._max_fragments:
                    raise ProtocolViolation(
                        POLICY_VIOLATION, f"more than {self._max_fragments} fragments"
                    )
            if first & _RSV and not self._is_compressed(first):
                raise _protocol_error("a reserved bit is set")
            key = b""
            if second & MASKED != self._mask_bit:
                raise _protocol_error(
                    "a frame from the client is not masked"
                    if self._mask_bit
                    else "a frame from the server is masked"
                )
            if self._mask_bit:
                key = buffer[start : start + 4]
                if len(key) < 4:
                    self._keep_unparsed()
                    return None
                start += 4
            end = start + length
            whole = len(buffer) >= end
            if opcode > _BINARY:
                if not whole:
                    self._keep_unparsed()
                    return None
                self._offset = end
                control = buffer[start:end]
                if key:
                    control = bytes(mask(control, key))
                if opcode == _PING:
                    return Ping(control)
                if opcode == _PONG:
                    return Pong(control)
                return parse_close(control)
            if opcode == _CONTINUATION:
                if not self._opcode:
                    raise _protocol_error("there is no message to continue")
            elif self._opcode:
                raise _protocol_error("a message starts inside another message")
            elif whole and length <= BLOCK and first & ~opcode == _FIN:
                self._offset = end
                payload = mask(buffer[start:end], key) if key else buffer[start:end]
                return bytes(payload) if opcode == _BINARY else _decode_text(payload)
            else:
                self._begin_message(first)
            self._offset = start
            self._remaining = length
            self._preallocated = False
            self._wire_budget -= length
            self._fin = first & _FIN != 0
            self._key = key
            if not length:
                self._fragments += 1
                if self._fin:
                    return self._end_message()

    def _keep_unparsed(self) -> None:
        """Drop the parsed part of the buffer, because most connections are idle."""
        self._buffer = self._buffer[self._offset :]
        self._offset = 0

    def _is_compressed(self, first: int) -> bool:
        """Say whether a frame with this first byte starts a compressed message."""
        return (
            first & _RSV == _RSV1
            and first & 0x0F in (_TEXT, _BINARY)
            and self._inflater is not None
        )

    def _max_length(self, first: int) -> float:
        """Return how long the payload of a frame with this first byte may be."""
        if self._opcode and first & 0x0F == _CONTINUATION:
            return self._wire_budget
        if first & _RSV and self._is_compressed(first):
            return _EXPANSION * self._max_message_size + _EXPANSION_BYTES
        return self._max_message_size

    def _begin_message(self, first: int) -> None:
        self._wire_budget = self._max_length(first)
        self._opcode = first & 0x0F
        self._compressed = self._is_compressed(first)
        self._message = io.BytesIO()
        self._size = 0

    def _read_payload(self) -> bool:
        """Move received payload to the message; say if the frame is complete."""
        while self._remaining:
            start = self._offset
            # In blocks, so that masking and inflating take little memory.
            piece: bytes | bytearray
            piece = self._buffer[start : start + min(self._remaining, BLOCK)]
            if not piece:
                return False
            size = len(piece)
            self._offset = start + size
            self._remaining -= size
            if key := self._key:
                piece = mask(piece, key)
                shift = size % 4
                self._key = key[shift:] + key[:shift]
            if not self._compressed:
                self._store(piece)
                if not self._preallocated and BLOCK < self._remaining < 8 * self._size:
                    self._preallocate()
            else:
                assert self._inflater is not None
                budget = self._max_message_size - self._size
                for part in self._inflater.inflate(piece, budget):
                    self._store(part)
        self._fragments += 1
        return True

    def _preallocate(self) -> None:
        """Allocate the memory for a large frame, once an eighth of it was received.

        Growing in steps costs page faults at each step, 400 us for 1 MiB instead of
        20. It is not done at the header because announcing a length costs the peer
        nothing, while the memory costs us.
        """
        assert self._message is not None
        self._preallocated = True
        self._message.seek(self._remaining - 1, io.SEEK_CUR)
        self._message.write(b"\0")
        self._message.seek(self._size)

    def _store(self, part: bytes | bytearray) -> None:
        assert self._message is not None
        self._size += len(part)
        excess = self._size - self._limit
        if excess > 0:  # first validate what fits, as if it had come alone
            part = part[:-excess]
        if self._opcode == _TEXT and not (self._decoder is None and part.isascii()):
            self._decoder = self._decoder or _new_decoder()
            try:
                self._decoder.decode(part)
            except UnicodeDecodeError:
                raise _invalid_text() from None
        if excess > 0:
            raise self._too_big()
        self._message.write(part)

    def _end_message(self) -> str | bytes:
        if self._compressed:
            assert self._inflater is not None
            self._inflater.end_message()
        assert self._message is not None
        payload = self._message.getvalue()
        is_text = self._opcode == _TEXT
        self._opcode = 0
        self._message = None
        self._decoder = None
        self._fragments = 0
        return _decode_text(payload) if is_text else payload

    def _too_big(self) -> ProtocolViolation:
        # trio-websocket's text, which its users know.
        return ProtocolViolation(
            MESSAGE_TOO_BIG,
            f"Exceeded maximum message size: {self._max_message_size} bytes",
        )

    # -- sending ---------------------------------------------------------------

    def frame_message(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> bytes:
        first = WHOLE_TEXT if isinstance(message, str) else WHOLE_BINARY
        deflater = self._deflater
        if deflater is not None:
            if isinstance(message, str):
                message = message.encode()
            if len(message) >= deflater.threshold if compress is None else compress:
                compressed = deflater.compress(message)
                if compressed is not None:
                    return self._frame(first | _RSV1, compressed)
        return make_frame(first, message, next(self._keys) if self._keys else None)

    def framer(self) -> Callable[[str | bytes], bytes]:
        return self.frame_message if self._keys or self._deflater else frame_unmasked

    def frame_large(self, message: str | bytes) -> Frame:
        if self._keys is not None or self._deflater is not None:
            return self.frame_message(message)
        if isinstance(message, bytes):
            return frame_header(WHOLE_BINARY, len(message)), message
        message = message.encode()
        return frame_header(WHOLE_TEXT, len(message)), message

    def frame_ping(self, payload: bytes) -> bytes:
        return self._frame(_FIN | _PING, payload)

    def frame_pong(self, payload: bytes) -> bytes:
        return self._frame(_FIN | _PONG, payload)

    def frame_close(self, code: int | None, reason: str) -> bytes:
        return self._frame(_FIN | _CLOSE, serialize_close(code, reason))

    def _frame(self, first: int, payload: bytes) -> bytes:
        return make_frame(first, payload, next(self._keys) if self._keys else None)


def _check_control(opcode: int, first: int, length: int) -> None:
    if opcode not in (_CLOSE, _PING, _PONG):
        raise _protocol_error(f"opcode {opcode} is unknown")
    if not first & _FIN:
        raise _protocol_error("a control frame is fragmented")
    if length > MAX_CONTROL_PAYLOAD:
        raise _protocol_error("a control frame is longer than 125 bytes")


def _check_extended_length(length: int, size: int) -> None:
    # RFC 6455 section 5.2: the shortest form, and 63 bits.
    if length < (126 if size == 2 else 65536):
        raise _protocol_error("a length is not in its shortest form")
    if length >> 63:
        raise _protocol_error("a length has its most significant bit set")


def _decode_text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _invalid_text() from None


def _protocol_error(reason: str) -> ProtocolViolation:
    return ProtocolViolation(PROTOCOL_ERROR, reason)


def _invalid_text() -> ProtocolViolation:
    return ProtocolViolation(INVALID_DATA, "a text message is not UTF-8")
