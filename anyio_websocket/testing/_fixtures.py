"""What the fixtures of the pytest plugin are: functions to await instead of blocks.

What they open is closed when the test has ended. A test may run in another task than
its fixtures (pytest-trio), so each block has a task of its own here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED, Event, create_task_group

from .._connection import WebSocketConnection
from .._types import TaskStatus
from ._pair import websocket_pair
from ._serve import InMemoryClient, serve_in_memory

_T = TypeVar("_T")

OpenPair = Callable[..., Awaitable[tuple[WebSocketConnection, WebSocketConnection]]]
Serve = Callable[..., Awaitable[InMemoryClient]]


@asynccontextmanager
async def opening_pairs() -> AsyncGenerator[OpenPair]:
    """Yield what the fixture ``websocket_pair`` is."""
    async with _entering() as enter:

        async def open_pair(
            **options: Any,
        ) -> tuple[WebSocketConnection, WebSocketConnection]:
            return await enter(websocket_pair(**options))

        yield open_pair


@asynccontextmanager
async def serving() -> AsyncGenerator[Serve]:
    """Yield what the fixture ``serve_in_memory`` is."""
    async with _entering() as enter:

        async def serve(handler: Any, **options: Any) -> InMemoryClient:
            return await enter(serve_in_memory(handler, **options))

        yield serve


class _Enter(Protocol):
    async def __call__(self, block: AbstractAsyncContextManager[_T]) -> _T: ...


@asynccontextmanager
async def _entering() -> AsyncGenerator[_Enter]:
    """Yield a function that enters a block, which is left in the end.

    What goes wrong in a block meanwhile comes out in the end. The test is not
    cancelled: it sees that its connection is closed.

    """
    has_ended = Event()
    errors: list[Exception] = []

    async def run(
        block: AbstractAsyncContextManager[_T],
        *,
        task_status: TaskStatus[_T] = TASK_STATUS_IGNORED,
    ) -> None:
        is_entered = False
        try:
            async with block as value:
                is_entered = True
                task_status.started(value)
                await has_ended.wait()
        except Exception as exc:
            if not is_entered:
                raise
            errors.append(exc)

    async with create_task_group() as tasks:

        async def enter(block: AbstractAsyncContextManager[_T]) -> _T:
            value: _T = await tasks.start(run, block)
            return value

        try:
            yield enter
        finally:
            has_ended.set()
    if len(errors) > 1:
        raise ExceptionGroup("several servers failed", errors)
    if errors:
        raise errors[0]
