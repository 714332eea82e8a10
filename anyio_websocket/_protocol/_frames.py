"""The production codec: frames of RFC 6455 section 5, parsed flat.

In: received bytes; messages to send. Out: ``Received`` results; bytes to write.

Theory of operation
-------------------
``next()`` is one loop over one buffer with one offset. It makes no object for a frame:
what a header says goes into local integers, and a message that came as a single frame
goes straight from the buffer to the caller. That is nearly every message, so it is the
first thing in the loop.

Everything else is a message in pieces: fragments, or a frame that is larger than what
has been received. Its payload is moved to ``_message`` as it comes, one growing buffer
for the whole message, so pieces cost no memory of their own however small they are,
and what is left in the receive buffer is never more than a header or a control frame.

A frame is judged by its header: a length that the message may not have (1009) fails
before any of it is stored. The order of the checks is that of wsproto, which is held
against this codec by a test with arbitrary frames.
"""

from __future__ import annotations

import codecs
import os
from typing import Final

from ._codec import (
    NO_STATUS,
    POLICY,
    TOO_BIG,
    Close,
    Ping,
    Pong,
    ProtocolViolation,
    Received,
)

_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10

_PROTOCOL_ERROR: Final = 1002
_INVALID_DATA: Final = 1007

# bytes; below it one XOR of two large integers is faster than four passes of
# translate() over every fourth byte (CPython 3.11: even at about 1 KiB)
_XOR_LIMIT: Final = 1024
_XOR_TABLES: Final = [bytes(i ^ key for i in range(256)) for key in range(256)]

# Mask keys are fetched in blocks: a call for each costs more than masking a short
# message. They are random whoever sees the block, and none is used twice.
_KEYS_AT_ONCE: Final = 64

_new_decoder: Final = codecs.getincrementaldecoder("utf-8")


