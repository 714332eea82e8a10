"""What ``extra()`` knows of a WebSocket: its attributes, by anyio's typed attributes.

The keys are here and their types in ``streams``, because one of them is the connection,
which this folder does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from anyio import typed_attribute

#: by name; the names are those of `WebSocketConnection`, except for the connection
KEYS: Final[dict[str, Any]] = {
    name: typed_attribute()
    for name in (
        "compression",
        "connection",
        "handshake_headers",
        "is_client",
        "path",
        "subprotocol",
    )
}


def attributes_of(connection: object) -> dict[Any, Callable[[], Any]]:
    """Return the attributes of a connection, with functions that look them up."""
    attributes: dict[Any, Callable[[], Any]] = {
        key: partial(getattr, connection, name)
        for name, key in KEYS.items()
        if name != "connection"
    }
    attributes[KEYS["connection"]] = lambda: connection
    return attributes
