"""The public functions that take options, and calls of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import anyio

from anyio_websocket import (
    ClientOptions,
    ClientStreamOptions,
    ServerOptions,
    ServerStreamOptions,
    WebSocketServer,
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket._settings import (
    ClientSettings,
    ClientStreamSettings,
    ConnectionSettings,
    ServerSettings,
)

FUNCTIONS: list[tuple[Callable[..., Any], Any, type[ConnectionSettings]]] = [
    (open_websocket, ClientOptions, ClientSettings),
    (open_websocket_url, ClientOptions, ClientSettings),
    (connect_websocket, ClientOptions, ClientSettings),
    (connect_websocket_url, ClientOptions, ClientSettings),
    (wrap_client_stream, ClientStreamOptions, ClientStreamSettings),
    (serve_websocket, ServerOptions, ServerSettings),
    (WebSocketServer, ServerOptions, ServerSettings),
    (wrap_server_stream, ServerStreamOptions, ServerSettings),
]


def fields_of(settings: type[ConnectionSettings]) -> dict[str, Any]:
    """Give the default of each option by its name."""
    classes = [kind for kind in settings.__mro__ if kind is not object]
    names = {name for kind in classes for name in inspect.get_annotations(kind)}
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


class StubNursery:
    def start_soon(self, func: Any, /) -> None: ...


def call(function: Callable[..., Any], **options: Any) -> None:
    """Call a public function with options, which are checked before all else."""
    arguments: dict[Any, tuple[Any, ...]] = {
        open_websocket: ("x.invalid", 80, "/"),
        open_websocket_url: ("ws://x.invalid",),
        connect_websocket: (StubNursery(), "x.invalid", 80, "/"),
        connect_websocket_url: (StubNursery(), "ws://x.invalid"),
        wrap_client_stream: (StubNursery(), None, "x", "/"),
        serve_websocket: (None, "x.invalid", 0, None),
        WebSocketServer: (None, [None]),
        wrap_server_stream: (StubNursery(), None),
    }
    if function in (open_websocket, connect_websocket):
        options["use_ssl"] = False
    result = function(*arguments[function], **options)
    if inspect.iscoroutine(result):

        async def run() -> None:
            await result

        anyio.run(run)
