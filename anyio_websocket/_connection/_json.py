"""JSON by the standard library, which is imported with the first message of it.

The import takes 1.5 ms, and few programs with their own parser need it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def json_dumps(obj: Any) -> str:
    """Do what `json.dumps` does, and refuse NaN and infinity, which JSON has not."""
    import json

    return json.dumps(obj, allow_nan=False)


def encoded(obj: Any, dumps: Callable[[Any], str | bytes]) -> str | bytes:
    """Make a message of an object.

    :raises ValueError: if ``dumps`` returns something else than a message

    """
    message = dumps(obj)
    if not isinstance(message, str | bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        # An iterable would be sent in parts.
        raise ValueError(
            f"dumps must return str or bytes, not {type(message).__name__}"
        )
    return message


def json_loads(message: str | bytes) -> Any:
    """Do what `json.loads` does."""
    import json

    return json.loads(message)
