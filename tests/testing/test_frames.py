"""Frames by hand: to bytes, from bytes, and as a person reads them."""

from __future__ import annotations

import pytest

from anyio_websocket.testing import Frame, Opcode, frame_bytes
from anyio_websocket.testing._frames import close_payload, take_frame


@pytest.mark.parametrize("mask", [None, b"\x00\x80\xff\x7f"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_by_hand(size: int, mask: bytes | None) -> None:
    payload = bytes(i % 251 for i in range(size))
    wire = frame_bytes(Opcode.BINARY, payload, mask=mask)
    assert take_frame(bytearray(wire[:-1])) is None
    buffer = bytearray(wire + b"rest")
    assert take_frame(buffer) == Frame(Opcode.BINARY, payload)
    assert buffer == b"rest"


def test_frames_of_the_rfc() -> None:
    # RFC 6455 section 5.7
    assert frame_bytes(Opcode.TEXT, b"Hello") == b"\x81\x05Hello"
    masked = frame_bytes(Opcode.TEXT, "Hello", mask=b"\x37\xfa\x21\x3d")
    assert masked.hex() == "818537fa213d7f9f4d5158"
    assert frame_bytes(Opcode.TEXT, b"Hel", fin=False) == b"\x01\x03Hel"
    assert frame_bytes(Opcode.TEXT, rsv=4, length=9) == b"\xc1\x09"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(1, b"hello"), "Text 'hello'"),
        (Frame(1, "naïve".encode()), "Text 'naïve'"),
        (Frame(1, b"\xff"), r"Text b'\xff'"),
        (Frame(2, b"hello"), "Binary b'hello'"),
        (Frame(1, b""), "Text (empty)"),
        (Frame(0, b"x" * 70), f"Continuation {'x' * 60!r}... (70 bytes)"),
        (Frame(2, b"x" * 61), f"Binary {b'x' * 60!r}... (61 bytes)"),
        (Frame(8, b""), "Close (empty)"),
        (Frame(8, close_payload(1000)), "Close 1000"),
        (Frame(8, close_payload(1009, "too large")), "Close 1009 'too large'"),
        (Frame(8, b"x"), "Close 'x'"),
        (Frame(9, b"1", fin=False), "Ping '1', not the last of its message"),
        (Frame(10, b"", rsv=4), "Pong (empty), with reserved bits 100"),
        (Frame(3, b"?"), "opcode 3 '?'"),
    ],
)
def test_a_frame_as_a_person_reads_it(frame: Frame, text: str) -> None:
    assert str(frame) == text
