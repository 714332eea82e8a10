"""The messages of permessage-deflate, compressed and back (RFC 7692 section 7.2).

In: payloads. Out: payloads.

Theory of operation
-------------------
Inflating is bounded: the caller says how many bytes it has room for, and gets at most
one more, in steps that fit into the memory that it has anyway. zlib is fed in steps
too, for it hands back a copy of what it has not used.

A message counts only if its data end where a flushed block ends; zlib does not tell,
and would pass a message that was cut short as complete. So an empty final block is
given to a copy of the stream: only at the end of a block does it end the stream. (The
copy costs 0.2 us with a window of 12 bits. RFC 7692 section 7.2.2 has the receiver add
only four bytes, which decode to something in many other places, too.)

Compressing is where the time goes, so ISA-L does it where the extra ``fast`` is
installed: it takes 6 us for 1 KB of JSON and 32 us for 10 KB, zlib 26 and 207, and what
comes out has the same size. It takes more memory, 107 KiB in the smallest form that it
has, of which about 65 are ever touched; zlib has 43 and touches 38. (zlib-ng: 13 us, 81
us, and 160 KiB.) Its higher levels do not compress better, so what asks for more than
zlib's usual level gets zlib. Decompressing is always zlib's: ISA-L cannot copy a
stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._codec import POLICY, ProtocolViolation
from ._permessage_deflate import LEVEL, THRESHOLD, PerMessageDeflate

try:
    isal_zlib: Any = import_module("isal.isal_zlib")
except ImportError:  # the extra "fast" is not installed
    isal_zlib = None

if TYPE_CHECKING:
    # zlib has no name for it at run time.
    from zlib import _Decompress as Decompressor  # pyright: ignore[reportPrivateUsage]

_INVALID_DATA: Final = 1007

_STEP: Final = 32768  # bytes that come out of zlib at once; its own first buffer
_INPUT: Final = 65536  # bytes that go into it at once
_FLUSH: Final = b"\x00\x00\xff\xff"  # what each flushed block ends in, and is not sent
_END: Final = b"\x01\x00\x00\xff\xff"  # a final block without content

# final blocks in one message; each needs a new stream, and a byte or two can be one
_MAX_FINAL_BLOCKS: Final = 64

_ISAL_LEVEL: Final = 1
_ISAL_MEM_LEVEL: Final = 1


class Compressor(Protocol):
    """One stream of zlib's, or of ISA-L's."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class Deflater:
    """Compresses one side's messages.

    It has memory from the first message on, and none between two where the window is
    not kept.

    :param agreed: what was negotiated
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
        #: bytes; shorter messages are not worth it
        self.threshold: int = (
            (THRESHOLD if self._no_context_takeover else 0)
            if agreed.threshold is None
            else agreed.threshold
        )

    def compress(self, payload: bytes) -> bytes | None:
        """Return the compressed payload of a message, ``None`` to send it as it is.

        What is returned must be sent, or the peer misses a piece of the window.

        :param payload: the message

        """
        if not payload:  # zlib gives nothing for it, and nothing is as short
            return None
        stream = self._stream
        if stream is None:
            stream = self._compressor()
        # Out of our hands until it is done: if it fails half-way (out of memory), the
        # next message begins anew, which suits any peer.
        self._stream = None
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        if self._no_context_takeover:
            return data[:-4] if len(data) - 4 < len(payload) else None
        self._stream = stream
        return data[:-4]

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
    """Decompresses what the other side sends.

    :param agreed: what was negotiated
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
        self._final_blocks = 0  # of this message
        self._ended = False  # whether the last of them was the end of the data so far

    def inflate(self, data: bytes | bytearray, room: float) -> Iterator[bytes]:
        """Give what a piece of a message decompresses to, in steps.

        :param data: the piece
        :param room: bytes that the message may still have; one more is given if there
            are more, and the caller has to stop then
        :raises ProtocolViolation: if that is no deflated data

        """
        stream = self._stream
        for start in range(0, len(data), _INPUT):
            rest = data[start : start + _INPUT]
            while True:
                if stream is None:
                    stream = self._stream = zlib.decompressobj(-self._bits)
                size = _STEP if room >= _STEP else int(room) + 1
                try:
                    part = stream.decompress(rest, size)
                except zlib.error:
                    raise _cannot_decompress() from None
                if part:
                    room -= len(part)
                    yield part
                    if room < 0:
                        return
                self._ended = stream.eof
                if stream.eof:
                    # RFC 7692 section 7.2.3.4 allows final blocks. What follows is a
                    # stream of its own, with a window of its own.
                    rest = stream.unused_data
                    stream = self._stream = None
                    self._final_blocks += 1
                    if self._final_blocks > _MAX_FINAL_BLOCKS:
                        raise ProtocolViolation(POLICY, "too many final blocks")
                    if not rest:
                        break
                    continue
                rest = stream.unconsumed_tail
                # zlib may have taken all of it and still hold back a part.
                if not rest and len(part) < size:
                    break

    def end_message(self) -> None:
        """Check that a message is complete.

        :raises ProtocolViolation: if it was cut short

        """
        ended = self._ended
        self._final_blocks = 0
        self._ended = False
        if ended:  # by a final block; nothing was to be flushed then
            return
        stream = self._stream
        if stream is None:
            raise _cannot_decompress()
        try:
            # Nothing may come out, but 0 would mean no limit.
            part = stream.decompress(_FLUSH, 1)
            if not stream.eof:  # which the block that was to be flushed can be, too
                if not self._no_context_takeover:
                    stream = stream.copy()
                stream.decompress(_END, 1)
        except zlib.error:
            raise _cannot_decompress() from None
        if part or not stream.eof or stream.unused_data:
            raise _cannot_decompress()
        if stream is self._stream:
            self._stream = None


def _cannot_decompress() -> ProtocolViolation:
    return ProtocolViolation(_INVALID_DATA, "a message cannot be decompressed")
