"""`FrameCodec`: parses the frames of RFC 6455 section 5. It inherits building them.

Received bytes become messages and control frames.

Theory of operation
-------------------
``next()`` is one loop over one buffer with one offset. It makes no object per frame:
the fields of a header go into local variables, and a message that came as a single
frame goes straight from the buffer to the caller. Nearly every message is like that,
so there is a faster way for those, `take_messages`, which returns several at once.

Every other message comes in pieces: it has fragments, or a frame that is longer than
what was received so far, or it is compressed or very large. Its payload is moved to
``_message`` as it comes. That is one growing buffer for the whole message
(``_message_memory``), so the pieces take no memory of their own, however small they
are. Once ``next()`` has returned ``None``, the receive buffer keeps no more than a part
of a header or of a control frame.

A frame is judged by its header: a length that exceeds the limit of the message (1009)
fails before any of the payload is stored. A compressed message is judged by its header
too (no compressor makes data twice as long, so anything longer is padding), and again
by what it decompresses to. The checks come in wsproto's order; a test compares the two
codecs on arbitrary frames.

``next()`` counts what it does, in units of about a microsecond, and returns `PAUSED`
after a `TURN` of them, wherever it is: between two fragments, two pieces of a payload,
or two steps of decompressing one. A clock would not tell more: nothing here waits, and
what it does would depend on how busy the machine is. The last step of a message cannot
be divided, as CPython decodes a text at once; it is a turn by itself.
"""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Iterator
from typing import Final

from ._close import POLICY_VIOLATION, message_too_big, parse_close
from ._codec import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    REST_AT_ONCE,
    TEXT,
    TURN,
    Paused,
    Ping,
    Pong,
    ProtocolViolation,
    Received,
)
from ._deflate import INPUT_STEP, Inflater
from ._frame_checks import (
    check_control,
    check_extended_length,
    decode_text,
    invalid_text,
    protocol_error,
)
from ._kernels import mask, take_messages
from ._kernels_py import BLOCK, MASKED
from ._kernels_py import mask as mask_in_python
from ._message_memory import allocate, receive_piece, room, store
from ._permessage_deflate import PerMessageDeflate
from ._unfinished_message import UnfinishedMessage

_FIN: Final = 0x80
_RSV1: Final = 0x40  # RFC 7692 section 6: on a message's first frame, "compressed"
_RSV: Final = 0x70

# A compressed message may take this many times the limit of the message on the wire,
# and these bytes more: compressors that flush after every few bytes add six each time.
EXPANSION: Final = 2
EXPANSION_BYTES: Final = 1024

# Units of work (see `TURN`).
_FRAME: Final = 2
_INFLATING: Final = 5  # a step of zlib, or the end of a compressed message
# Bits by which a size in bytes is shifted. Unmasking a byte takes 2 ns in Python, and
# 0.1 in C; decompressing it up to 2, and checking or decoding UTF-8 as well.
_BYTES: Final = 10 if mask is mask_in_python else 13
_INFLATED_BYTES: Final = 10
_UTF8_BYTES: Final = 9
# An empty block of 14 bytes takes zlib 1.5 us, which is 100 ns a byte.
_COMPRESSED_BYTES: Final = 4

# bytes; memory for more is not touched before it is needed, as 64 MiB take 40 ms
_MAX_PREALLOCATED: Final = 2**22

_new_decoder: Final = codecs.getincrementaldecoder("utf-8")


