"""What the peer may write into a frame, and which violation is what."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol._codec import ProtocolViolation
from anyio_websocket._protocol._frame_checks import (
    check_control,
    check_extended_length,
    decode_text,
    invalid_text,
    protocol_error,
)


@pytest.mark.parametrize(
    ("opcode", "first", "length", "error"),
    [
        (11, 0x8B, 0, "opcode 11 is unknown"),
        (9, 0x09, 0, "is fragmented"),
        (8, 0x88, 126, "longer than 125 bytes"),
    ],
)
def test_control_frames(opcode: int, first: int, length: int, error: str) -> None:
    with pytest.raises(ProtocolViolation, match=error):
        check_control(opcode, first, length)
    check_control(10, 0x8A, 125)


@pytest.mark.parametrize(("length", "size"), [(125, 2), (65_535, 8), (2**63, 8)])
def test_extended_lengths(length: int, size: int) -> None:
    with pytest.raises(ProtocolViolation):
        check_extended_length(length, size)
    check_extended_length(126, 2)
    check_extended_length(2**63 - 1, 8)


def test_violations() -> None:
    assert decode_text("ö".encode()) == "ö"
    with pytest.raises(ProtocolViolation) as raised:
        decode_text(b"\xff")
    assert raised.value.args == invalid_text().args
    assert (protocol_error("x").code, invalid_text().code) == (1002, 1007)
