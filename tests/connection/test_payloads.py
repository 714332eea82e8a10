"""What users pass as a message, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket._connection._payloads import control_payload, payload_of


@pytest.mark.parametrize(
    ("message", "text", "payload"),
    [
        ("wörld", None, "wörld"),
        ("wörld", True, "wörld"),
        ("wörld", False, "wörld".encode()),
        ("ascii", None, "ascii"),
        (b"\xff", None, b"\xff"),
        (b"\xff", False, b"\xff"),
        ("wörld".encode(), True, "wörld"),
        (bytearray(b"array"), True, "array"),
        (memoryview(b"a view")[2:], None, b"view"),
    ],
)
def test_the_kind_goes_by_the_type_or_by_text(
    message: Any, text: bool | None, payload: str | bytes
) -> None:
    found = payload_of(message, text)
    assert found == payload
    assert type(found) is type(payload)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\xff", True),
        ("\ud800", None),
        ("\ud800", False),
        (5, None),
        (None, True),
        (memoryview(b"abcd").cast("H"), False),
    ],
)
def test_what_cannot_be_sent(message: Any, text: bool | None) -> None:
    with pytest.raises(ValueError, match=r"message|utf-8"):
        payload_of(message, text)


def test_control_payloads() -> None:
    assert control_payload(None, default=b"default") == b"default"
    assert control_payload(memoryview(b"view"), default=b"") == b"view"
    with pytest.raises(ValueError, match="bytes-like"):
        control_payload("text", default=b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        control_payload(bytes(126), default=b"")
