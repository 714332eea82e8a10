"""`UndecodedCodec`: text messages are checked, and returned as bytes.

Received bytes become messages of bytes. It is a class of its own, so that a codec that
decodes texts does not ask for each message whether it should.
"""

from __future__ import annotations

from ._frame_checks import decode_text, invalid_text
from ._frames import FrameCodec
from ._kernels import take_undecoded


class UndecodedCodec(FrameCodec):
    """A `FrameCodec` that returns texts as bytes."""

    _take = staticmethod(take_undecoded)
    __slots__ = ()

    def _text(self, payload: bytes | bytearray) -> str | bytes:
        if not payload.isascii():
            decode_text(payload)
        return bytes(payload)

    def _long_text(self, payload: bytes) -> str | bytes:
        # Only whether it ends in the middle of a character is not known yet.
        if self._decoder is not None and self._decoder.getstate()[0]:
            raise invalid_text()
        return payload

    def _text_part(self, payload: bytes) -> str | bytes:
        return payload
