"""Lines as messages, and messages as lines."""

from __future__ import annotations

import json

import pytest

from anyio_websocket._cli._formats import FORMATS


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("text", "wörld\r".encode(), "wörld"),
        ("text", b"", ""),
        ("binary", b"\xff\r", b"\xff\r"),
        ("json", b'{"a": [1.0, 1e400]}\r', '{"a": [1.0, 1e400]}'),
    ],
)
def test_a_line_is_a_message(name: str, line: bytes, message: str | bytes) -> None:
    assert FORMATS[name].message(line) == message


@pytest.mark.parametrize(
    ("name", "line", "why"),
    [
        ("text", b"a\xffb", r"not UTF-8 \(byte 0xff after 1 others\); --binary sends"),
        ("json", b"\xff", "not UTF-8"),
        ("json", b"{", r"it is not JSON: .* \(character 2\)"),
        ("json", b"[NaN]", "it is not JSON: it has no NaN"),
        ("json", b"[" * 100_000, "it is not JSON: "),
    ],
)
def test_a_line_that_cannot_be_sent(name: str, line: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FORMATS[name].message(line)


def test_what_is_typed() -> None:
    assert FORMATS["text"].typed(r"\x00") == r"\x00"
    assert FORMATS["binary"].typed(r"\x00a") == b"\x00a"
    assert FORMATS["json"].typed(" 1") == " 1"
    for style in FORMATS.values():
        with pytest.raises(ValueError, match="it is not UTF-8"):
            style.typed("\udcff")


@pytest.mark.parametrize("message", ["é\n\x1b", b"\xff\n\x1b"])
def test_messages_are_written_as_they_are(message: str | bytes) -> None:
    raw = message.encode() if isinstance(message, str) else message
    assert FORMATS["text"].line(message) == FORMATS["binary"].line(message) == raw


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ('{\r\n  "a": 1.0000000000000000001\n}', '{    "a": 1.0000000000000000001 }'),
        (b'["\\n"]', '["\\n"]'),
        ("no\nJSON é", '"no\\nJSON é"'),
        (b"no", '"bm8="'),
        (b"\xff", '"/w=="'),
    ],
)
def test_each_message_is_a_line_of_json(message: str | bytes, line: str) -> None:
    written = FORMATS["json"].line(message)
    assert written.decode() == FORMATS["json"].shown(message) == line
    json.loads(written)
