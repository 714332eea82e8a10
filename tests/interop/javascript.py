"""Messages as JSON, for conversations in JavaScript, and what these return."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from .peer import MESSAGES, Message, Seen, Visit

NODE: Final = Path(__file__).parent / "node"


def messages() -> list[dict[str, str]]:
    """Write the messages in a form that JSON has."""
    return [
        {"text": message}
        if isinstance(message, str)
        else {"binary": base64.b64encode(message).decode()}
        for message in MESSAGES
    ]


def visited(result: Any) -> Visit:
    """Read what ``visit()`` of visit.mjs returned."""
    return Visit(
        [_message(**echo) for echo in result["echoes"]],
        [Seen(**seen) for seen in result["seen"]],
    )


def _message(text: str | None = None, binary: str = "") -> Message:
    return base64.b64decode(binary) if text is None else text
