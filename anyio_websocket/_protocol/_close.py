"""Close frames: what is in one, which codes may be received, and which may be sent.

RFC 6455 sections 5.5.1 and 7.4, and the registry of close codes at IANA, which has
1012 to 1014 as well.
"""

from __future__ import annotations

from typing import Final

from ._codec import MAX_CONTROL_PAYLOAD, Close, ProtocolViolation

PROTOCOL_ERROR: Final = 1002
NO_STATUS_RCVD: Final = 1005  # section 7.1.5: a Close without a code was received
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009

MAX_CLOSE_REASON: Final = MAX_CONTROL_PAYLOAD - 2  # bytes; the code takes two

# Section 7.4.1: these codes report how a connection ended and are never in a frame.
# Applications do pass them to aclose(); trio-websocket then sends 1000.
_NEVER_SENT: Final = frozenset({1005, 1006, 1015})


def _may_be_in_a_frame(code: int) -> bool:
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def parse_close(payload: bytes) -> Close:
    """Parse the payload of a received Close.

    :raises ProtocolViolation: if the code or the reason breaks a rule

    """
    if not payload:
        return Close(NO_STATUS_RCVD, "")
    if len(payload) == 1:
        raise ProtocolViolation(PROTOCOL_ERROR, "a Close has only half of a code")
    code = int.from_bytes(payload[:2], "big")
    if not _may_be_in_a_frame(code):
        raise ProtocolViolation(
            PROTOCOL_ERROR, f"a Close has code {code}, which may not be sent"
        )
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise ProtocolViolation(
            INVALID_DATA, "the reason of a Close is not UTF-8"
        ) from None


def serialize_close(code: int | None, reason: str) -> bytes:
    """Return the payload of a Close; ``None`` makes an empty one."""
    return b"" if code is None else code.to_bytes(2, "big") + reason.encode()


def close_code_to_send(code: object) -> int:
    """Check a close code that an application chose.

    :param code: the code; one that is never sent becomes 1000
    :raises TypeError: if the code is not an int
    :raises ValueError: if the code may not be sent (RFC 6455 section 7.4)

    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"the close code must be an int, not {code!r}")
    if code in _NEVER_SENT:
        return 1000
    if _may_be_in_a_frame(code):
        return int(code)
    raise ValueError(
        f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999"
    )


def close_reason_to_send(reason: object) -> str:
    """Check a close reason that an application chose; cut it to what a Close can hold.

    :param reason: the reason; ``None`` means no reason
    :raises TypeError: if the reason is neither a str nor ``None``
    :raises ValueError: if the reason cannot be encoded as UTF-8 (a lone surrogate)

    """
    if reason is None:
        return ""
    if not isinstance(reason, str):
        raise TypeError(f"the close reason must be a str or None, not {reason!r}")
    encoded = reason.encode()  # UnicodeEncodeError is a ValueError
    if len(encoded) <= MAX_CLOSE_REASON:
        return reason
    return encoded[:MAX_CLOSE_REASON].decode(errors="ignore")


def message_too_big(max_message_size: float) -> ProtocolViolation:
    """Make what is raised if a message of the peer is too big.

    :param max_message_size: bytes

    """
    # trio-websocket's text, which its users know.
    text = f"Exceeded maximum message size: {max_message_size} bytes"
    return ProtocolViolation(MESSAGE_TOO_BIG, text)
