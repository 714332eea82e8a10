"""Compressing and decompressing the payload of messages (RFC 7692 section 7.2).

Theory of operation
-------------------
Decompressing is bounded. The caller says how many more bytes the message may have, and
gets at most one more than that, in steps that fit into the buffer that zlib allocates
anyway. After each step the caller may let other tasks run. So the input comes in small
pieces, because a step may take all of it without any output: an empty block of 14 bytes
takes zlib 1.5 us.

A message is complete only if its data end where a flushed block ends. zlib does not
report that, and would accept a message that was cut short. So an empty final block is
added to a copy of the stream: it ends the stream only if it comes at the end of a
block. (The copy takes 0.2 us with a window of 12 bits. RFC 7692 section 7.2.2 has the
receiver add only four bytes, and those decompress to something at many other places
too.)

Compressing takes most of the time, so ISA-L does it if the extra ``fast`` is installed:
it takes 6 us for 1 KB of JSON and 32 us for 10 KB, where zlib takes 26 and 207, and the
result has the same size. It needs more memory: 107 KiB in the smallest configuration,
of which it uses about 65; zlib needs 43 and uses 38. (zlib-ng: 13 us, 81 us, and
160 KiB.) The higher levels of ISA-L do not compress better, so a setting above zlib's
default level uses zlib. Decompressing always uses zlib, because ISA-L cannot copy a
stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._close import INVALID_DATA, POLICY_VIOLATION
from ._codec import ProtocolViolation
from ._permessage_deflate import LEVEL, THRESHOLD, PerMessageDeflate

try:
    isal_zlib: Any = import_module("isal.isal_zlib")
except ImportError:  # the extra "fast" is not installed
    isal_zlib = None

if TYPE_CHECKING:
    # zlib does not export the type at run time.
    from zlib import _Decompress as Decompressor  # pyright: ignore[reportPrivateUsage]

_OUTPUT_STEP: Final = 32768  # bytes that zlib returns at once; the size of its buffer
# Bytes that zlib is given at once, which take it 1 ms at the most: more cost less only
# if they came in one go. zlib also returns a copy of the input that it has not used.
INPUT_STEP: Final = 8192
_FLUSH: Final = b"\x00\x00\xff\xff"  # the end of each flushed block, which is not sent
_END: Final = b"\x01\x00\x00\xff\xff"  # an empty final block
_FLUSH_AND_END: Final = _FLUSH + _END

# final blocks in one message; each needs a new stream, and can be as short as two bytes
_MAX_FINAL_BLOCKS: Final = 64

_ISAL_LEVEL: Final = 1
_ISAL_MEM_LEVEL: Final = 1


class Compressor(Protocol):
    """A compressing stream of zlib or ISA-L."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class Deflater:
    """Compresses the messages that one side sends.

    It takes memory from the first message on; without context takeover it takes none
    between messages.

    :param agreed: the negotiated parameters
    :param is_client: which side this is

    """

    __slots__ = (
        "_bits",
        "_level",
        "_mem_level",
        "_no_context_takeover",
        "_stream",
        "threshold",
    )

    def __init__(self, agreed: PerMessageDeflate, *, is_client: bool) -> None:
        if is_client:
            self._no_context_takeover = agreed.client_no_context_takeover
            self._bits = agreed.client_max_window_bits
        else:
            self._no_context_takeover = agreed.server_no_context_takeover
            self._bits = agreed.server_max_window_bits
        self._level = agreed.level
        self._mem_level = agreed.mem_level
        self._stream: Compressor | None = None
        #: bytes; shorter messages are not compressed
        self.threshold: int = (
            (THRESHOLD if self._no_context_takeover else 0)
            if agreed.threshold is None
            else agreed.threshold
        )

    @property
    def kind(self) -> tuple[int, int, int] | None:
        """Equal for those that make the same of a message.

        ``None`` with context takeover: what it makes depends on earlier messages.
        """
        if self._no_context_takeover:
            return self._bits, self._level, self._mem_level
        return None

    def compress(self, payload: bytes) -> bytes | None:
        """Return a compressed payload; ``None`` if it should be sent uncompressed.

        The result must be sent, or the peer misses a part of the window.

        :param payload: the payload of a message

        """
        if not payload:  # zlib returns nothing for it, and nothing would be shorter
            return None
        stream = self._stream
        if stream is None:
            stream = self._compressor()
        # If compressing fails half-way (out of memory), the next message starts with a
        # new stream, which any peer can decompress.
        self._stream = None
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        if self._no_context_takeover:
            return data[:-4] if len(data) - 4 < len(payload) else None
        self._stream = stream
        return data[:-4]

    def compress_piece(self, piece: bytes, *, is_last: bool) -> bytes:
        """Return a piece of a message, compressed. Together they must be sent.

        :param piece: what is not empty, unless it is the last
        :param is_last: whether the message ends with it

        """
        stream = self._stream
        if stream is None:
            stream = self._compressor()
        self._stream = None
        # Each piece ends with an empty block, of which the last one lacks four bytes.
        # If nothing follows the previous one, zlib adds none, so it is made here.
        data = b"\0" + _FLUSH
        if piece:
            data = stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH)
        if not (is_last and self._no_context_takeover):
            self._stream = stream
        return data[:-4] if is_last else data

    def _compressor(self) -> Compressor:
        if isal_zlib is not None and self._level <= LEVEL:
            stream: Compressor = isal_zlib.compressobj(
                _ISAL_LEVEL, zlib.DEFLATED, -self._bits, _ISAL_MEM_LEVEL
            )
            return stream
        return zlib.compressobj(
            self._level, zlib.DEFLATED, -self._bits, self._mem_level
        )


