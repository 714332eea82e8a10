"""`FrameWriter`: builds the frames of RFC 6455 section 5.

Messages and control frames become bytes. It keeps no state but what RFC 6455 and RFC
7692 ask for: the mask keys of a client, and the window of a compressor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ._close import serialize_close
from ._codec import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame
from ._deflate import Deflater
from ._kernels import frame_unmasked, make_frame
from ._kernels_py import WHOLE_BINARY, WHOLE_TEXT, frame_header
from ._mask_keys import mask_keys
from ._permessage_deflate import PerMessageDeflate

_FIN: Final = 0x80
_RSV1: Final = 0x40  # RFC 7692 section 6: on a message's first frame, "compressed"


class FrameWriter:
    """Builds the frames of one side of a connection.

    :param is_client: which side of the connection this is
    :param deflate: the negotiated parameters; ``None`` means no compression

    """

    __slots__ = ("_deflater", "_keys")

    def __init__(self, *, is_client: bool, deflate: PerMessageDeflate | None) -> None:
        self._deflater: Deflater | None = None
        if deflate is not None:
            self._deflater = Deflater(deflate, is_client=is_client)
        self._keys = mask_keys() if is_client else None

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

    def frame_for_many(
        self, message: str | bytes, compress: bool | None, made: dict[object, bytes]
    ) -> bytes | None:
        if self._keys is not None:
            return None
        kind = None  # uncompressed
        if self._deflater is not None and compress is not False:
            kind = self._deflater.kind
            if kind is None:
                if compress:
                    return None
                compress = False  # a peer takes any message uncompressed (RFC 7692)
        if kind not in made:
            made[kind] = self.frame_message(message, compress=compress)
        return made[kind]

    def framer(self) -> Callable[[str | bytes], bytes]:
        return self.frame_message if self._keys or self._deflater else frame_unmasked

    def frame_large(self, message: str | bytes) -> Frame:
        if self._keys is not None or self._deflater is not None:
            return self.frame_message(message)
        if isinstance(message, bytes):
            return frame_header(WHOLE_BINARY, len(message)), message
        message = message.encode()
        return frame_header(WHOLE_TEXT, len(message)), message

    def fragmenter(self, compress: bool | None) -> Callable[[str | bytes, bool], Frame]:
        deflater = self._deflater
        first_bits = compressed = 0

        def frame(piece: str | bytes, is_last: bool) -> Frame:
            nonlocal first_bits, compressed
            is_first = not first_bits
            if is_first:
                first_bits = TEXT if isinstance(piece, str) else BINARY
            if isinstance(piece, str):
                piece = piece.encode()
            if deflater is not None:
                if is_first and (
                    len(piece) >= deflater.threshold if compress is None else compress
                ):
                    compressed = _RSV1
                if compressed:
                    piece = deflater.compress_piece(piece, is_last=is_last)
            first = first_bits | compressed if is_first else CONTINUATION
            if is_last:
                first |= _FIN
            if self._keys is not None:
                return self._frame(first, piece)
            return frame_header(first, len(piece)), piece

        return frame

    @property
    def plain_keys(self) -> Iterator[bytes] | None:
        """The mask keys, if a message needs nothing but a header and a mask."""
        return self._keys if self._deflater is None else None

    def frame_ping(self, payload: bytes) -> bytes:
        return self._frame(_FIN | PING, payload)

    def frame_pong(self, payload: bytes) -> bytes:
        return self._frame(_FIN | PONG, payload)

    def frame_close(self, code: int | None, reason: str) -> bytes:
        return self._frame(_FIN | CLOSE, serialize_close(code, reason))

    def _frame(self, first: int, payload: bytes) -> bytes:
        return make_frame(first, payload, next(self._keys) if self._keys else None)
