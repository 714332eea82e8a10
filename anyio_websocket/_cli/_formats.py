"""What a line of the input is as a message, and a message as a line of the output.

The three formats differ in nothing else. A line has no line break at its end.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, NoReturn, Protocol

from ._shown import shown, unescaped


class Format(Protocol):
    """A way to write messages as lines."""

    def message(self, line: bytes) -> str | bytes:
        """Make the message of a line of a file or a pipe.

        :raises ValueError: if the line cannot be sent; its text says why

        """
        ...

    def typed(self, line: str) -> str | bytes:
        """Make the message of a line that somebody typed.

        :raises ValueError: if the line cannot be sent; its text says why

        """
        ...

    def line(self, message: str | bytes) -> bytes:
        """Return the line that is written for a message, to a file or a pipe."""
        ...

    def shown(self, message: str | bytes) -> str:
        """Make what a terminal shows of a message."""
        ...


class TextFormat:
    """A line is a text message. Messages are written as they are."""

    def message(self, line: bytes) -> str | bytes:
        return _decoded(line)

    def typed(self, line: str) -> str | bytes:
        return _typed(line)

    def line(self, message: str | bytes) -> bytes:
        return message.encode() if isinstance(message, str) else message

    def shown(self, message: str | bytes) -> str:
        return shown(message)


class BinaryFormat(TextFormat):
    """A line is a binary message: its bytes, or what was typed with escapes."""

    def message(self, line: bytes) -> str | bytes:
        return line

    def typed(self, line: str) -> str | bytes:
        return unescaped(_typed(line))


class JsonFormat:
    """A line is a text message of JSON, and so is each line of the output."""

    def message(self, line: bytes) -> str | bytes:
        return self.typed(_decoded(line))

    def typed(self, line: str) -> str | bytes:
        if (why := _not_json(_typed(line))) is not None:
            raise ValueError(f"it is not JSON: {why}")
        return line

    def line(self, message: str | bytes) -> bytes:
        return _as_json(message).encode()

    def shown(self, message: str | bytes) -> str:
        return shown(_as_json(message))


FORMATS: Final[dict[str, Format]] = {
    "text": TextFormat(),
    "binary": BinaryFormat(),
    "json": JsonFormat(),
}


def _decoded(line: bytes) -> str:
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"it is not UTF-8 (byte {line[exc.start]:#04x} after {exc.start} others); "
            "--binary sends any bytes"
        ) from None


def _typed(line: str) -> str:
    # What was typed or pasted, and is not UTF-8, comes as lone surrogates.
    if any("\ud800" <= char <= "\udfff" for char in line):
        raise ValueError("it is not UTF-8")
    return line


def _not_json(text: str) -> str | None:
    """Say why a text is not JSON; ``None`` if it is."""
    try:
        json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as exc:
        return f"{exc.msg} (character {exc.pos + 1})"
    except (ValueError, RecursionError) as exc:  # NaN; a long number; nested too deep
        return str(exc)
    return None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}")


def _as_json(message: str | bytes) -> str:
    """Make one line of JSON. It is not parsed and written again, which changes numbers.

    What is not JSON becomes a string: a text as it is, bytes in base64.

    """
    text: Any = message
    if isinstance(message, bytes):
        try:
            text = message.decode()
        except UnicodeDecodeError:
            return json.dumps(base64.b64encode(message).decode())
    if _not_json(text) is None:
        # Within a string JSON has no line breaks, so these are between its tokens.
        return str(text).replace("\r", " ").replace("\n", " ")
    if isinstance(message, bytes):
        text = base64.b64encode(message).decode()
    return json.dumps(text, ensure_ascii=False)
