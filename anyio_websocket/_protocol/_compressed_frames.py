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

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        messages, has_more = super().take_received(data, max_count)
        return messages, has_more or self._opcode != 0  # `_take` may begin one

    def _take(
        self, buffer: bytes, start: int, mask_bit: int, limit: int, max_count: int
    ) -> tuple[list[str | bytes], int]:
        """Take messages as the other codecs do, and compressed ones as well."""
        inflater = self._inflater
        assert inflater is not None
        longest = min(INPUT_STEP, EXPANSION * limit + EXPANSION_BYTES)
        messages: list[str | bytes] = []
        size = len(buffer)
        while start < size and len(messages) < max_count and self._work < TURN:
            frame = take_compressed(buffer, start, mask_bit, longest)
            if frame is None:
                count = max_count - len(messages)
                others, start = super()._take(buffer, start, mask_bit, limit, count)
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
