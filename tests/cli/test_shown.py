"""What a terminal shows of a peer's message."""

from __future__ import annotations

from unicodedata import category

import pytest

from anyio_websocket._cli._shown import (
    MAX_SHOWN,
    escaped,
    one_line,
    shown,
    unescaped,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("héllo \\x1b 👨\u200d👩", "héllo \\x1b 👨\u200d👩"),
        ("\x1b[2J\x00\x7f\x9b1m\r", r"\x1b[2J\x00\x7f\x9b1m\r"),
        ("\u202edlrow\u2028\ufeff", r"\u202edlrow\u2028\ufeff"),
        ("one\ntwo\r\n\tthree", "one\n  two\n  \tthree"),
        (b"\x1b[2J\xff'", r'''b"\x1b[2J\xff'"'''),
        ("", ""),
    ],
)
def test_nothing_that_a_terminal_obeys(message: str | bytes, expected: str) -> None:
    assert shown(message) == expected


def test_of_all_characters_none_is_a_control_character() -> None:
    everything = "".join(map(chr, range(0x3000)))
    left = {char for char in escaped(everything) if category(char)[0] in "CZ"}
    assert left == {" ", "\t", "\n", "\u200c", "\u200d"}


def test_a_long_message_is_cut() -> None:
    text = shown("\x1b" * (MAX_SHOWN + 1))
    assert text == r"\x1b" * MAX_SHOWN + "... (10001 characters in all)"
    assert shown(b"a" * 20_000).endswith("a'... (20000 bytes in all)")


def test_an_error_is_one_line() -> None:
    assert one_line("a\nb\x1b[1m") == r"a\nb\x1b[1m"
    assert one_line("wörld") == "wörld"


def test_bytes_can_be_typed() -> None:
    assert unescaped(r"\x00\xFFé\n\r\t\0\\") == b"\x00\xff\xc3\xa9\n\r\t\x00\\"
    for text in (r"C:\dir", r"\x0g", "\\"):
        with pytest.raises(ValueError, match="a backslash is typed as"):
            unescaped(text)
