"""JSON by the standard library, which is imported with the first message of it.

The import takes 1.5 ms, and few programs with their own parser need it.
"""

from __future__ import annotations

from typing import Any


def dumps(obj: Any) -> str:
    """Do what `json.dumps` does, and refuse NaN and infinity, which JSON has not."""
    import json

    return json.dumps(obj, allow_nan=False)


def loads(message: str | bytes) -> Any:
    """Do what `json.loads` does."""
    import json

    return json.loads(message)
