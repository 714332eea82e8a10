"""Texts and bytes of a peer, as a terminal may show them.

A terminal obeys what it is sent: escape sequences move the cursor, change the title,
or answer in the user's name. And some invisible characters make a text look like
another one. So a message is shown with all these escaped.
"""

from __future__ import annotations

import re
from typing import Final

MAX_SHOWN: Final = 10_000  # characters or bytes; the rest of a message is left out

# Zero-width joiners are not printable, but emojis and some scripts need them.
_HARMLESS: Final = "\u200c\u200d\t\n"
_CONTINUED: Final = "\n  "  # so that no line of a message looks like another message
_ESCAPES: Final = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.?))", re.DOTALL)


def shown(message: str | bytes) -> str:
    """Return what a terminal shows of a message: bytes as a literal of Python."""
    rest = ""
    if len(message) > MAX_SHOWN:
        unit = "characters" if isinstance(message, str) else "bytes"
        rest = f"... ({len(message)} {unit} in all)"
        message = message[:MAX_SHOWN]
    if isinstance(message, bytes):
        return f"{message!r}{rest}"
    return f"{escaped(message)}{rest}"


def escaped(text: str) -> str:
    """Escape the control characters of a text; lines after the first are indented."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    safe = "".join(
        char if char.isprintable() or char in _HARMLESS else ascii(char)[1:-1]
        for char in text
    )
    return safe.replace("\n", _CONTINUED)


def one_line(text: str) -> str:
    """Escape a text so that it is one line: an error is not to forge another."""
    return text if text.isprintable() else escaped(text.replace("\n", "\\n"))


def unescaped(text: str) -> bytes:
    r"""Return the bytes that somebody typed: ``\x00``, ``\n``, or characters.

    :raises ValueError: if a backslash is followed by something else

    """
    parts: list[bytes] = []
    end = 0
    for match in _ESCAPE.finditer(text):
        number, letter = match.groups()
        if number is None and letter not in _ESCAPES:
            raise ValueError(r"a backslash is typed as \\, and a byte as \x00")
        parts.append(text[end : match.start()].encode())
        parts.append(bytes.fromhex(number) if number else _ESCAPES[letter])
        end = match.end()
    parts.append(text[end:].encode())
    return b"".join(parts)
