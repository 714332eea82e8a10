"""ASGI, from both sides: an application as a handler, a handler in an application.

Applications of Starlette, FastAPI, Litestar, Quart and others run on this library's
server, on asyncio and on trio; and what is written for this library runs inside of an
application, on uvicorn, Hypercorn and other servers.
"""

from __future__ import annotations

from ._application import ClientDisconnected
from ._handler import handler
from ._http_handler import http_handler
from ._lifespan import LifespanError, lifespan
from ._stream import WebSocketStream

__all__ = [
    "ClientDisconnected",
    "LifespanError",
    "WebSocketStream",
    "handler",
    "http_handler",
    "lifespan",
]


def _set_modules() -> None:
    # As in the package itself: users see where they import a name from.
    for name in __all__:
        globals()[name].__module__ = __name__


_set_modules()
del _set_modules
