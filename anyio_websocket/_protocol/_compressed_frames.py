"""`DeflateCodec`: compressed messages that come whole go a shorter way.

Received bytes become messages, many with one call, as uncompressed ones do.

Theory of operation
-------------------
Nearly every compressed message is short: it came in a single frame, all of it is in the
buffer, and one step of zlib decompresses it. `FrameCodec` moves it through the growing
buffer that messages in pieces need, and returns one message for each call. Here it goes
from the frame to the decompressor and to the caller, and those behind it with the same
call.

Whatever turns out to be longer, or wrong, is left to ``next()`` where it stands: with
what the first step yielded, or with the violation, which ``next()`` then raises. So the
messages before it are returned first. The work is counted as there. Once it is enough
for a turn, nothing more is taken, and ``next()`` asks for a pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ._codec import TURN, ProtocolViolation
from ._deflate import INPUT_STEP
from ._frames import EXPANSION, EXPANSION_BYTES, FrameCodec
from ._kernels import take_compressed
from ._kernels_py import COMPRESSED_TEXT
from ._undecoded import UndecodedCodec

# Units of work (see `TURN`), and bits by which a size in bytes is shifted; in sum not
# less than in `FrameCodec`.
_MESSAGE: Final = 12
_COMPRESSED_BYTES: Final = 4
_MESSAGE_BYTES: Final = 8


class DeflateCodec(FrameCodec):
    """A `FrameCodec` for connections with compression."""

    __slots__ = ()

    def has_more(self) -> bool:
        return self._offset < len(self._buffer) or self._parts is not None

    def take_messages(self, max_count: int) -> list[str | bytes]:
        if self._opcode:
            return []  # a message in pieces has to be completed first
        buffer, start = self._buffer, self._offset
        messages, end = self._take_any(buffer, start, max_count)
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
        messages, end = self._take_any(data, 0, max_count)
        has_more = end < len(data)
        self._buffer, self._offset = (data, end) if has_more else (b"", 0)
        return messages, has_more or self._opcode != 0

    def _take_any(
        self, buffer: bytes, start: int, max_count: int
    ) -> tuple[list[str | bytes], int]:
        """Take messages as `_take` does, and compressed ones as well."""
        inflater, limit, mask_bit = self._inflater, self._limit, self._mask_bit
        assert inflater is not None
        longest = min(INPUT_STEP, EXPANSION * limit + EXPANSION_BYTES)
        messages: list[str | bytes] = []
        size = len(buffer)
        while start < size and len(messages) < max_count and self._work < TURN:
            frame = take_compressed(buffer, start, mask_bit, longest)
            if frame is None:
                count = max_count - len(messages)
                others, start = self._take(buffer, start, mask_bit, limit, count)
                if not others:
                    break
                messages += others
                continue
            first, payload, start = frame
            rest: Iterator[bytes] | None = None
            try:
                part, is_all = inflater.inflate_at_once(payload, limit)
                self._work += (
                    _MESSAGE
                    + (len(payload) >> _COMPRESSED_BYTES)
                    + (len(part) >> _MESSAGE_BYTES)
                )
                if is_all:
                    message = self._text(part) if first == COMPRESSED_TEXT else part
                    inflater.end_message()
                    messages.append(message)
                    continue
                rest = inflater.inflate(payload, self._max_message_size, part)
            except ProtocolViolation as violation:
                rest = _raising(violation)
            self._begin_message(first)
            self._fin = self._unfinished = True
            self._key = b""
            self._parts = rest
            break
        return messages, start


class UndecodedDeflateCodec(DeflateCodec, UndecodedCodec):
    """A `DeflateCodec` that returns texts as bytes."""

    __slots__ = ()


def _raising(violation: ProtocolViolation) -> Iterator[bytes]:
    yield b""
    raise violation