class FrameCodec:
    """One side's frames, strict.

    :param is_client: which side of the connection this is
    :param max_message_size: bytes of payload in one message
    :param max_fragments: fragments in one message

    """

    __slots__ = (
        "_buffer",
        "_decoder",
        "_fin",
        "_fragments",
        "_is_client",
        "_key",
        "_keys",
        "_keys_used",
        "_max_fragments",
        "_max_message_size",
        "_message",
        "_offset",
        "_opcode",
        "_remaining",
    )

    def __init__(
        self, *, is_client: bool, max_message_size: float, max_fragments: int
    ) -> None:
        self._is_client = is_client
        self._max_message_size = max_message_size
        self._max_fragments = max_fragments
        self._buffer = b""
        self._offset: int = 0  # where in the buffer the next frame, or its rest, starts
        self._opcode = 0  # of the message that came in part; 0 for none
        self._fragments = 0  # complete ones of it
        self._message: bytearray | None = None  # its payload so far
        self._decoder: codecs.IncrementalDecoder | None = None  # checks it, if text
        self._remaining: int = 0  # bytes of the current frame that are still to come
        self._fin = False  # whether the current frame is its message's last
        self._key = b""  # its mask, turned to the next byte
        self._keys = b""  # random bytes for masks of our own
        self._keys_used = 0

    # -- receiving -------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if self._offset < len(self._buffer):
            self._buffer = self._buffer[self._offset :] + data
        else:
            self._buffer = data
        self._offset = 0

    def next(self) -> Received | None:
        while True:
            if self._remaining:
                if not self._take_rest():
                    return None
                if self._fin:
                    return self._end_message()
            buffer, start = self._buffer, self._offset
            available = len(buffer) - start
            if available < 2:
                return None
            first, second = buffer[start], buffer[start + 1]
            opcode = first & 0x0F
            length = second & 0x7F
            start += 2
            if opcode > _BINARY:
                self._check_control(opcode, first, length)
            elif length > 125:
                size = 2 if length == 126 else 8
                if available < 2 + size:
                    return None
                length = int.from_bytes(buffer[start : start + size], "big")
                start += size
                self._check_extended(length, size)
            if opcode <= _BINARY:
                self._check_size(length, opcode)
            if first & 0x70:
                raise _violation("a reserved bit is set")
            if self._is_client:
                if second & 0x80:
                    raise _violation("a frame from the server is masked")
                key = b""
            else:
                if not second & 0x80:
                    raise _violation("a frame from the client is not masked")
                key = buffer[start : start + 4]
                if len(key) < 4:
                    return None
                start += 4
            whole = len(buffer) - start >= length
            if opcode > _BINARY:
                if not whole:
                    return None
                self._offset = start + length
                payload = _masked(buffer[start : self._offset], key)
                if opcode == _PING:
                    return Ping(payload)
                if opcode == _PONG:
                    return Pong(payload)
                return _parse_close(payload)
            if opcode == _CONTINUATION:
                if not self._opcode:
                    raise _violation("a continuation comes first")
            elif self._opcode:
                raise _violation("a new message starts inside of another")
            elif whole and first & 0x80:
                self._offset = start + length
                payload = _masked(buffer[start : self._offset], key)
                return payload if opcode == _BINARY else _decoded(payload)
            else:
                self._opcode = opcode
                self._message = bytearray()
                if opcode == _TEXT:
                    self._decoder = _new_decoder()
            self._offset = start
            self._remaining = length
            self._fin = first & 0x80 != 0
            self._key = key
            if not length:
                self._fragments += 1
                if self._fin:
                    return self._end_message()

    def _check_control(self, opcode: int, first: int, length: int) -> None:
        if opcode not in (_CLOSE, _PING, _PONG):
            raise _violation(f"there is no opcode {opcode}")
        if not first & 0x80:
            raise _violation("a control frame is fragmented")
        if length > 125:
            raise _violation("a control frame is longer than 125 bytes")

    def _check_extended(self, length: int, size: int) -> None:
        # RFC 6455 section 5.2: the shortest form, and no sign.
        if length < (126 if size == 2 else 65536):
            raise _violation("a length is not in its shortest form")
        if length >> 63:
            raise _violation("a length has its most significant bit set")

    def _check_size(self, length: int, opcode: int) -> None:
        message = self._message
        if opcode == _CONTINUATION and message is not None:
            length += len(message)
        if length > self._max_message_size:
            raise ProtocolViolation(
                TOO_BIG,
                f"Exceeded maximum message size: {self._max_message_size} bytes",
            )
        if self._fragments >= self._max_fragments:
            raise ProtocolViolation(
                POLICY, f"more than {self._max_fragments} fragments"
            )

    def _take_rest(self) -> bool:
        """Move what there is of the current frame; say whether that is all of it."""
        piece = self._buffer[self._offset : self._offset + self._remaining]
        if not piece:
            return False
        size = len(piece)
        self._offset += size
        self._remaining -= size
        piece = _masked(piece, self._key)
        turn = size % 4
        if turn and self._key:
            self._key = self._key[turn:] + self._key[:turn]
        assert self._message is not None
        self._message += piece
        if self._decoder is not None:
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError:
                raise _invalid_text() from None
        if self._remaining:
            return False
        self._fragments += 1
        return True

    def _end_message(self) -> str | bytes:
        message = self._message
        assert message is not None
        self._message = None
        is_text = self._decoder is not None
        self._decoder = None
        self._opcode = 0
        self._fragments = 0
        return _decoded(message) if is_text else bytes(message)

    # -- sending ---------------------------------------------------------------

    def message(self, message: str | bytes) -> bytes:
        if isinstance(message, str):
            return self._frame(0x80 | _TEXT, message.encode())
        return self._frame(0x80 | _BINARY, message)

    def ping(self, payload: bytes) -> bytes:
        return self._frame(0x80 | _PING, payload)

    def pong(self, payload: bytes) -> bytes:
        return self._frame(0x80 | _PONG, payload)

    def close(self, code: int | None, reason: str) -> bytes:
        if code is None:
            return self._frame(0x80 | _CLOSE, b"")
        return self._frame(0x80 | _CLOSE, code.to_bytes(2, "big") + reason.encode())

    def _frame(self, first: int, payload: bytes) -> bytes:
        length = len(payload)
        bit = 0x80 if self._is_client else 0
        if length < 126:
            head = bytes((first, bit | length))
        elif length < 65536:
            head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
        if not self._is_client:
            return head + payload
        key = self._new_key()
        return head + key + _masked(payload, key)

    def _new_key(self) -> bytes:
        used = self._keys_used
        if used == len(self._keys):
            self._keys = os.urandom(4 * _KEYS_AT_ONCE)
            used = 0
        self._keys_used = used + 4
        return self._keys[used : used + 4]


def _masked(data: bytes, key: bytes) -> bytes:
    """Mask or unmask (RFC 6455 section 5.3); an empty key leaves it as it is."""
    if not key:
        return data
    size = len(data)
    if size < _XOR_LIMIT:
        mask = (key * (size // 4 + 1))[:size]
        number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
        return number.to_bytes(size, "little")
    result = bytearray(size)
    for i in range(4):
        result[i::4] = data[i::4].translate(_XOR_TABLES[key[i]])
    return bytes(result)


def _decoded(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise _invalid_text() from None


def _parse_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise _violation("a Close has half a code")
    code = int.from_bytes(payload[:2], "big")
    # RFC 6455 section 7.4 and the registry at IANA, which has 1012 to 1014 since
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise _violation(f"a Close has code {code}, which none may have")
    return Close(code, _decoded(payload[2:]))


def _violation(reason: str) -> ProtocolViolation:
    return ProtocolViolation(_PROTOCOL_ERROR, reason)


def _invalid_text() -> ProtocolViolation:
    return ProtocolViolation(_INVALID_DATA, "a text is not UTF-8")
