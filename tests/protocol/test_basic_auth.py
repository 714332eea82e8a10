"""A user's name and password in a request."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import basic_challenge, parse_basic


def basic(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "Basic " + b64encode(data).decode()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (basic("me:secret"), ("me", "secret")),
        (basic("me:a:b"), ("me", "a:b")),
        (basic(":"), ("", "")),
        (basic("müller:pässwörd €"), ("müller", "pässwörd €")),
        (basic("me:secret").replace("Basic ", "bASIC   ") + " ", ("me", "secret")),
        ("", None),
        ("Basic", None),
        ("Basic ", None),
        ("Bearer " + basic("me:secret")[6:], None),
        (basic("me:secret")[6:], None),
        (basic("me:secret") + ", " + basic("me:secret"), None),  # two headers
        (basic("me:secre").rstrip("="), None),
        (basic("me:secret") + "!", None),
        (basic("me:secret").replace("b", "\xe9"), None),
        ("Basic " + "b" * 16_000, None),
        (basic("secret"), None),
        (basic(b"me:\xe9"), None),
        (basic("me:a\r\nb"), None),
        (basic("m\0e:a"), None),
    ],
)
def test_parse_basic(header: str, found: tuple[str, str] | None) -> None:
    assert parse_basic(header) == found


@given(st.text(st.characters(max_codepoint=255)))
def test_noise_never_raises(text: str) -> None:
    for header in (text, f"Basic {text}"):
        parse_basic(header)


def test_the_challenge() -> None:
    assert basic_challenge(r'a "b" \c') == (
        rb'Basic realm="a \"b\" \\c", charset="UTF-8"'
    )
    for wrong in ("a\r\nb", "é"):
        with pytest.raises(ValueError, match="realm must be printable ASCII"):
            basic_challenge(wrong)
    number: Any = 1
    with pytest.raises(TypeError, match="realm must be a str, not int"):
        basic_challenge(number)
