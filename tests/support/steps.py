"""Cancelling some work at its n-th step, a step being each time it gives way."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import anyio

#: cancels the work, which is about to wait for what is passed
Cancel = Callable[[Any], object]
#: a block around the work, in which it can be cancelled
Way = Callable[[], AbstractAsyncContextManager[Cancel]]


@types.coroutine
def stepped(
    work: Coroutine[Any, Any, Any], on_step: Callable[[Any], None]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and tell each time for what it is about to give way."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            trap = work.send(value) if error is None else work.throw(error)
        except StopIteration as exc:
            return exc.value
        on_step(trap)
        value = error = None
        try:
            value = yield trap
        except BaseException as exc:
            error = exc


@asynccontextmanager
async def by_scope() -> AsyncGenerator[Cancel]:
    """Cancel by a cancel scope of anyio's."""
    with anyio.CancelScope() as scope:
        yield lambda _: scope.cancel()


def when_woken(trap: Any, call: Callable[[], object]) -> None:
    """Call something when what a task of asyncio's waits for is there.

    The task runs afterwards. To be cancelled at such a moment is what neither a cancel
    scope of anyio's nor `asyncio.timeout` does to a task.

    """
    if isinstance(trap, asyncio.Future):
        trap.add_done_callback(lambda _: call())
    else:
        asyncio.get_running_loop().call_soon(call)


@asynccontextmanager
async def by_task(*, counted: bool = True) -> AsyncGenerator[Cancel]:
    """Cancel the task by asyncio's ``cancel()``, when it is about to run again.

    :param counted: whether ``cancelling()`` must be right

    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    asked = came_out = ended = False

    def cancel() -> None:
        nonlocal asked
        if not ended:
            asked = True
            task.cancel()

    try:
        yield lambda trap: when_woken(trap, cancel)
    except asyncio.CancelledError:
        came_out = True
    ended = True
    assert came_out == asked
    if counted:
        assert task.cancelling() == before + asked
    if task.cancelling() > before:
        task.uncancel()


@asynccontextmanager
async def by_timeout() -> AsyncGenerator[Cancel]:
    """Cancel by ``asyncio.timeout``."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        async with asyncio.timeout(None) as timeout:
            yield lambda _: timeout.reschedule(task.get_loop().time())
    except TimeoutError:
        assert timeout.expired()
    assert task.cancelling() == before


class _SiblingFailed(Exception):
    pass


@asynccontextmanager
async def by_task_group() -> AsyncGenerator[Cancel]:
    """Cancel by another task of an ``asyncio.TaskGroup``, which fails."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    failing = asyncio.Event()

    async def fail() -> None:
        await failing.wait()
        raise _SiblingFailed

    error: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(fail())
            try:
                yield lambda _: failing.set()
            except Exception as exc:
                error = exc  # as the work raised it, in no group
            if failing.is_set():
                # Python 3.11 counts wrongly if this comes when the block has ended.
                await asyncio.sleep(1)
            sibling.cancel()
    except* _SiblingFailed:
        pass
    assert task.cancelling() == before
    if error is not None:
        raise error


NATIVE: Final[tuple[Way, ...]] = (by_task, by_timeout, by_task_group)


def ways(backend: str) -> tuple[Way, ...]:
    """List the ways to cancel on an event loop."""
    return (by_scope, *NATIVE) if backend == "asyncio" else (by_scope,)


async def cancelled_at(
    at: int | None, work: Coroutine[Any, Any, Any], way: Way = by_scope
) -> int:
    """Cancel some work at a step; return how many it had until then.

    Work that ends before it sees its cancellation has as many steps as it had without.

    """
    count = 0
    async with way() as cancel:

        def step(trap: Any) -> None:
            nonlocal count
            if count == at:
                cancel(trap)
            count += 1

        await stepped(work, step)
    return count
