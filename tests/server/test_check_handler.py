"""What a server takes as a handler: mistakes are named at the call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Generator
from functools import partial, wraps
from typing import Any

import pytest

from anyio_websocket import WebSocketRequest, WebSocketServer, serve_websocket


class Listener:
    async def accept(self) -> Any: ...


async def handler(request: WebSocketRequest) -> None: ...


def not_async(request: WebSocketRequest) -> None:
    if request.path == "/":
        return
    print(request)  # noqa: T201


def generator(request: WebSocketRequest) -> Generator[int]:
    yield 1


async def async_generator(request: WebSocketRequest) -> AsyncGenerator[int]:
    yield 1


def passes_on(request: WebSocketRequest) -> Awaitable[None]:
    return handler(request)


@wraps(handler)
def wrapped(*args: Any) -> Any:
    return handler(*args)


@wraps(not_async)
async def made_async(request: WebSocketRequest) -> None:
    not_async(request)


@wraps(handler)
def forgets_to_return(request: WebSocketRequest) -> None:
    handler(request)  # type: ignore[unused-coroutine]


class Handlers:
    async def method(self, request: WebSocketRequest) -> None: ...
    def not_async(self, request: WebSocketRequest) -> None: ...

    async def __call__(self, request: WebSocketRequest) -> None: ...


class NotAsync:
    def __call__(self, request: WebSocketRequest) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("echo", "takes the request, not 'echo'"),
        (None, "takes the request, not None"),
        (Handlers, "takes the request, not the class Handlers"),
        (not_async, 'but not_async is defined with "def"'),
        (partial(not_async), 'but not_async is defined with "def"'),
        (Handlers().not_async, 'but Handlers.not_async is defined with "def"'),
        (forgets_to_return, 'but handler is defined with "def"'),
        (NotAsync(), 'but NotAsync.__call__ is defined with "def"'),
        (lambda request: None, 'is defined with "def"'),
        (generator, 'but generator has a "yield"'),
        (async_generator, 'but async_generator has a "yield"'),
    ],
)
async def test_H10_what_is_not_a_handler(wrong: Any, text: str) -> None:
    with pytest.raises(TypeError, match=f"the handler must be .*{text}"):
        WebSocketServer(wrong, [Listener()])
    with pytest.raises(TypeError, match=f"the handler must be .*{text}"):
        await serve_websocket(wrong, "127.0.0.1", 0, None)


@pytest.mark.parametrize(
    "right",
    [
        handler,
        partial(handler),
        passes_on,
        wrapped,
        made_async,
        lambda request: handler(request),
        Handlers().method,
        Handlers(),
    ],
)
def test_H10_what_may_be_a_handler(right: Any) -> None:
    WebSocketServer(right, [Listener()])
