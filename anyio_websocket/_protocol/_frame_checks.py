"""What the peer may write into a frame (RFC 6455), and which violation is what."""

from __future__ import annotations

from typing import Final

from ._close import INVALID_DATA, PROTOCOL_ERROR
from ._codec import CLOSE, MAX_CONTROL_PAYLOAD, PING, PONG, ProtocolViolation

_FIN: Final = 0x80


def check_control(opcode: int, first: int, length: int) -> None:
    """Check the header of a control frame (RFC 6455 section 5.5)."""
    if opcode not in (CLOSE, PING, PONG):
        raise protocol_error(f"opcode {opcode} is unknown")
    if not first & _FIN:
        raise protocol_error("a control frame is fragmented")
    if length > MAX_CONTROL_PAYLOAD:
        raise protocol_error("a control frame is longer than 125 bytes")


def check_extended_length(length: int, size: int) -> None:
    """Check that a length has the shortest form and 63 bits (section 5.2).

    :param size: bytes that it came in, after the first two of the header

    """
    if length < (126 if size == 2 else 65536):
        raise protocol_error("a length is not in its shortest form")
    if length >> 63:
        raise protocol_error("a length has its most significant bit set")


def decode_text(payload: bytes | bytearray) -> str:
    """Decode UTF-8; anything else is a violation (section 8.1)."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise invalid_text() from None


def protocol_error(reason: str) -> ProtocolViolation:
    """Return the violation for a frame that must not be as it is."""
    return ProtocolViolation(PROTOCOL_ERROR, reason)


def invalid_text() -> ProtocolViolation:
    """Return the violation for a text that is not UTF-8."""
    return ProtocolViolation(INVALID_DATA, "a text message is not UTF-8")
