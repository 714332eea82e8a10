"""What a codec has of a message in pieces: its parts, taken and put back."""

from __future__ import annotations

from anyio_websocket._protocol._frames import FrameCodec

from ..support.codecs import next_of
from ..support.frames import BINARY, CONTINUATION, TEXT, frame


def codec_in(opcode: int, payload: bytes) -> FrameCodec:
    """Return a server's codec that is in a message with this payload so far."""
    codec = FrameCodec(is_client=False, max_message_size=100, max_fragments=9)
    codec.feed(frame(opcode, payload, fin=False))
    assert next_of(codec) is None
    return codec


def test_there_is_no_part_without_a_message() -> None:
    codec = FrameCodec(is_client=False, max_message_size=100, max_fragments=9)
    assert codec.take_part() == b""


def test_a_part_of_a_text_has_no_half_character() -> None:
    codec = codec_in(TEXT, "aé".encode()[:-1])
    assert codec.take_part() == "a"
    codec.feed(frame(CONTINUATION, "é".encode()[1:]))
    assert next_of(codec) == "é"


def test_what_is_put_back_comes_before_the_rest() -> None:
    codec = codec_in(BINARY, b"12")
    assert codec.take_part() == b"12"
    assert codec.take_part() == b""
    codec.put_back(b"12")
    codec.feed(frame(CONTINUATION, b"3"))
    assert next_of(codec) == b"123"