class FrameCodec(UnfinishedMessage):
    """The frames of one side of a connection, strictly checked.

    :param is_client: which side of the connection this is
    :param max_message_size: bytes of payload in one message, after decompression
    :param max_fragments: fragments in one message
    :param deflate: the negotiated parameters; ``None`` means no compression

    """

    _take = staticmethod(take_messages)
    __slots__ = (
        "_buffer",
        "_compressed",
        "_fin",
        "_fragments",
        "_inflater",
        "_key",
        "_limit",
        "_mask_bit",
        "_max_fragments",
        "_max_message_size",
        "_offset",
        "_parts",
        "_preallocated",
        "_remaining",
        "_size",
        "_unfinished",
        "_wire_budget",
        "_work",
    )

    def __init__(
        self,
        *,
        is_client: bool,
        max_message_size: float,
        max_fragments: int,
        deflate: PerMessageDeflate | None = None,
    ) -> None:
        super().__init__(is_client=is_client, deflate=deflate)
        self._mask_bit = 0 if is_client else MASKED  # of received frames
        self._max_message_size = max_message_size
        self._limit = int(min(max_message_size, sys.maxsize))
        self._max_fragments = max_fragments
        self._inflater: Inflater | None = None
        if deflate is not None:
            self._inflater = Inflater(deflate, is_client=is_client)
        self._buffer = b""
        self._offset: int = 0  # in the buffer, up to where it was parsed
        self._work = 0  # units since `PAUSED` was returned
        # What else is known of the message that is being received in pieces:
        self._compressed = False
        self._size = 0  # bytes of the payload so far
        self._wire_budget: float = 0  # bytes that its further frames may have
        self._fragments = 0  # complete frames
        # The frame whose payload is being received:
        self._unfinished = False  # whether there is one
        self._parts: Iterator[bytes] | None = None  # what a piece decompresses to
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

    def receive_rest(self, receive_into: Callable[[memoryview], int]) -> int:
        if (
            not self._preallocated
            or self._remaining < BLOCK
            or self._opcode != BINARY  # a text is checked piece by piece
            or self.has_more()
        ):
            return 0
        message, key = self._message, self._key
        assert message is not None
        most = min(self._remaining, REST_AT_ONCE, room(message))
        self._preallocated = most >= BLOCK
        received = 0
        while received < most:
            # A piece is masked while the processor's cache has it.
            asked = min(most - received, BLOCK) if key else most
            size = receive_piece(message, asked, self._key, receive_into)
            self._add_piece(size)
            self._size += size
            received += size
            if size < asked:
                break
        return received

    def take_messages(self, max_count: int) -> list[str | bytes]:
        if self._opcode:
            return []  # a message in pieces has to be completed first
        buffer, start = self._buffer, self._offset
        messages, end = self._take(
            buffer, start, self._mask_bit, self._limit, max_count
        )
        if end == len(buffer):  # an idle connection keeps none of it
            self._buffer, end = b"", 0
        self._offset = end
        return messages

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        if self._opcode or self._offset < len(self._buffer):
            self.feed(data)
            return self.take_messages(max_count), True
        messages, end = self._take(data, 0, self._mask_bit, self._limit, max_count)
        has_more = end < len(data)
        self._buffer, self._offset = (data, end) if has_more else (b"", 0)
        return messages, has_more

    def next(self) -> Received | Paused | None:
        while True:
            if self._work >= TURN:
                self._work = 0
                return Paused.PAUSED
            if self._unfinished:
                if self._parts is not None:
                    self._store_parts(self._parts)
                elif self._remaining and not self._read_piece():
                    self._keep_unparsed()
                    return None
                if self._remaining or self._parts is not None:
                    continue
                if self._fin:
                    work = self._work + self._work_at_end()
                    if work <= TURN or not self._work:
                        self._work = work
                        return self._end_message()
                    self._work = TURN  # the end of the message is a turn by itself
                    continue
                self._unfinished = False
                self._fragments += 1
            buffer, start = self._buffer, self._offset
            available = len(buffer) - start
            if available < 2:
                self._keep_unparsed()
                return None
            first, second = buffer[start], buffer[start + 1]
            opcode = first & 0x0F
            length = second & 0x7F
            start += 2
            if opcode > BINARY:
                check_control(opcode, first, length)
            else:
                if length > 125:  # an extended length follows
                    size = 2 if length == 126 else 8
                    if available < 2 + size:
                        self._keep_unparsed()
                        return None
                    length = int.from_bytes(buffer[start : start + size], "big")
                    start += size
                    check_extended_length(length, size)
                if length > self._max_length(first):
                    raise message_too_big(self._max_message_size)
                if self._fragments >= self._max_fragments:
                    raise ProtocolViolation(
                        POLICY_VIOLATION, f"more than {self._max_fragments} fragments"
                    )
            if first & _RSV and not self._is_compressed(first):
                raise protocol_error("a reserved bit is set")
            key = b""
            if second & MASKED != self._mask_bit:
                raise protocol_error(
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
            self._work += _FRAME
            if opcode > BINARY:
                if not whole:
                    self._keep_unparsed()
                    return None
                self._offset = end
                control = buffer[start:end]
                if key:
                    control = bytes(mask(control, key))
                if opcode == PING:
                    return Ping(control)
                if opcode == PONG:
                    return Pong(control)
                return parse_close(control)
            if opcode == CONTINUATION:
                if not self._opcode:
                    raise protocol_error("there is no message to continue")
            elif self._opcode:
                raise protocol_error("a message starts inside another message")
            elif whole and length <= BLOCK and first & ~opcode == _FIN:
                self._offset = end
                self._work += length >> _BYTES
                payload = mask(buffer[start:end], key) if key else buffer[start:end]
                return bytes(payload) if opcode == BINARY else self._text(payload)
            else:
                self._begin_message(first)
            self._offset = start
            self._remaining = length
            self._preallocated = False
            self._wire_budget -= length
            self._fin = first & _FIN != 0
            self._key = key
            self._unfinished = True

    def _keep_unparsed(self) -> None:
        """Drop the parsed part of the buffer, because most connections are idle."""
        self._buffer = self._buffer[self._offset :]
        self._offset = 0

    def _is_compressed(self, first: int) -> bool:
        """Say whether a frame with this first byte starts a compressed message."""
        return (
            first & _RSV == _RSV1
            and first & 0x0F in (TEXT, BINARY)
            and self._inflater is not None
        )

    def _max_length(self, first: int) -> float:
        """Return how long the payload of a frame with this first byte may be."""
        if self._opcode and first & 0x0F == CONTINUATION:
            return self._wire_budget
        if first & _RSV and self._is_compressed(first):
            return EXPANSION * self._max_message_size + EXPANSION_BYTES
        return self._max_message_size

    def _begin_message(self, first: int) -> None:
        self._wire_budget = self._max_length(first)
        self._opcode = first & 0x0F
        self._compressed = self._is_compressed(first)
        self._message = io.BytesIO()
        self._size = 0

    def _read_piece(self) -> bool:
        """Move a piece of payload to the message; say if there was one."""
        buffer, start = self._buffer, self._offset
        # In pieces, so that masking and inflating take little memory.
        size = INPUT_STEP if self._compressed else BLOCK
        size = min(self._remaining, size, len(buffer) - start)
        if not size:
            return False
        self._offset = start + size
        key = self._key
        self._add_piece(size)
        assert self._message is not None
        if self._opcode == BINARY and not self._compressed:
            self._size += size  # the header's length was checked
            self._make_room(self._message, size)
            store(self._message, buffer, start, size, key)
        else:
            raw = buffer[start : start + size]
            piece = mask(raw, key) if key else raw
            if self._compressed:
                assert self._inflater is not None
                self._work += size >> _COMPRESSED_BYTES
                budget = self._max_message_size - self._size
                self._parts = self._inflater.inflate(piece, budget)
                return True
            self._store(piece)
            self._make_room(self._message, 0)
        return True

    def _add_piece(self, size: int) -> None:
        """Count a piece of the frame, and rotate the mask key to what follows it."""
        self._remaining -= size
        self._work += size >> _BYTES
        if key := self._key:
            shift = size % 4
            self._key = key[shift:] + key[:shift]

    def _make_room(self, message: io.BytesIO, size: int) -> None:
        """Allocate memory for a large frame, once an eighth of it was received.

        Not at the header: announcing a length costs the peer nothing.

        :param size: bytes of a piece that is not in the message yet
        """
        received = self._size + len(self._buffer) - self._offset
        if not self._preallocated and BLOCK < self._remaining < 8 * received:
            self._preallocated = True
            allocate(message, size + min(self._remaining, _MAX_PREALLOCATED))

    def _store_parts(self, parts: Iterator[bytes]) -> None:
        """Decompress a piece until it ends, or enough work was done."""
        for part in parts:
            self._work += _INFLATING + (len(part) >> _INFLATED_BYTES)
            if part:
                self._store(part)
            if self._work >= TURN:
                return
        self._parts = None

    def _store(self, part: bytes | bytearray) -> None:
        assert self._message is not None
        self._size += len(part)
        excess = self._size - self._limit
        if excess > 0:  # first validate what fits, as if it had come alone
            part = part[:-excess]
        if self._opcode == TEXT and not (self._decoder is None and part.isascii()):
            self._decoder = self._decoder or _new_decoder()
            self._work += len(part) >> _UTF8_BYTES
            try:
                self._decoder.decode(part)
            except UnicodeDecodeError:
                raise invalid_text() from None
        if excess > 0:
            raise message_too_big(self._max_message_size)
        self._message.write(part)

    def _work_at_end(self) -> int:
        """Return the work of `_end_message`, which cannot be divided."""
        return _INFLATING + (
            self._size >> _UTF8_BYTES if self._decoder is not None else 0
        )

    def _end_message(self) -> str | bytes:
        if self._compressed:
            assert self._inflater is not None
            self._inflater.end_message()
        assert self._message is not None
        payload = self._message.getvalue()
        message = payload if self._opcode == BINARY else self._long_text(payload)
        self._opcode = 0
        self._message = None
        self._decoder = None
        self._fragments = 0
        self._unfinished = False
        return message

    # -- what `UndecodedCodec` does in another way -----------------------------

    def _text(self, payload: bytes | bytearray) -> str | bytes:
        """Return the text that came in a single frame."""
        return decode_text(payload)

    def _long_text(self, payload: bytes) -> str | bytes:
        """Return the text whose pieces were joined; the decoder has seen them."""
        return decode_text(payload)
