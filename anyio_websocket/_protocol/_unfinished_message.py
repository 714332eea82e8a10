"""`UnfinishedMessage`: what a codec has of a message that comes in pieces.

Parts of it come out, if the application takes it so. `FrameCodec`, which inherits this,
puts the pieces in, and makes a message of the whole. Building frames is inherited, too.
"""

from __future__ import annotations

import codecs
import io

from ._codec import TEXT
from ._frame_writer import FrameWriter
from ._permessage_deflate import PerMessageDeflate


class UnfinishedMessage(FrameWriter):
    """The message that is being received in pieces.

    :param is_client: which side of the connection this is
    :param deflate: the negotiated parameters; ``None`` means no compression

    """

    __slots__ = ("_decoder", "_message", "_opcode")

    def __init__(self, *, is_client: bool, deflate: PerMessageDeflate | None) -> None:
        super().__init__(is_client=is_client, deflate=deflate)
        self._opcode = 0  # 0 if there is no such message
        self._message: io.BytesIO | None = None  # the payload so far
        # Validates a text as it comes; made for the first piece that is not ASCII.
        self._decoder: codecs.IncrementalDecoder | None = None

    def take_part(self) -> str | bytes:
        payload = self._take_payload()
        if self._opcode != TEXT or not payload:
            return payload
        # The bytes of a character that is not complete stay for the next part.
        rest = b"" if self._decoder is None else self._decoder.getstate()[0]
        self.put_back(rest)
        return self._text_part(payload[: len(payload) - len(rest)])

    def put_back(self, payload: bytes) -> None:
        payload += self._take_payload()
        assert self._message is not None
        self._message.write(payload)

    def _take_payload(self) -> bytes:
        message = self._message
        if message is None:
            return b""
        message.truncate()  # memory that was allocated for more
        self._message = io.BytesIO()
        return message.getvalue()

    def _text_part(self, payload: bytes) -> str | bytes:
        """Return a part of a text, which the decoder has seen."""
        return payload.decode()