class Inflater:
    """Decompresses the messages that the peer sends.

    :param agreed: the negotiated parameters
    :param is_client: which side this is

    """

    __slots__ = ("_bits", "_ended", "_final_blocks", "_no_context_takeover", "_stream")

    def __init__(self, agreed: PerMessageDeflate, *, is_client: bool) -> None:
        if is_client:
            self._no_context_takeover = agreed.server_no_context_takeover
            self._bits = agreed.server_max_window_bits
        else:
            self._no_context_takeover = agreed.client_no_context_takeover
            self._bits = agreed.client_max_window_bits
        self._stream: Decompressor | None = None
        self._final_blocks = 0  # in the current message
        self._ended = False  # whether the data so far end with a final block

    def inflate_at_once(self, data: bytes, budget: float) -> tuple[bytes, bool]:
        """Decompress a message that came whole, as far as one step goes.

        :param data: the message, of at most `INPUT_STEP` bytes
        :param budget: bytes that the message may have
        :return: what the step yields, and whether that is all. If not, `inflate` goes
            on
        :raises ProtocolViolation: if it is not deflated data

        """
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._bits)
        size = _OUTPUT_STEP if budget >= _OUTPUT_STEP else int(budget) + 1
        try:
            part = stream.decompress(data, size)
        except zlib.error:
            raise _cannot_decompress() from None
        return part, len(part) < size and not (stream.eof or stream.unconsumed_tail)

    def inflate(
        self, data: bytes | bytearray, budget: float, begun: bytes | None = None
    ) -> Iterator[bytes]:
        """Decompress a piece of a message, in steps, of which some yield nothing.

        :param data: the piece, of at most `INPUT_STEP` bytes
        :param budget: bytes that the message may still have. If there are more, one
            byte more is yielded, and the caller has to stop
        :param begun: what `inflate_at_once` has returned, as the first step
        :raises ProtocolViolation: if the piece is not deflated data

        """
        stream = self._stream
        pending: bytes | bytearray = data
        while True:
            if stream is None:
                stream = self._stream = zlib.decompressobj(-self._bits)
            size = _OUTPUT_STEP if budget >= _OUTPUT_STEP else int(budget) + 1
            if begun is not None:
                part, begun = begun, None
            else:
                try:
                    part = stream.decompress(pending, size)
                except zlib.error:
                    raise _cannot_decompress() from None
            budget -= len(part)
            yield part
            if budget < 0:
                return
            self._ended = stream.eof
            if stream.eof:
                # RFC 7692 section 7.2.3.4 allows final blocks. What follows is another
                # stream, with an empty window.
                pending = stream.unused_data
                stream = self._stream = None
                self._final_blocks += 1
                if self._final_blocks > _MAX_FINAL_BLOCKS:
                    raise ProtocolViolation(POLICY_VIOLATION, "too many final blocks")
                if not pending:
                    return
                continue
            pending = stream.unconsumed_tail
            # zlib may have consumed all input and still have output to return.
            if not pending and len(part) < size:
                return

    def end_message(self) -> None:
        """Check that a message is complete.

        :raises ProtocolViolation: if it was cut short

        """
        ended = self._ended
        self._final_blocks = 0
        self._ended = False
        if ended:  # by a final block, after which the sender had nothing to flush
            return
        stream = self._stream
        if stream is None:
            raise _cannot_decompress()
        try:
            # There must be no output; the limit is 1 because 0 means no limit.
            if self._no_context_takeover:
                self._stream = None
                part = stream.decompress(_FLUSH_AND_END, 1)
            else:
                part = stream.decompress(_FLUSH, 1)
                if stream.eof:
                    self._stream = None
                else:
                    stream = stream.copy()
                    stream.decompress(_END, 1)
        except zlib.error:
            raise _cannot_decompress() from None
        # A sender may mark the flushed block as final, and nothing is used after it.
        if part or not stream.eof or stream.unused_data not in (b"", _END):
            raise _cannot_decompress()


def _cannot_decompress() -> ProtocolViolation:
    return ProtocolViolation(INVALID_DATA, "a message cannot be decompressed")
