"""The nursery behind `open_websocket`, which its user does not notice.

In: the block of an ``async with`` and a background task. Out: what the block raised.

It differs from a task group of anyio in three ways. It never cancels the task that runs
the block. On asyncio such a cancellation counts in ``Task.cancelling()``, where it
could be taken for one by the user, or by `asyncio.TaskGroup` and `asyncio.timeout`
inside the block. So leaving the block waits for the background task, which has to end
by itself. The block's exception comes out as it is, never in a group. And the task that
enters the block has no cancel scope of it, so another task may leave it: that is what
happens to fixtures, and to generators that are not exhausted. So the background task is
a plain task of asyncio, or a system task of trio.

A plain task that is cancelled before its first step never runs its coroutine, and
leaving the block would wait for it for ever. asyncio.run() cancels, in the end, tasks
that were just started. So in the pass of the event loop in which a task begins, the
nursery checks that it did, and if not, starts it again. It waits a moment before that,
because a program that cancels all tasks until there are none must come to an end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from anyio import CancelScope, Event, get_cancelled_exc_class
from anyio.lowlevel import current_token

# Seconds until a task is started again that was cancelled before its first step.
RESTART_DELAY: Final = 0.01


def _has_plain_tasks(loop: object) -> bool:
    """Say whether this is a loop of asyncio, and not trio's."""
    return hasattr(loop, "create_task")


def _current_task_of_asyncio() -> Any:
    asyncio: Any = sys.modules["asyncio"]
    return asyncio.current_task()


class Interruption:
    """Cancels a block from a background task, where a task group would.

    It only does so if the program is to end, so what is said above matters less. Yet on
    asyncio it puts no cancel scope into the task that enters the block, because another
    task may leave it. Trio has no other way, and its users nest blocks.

    """

    def __init__(self) -> None:
        self._scope: CancelScope | None = None
        self._task: Any = None
        self._is_cancelled = False

    def __enter__(self) -> Self:
        if _has_plain_tasks(current_token().native_token):
            self._task = _current_task_of_asyncio()
        else:
            self._scope = CancelScope()
            self._scope.__enter__()
        if self._is_cancelled:
            self.cancel()
        return self

    def cancel(self) -> None:
        """Cancel the block, also if it begins later; do nothing if it was left."""
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()
        elif self._task is not None:
            self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._scope is not None:
            return self._scope.__exit__(kind, error, traceback)
        task, self._task = self._task, None
        if self._is_cancelled and task is _current_task_of_asyncio():
            task.uncancel()
        return None


class PrivateNursery:
    """Runs a background task beside a block.

    If the task raises, which is a bug, its exception comes out when the block is left,
    unless the block itself raised something else than its cancellation.

    """

    def __init__(self) -> None:
        self._ended: list[Event] = []
        self._errors: list[Exception] = []
        self._tasks: set[object] = set()  # asyncio only keeps weak references

    async def __aenter__(self) -> Self:
        return self

    def start_soon(
        self, func: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any
    ) -> None:
        """Start a task."""
        ended = Event()
        self._ended.append(ended)
        run = partial(self._run, func, args, ended)
        loop: Any = current_token().native_token
        if _has_plain_tasks(loop):
            self._start_plain_task(loop, run, ended)
        else:
            trio: Any = sys.modules["trio"]
            trio.lowlevel.spawn_system_task(run, context=copy_context())

    def _start_plain_task(
        self, loop: Any, run: Callable[[], Coroutine[Any, Any, None]], ended: Event
    ) -> None:
        task = loop.create_task(run())
        self._tasks.add(task)
        # Called after the task's first step.
        loop.call_soon(self._look, loop, task, run, ended)

    def _look(
        self,
        loop: Any,
        task: Any,
        run: Callable[[], Coroutine[Any, Any, None]],
        ended: Event,
    ) -> None:
        """Start a task again if it was cancelled before its first step."""
        if task.done() and not ended.is_set():
            self._tasks.remove(task)
            loop.call_later(RESTART_DELAY, self._start_plain_task, loop, run, ended)

    async def _run(
        self,
        func: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        ended: Event,
    ) -> None:
        try:
            await func(*args)
        except Exception as exc:
            self._errors.append(exc)
        finally:
            ended.set()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The connection is closed, so this takes some passes of the event loop.
        with CancelScope(shield=True):
            for ended in self._ended:
                await ended.wait()
        if not self._errors:
            return
        bug = ExceptionGroup("errors in the background task", self._errors)
        if error is None or isinstance(error, get_cancelled_exc_class()):
            raise bug
        # The block's exception comes out, and its traceback shows the other one.
        bug.__context__ = error.__context__
        error.__context__ = bug
