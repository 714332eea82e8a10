"""The event loops that every test with I/O runs on."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import math
import selectors
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import pytest

Backend = tuple[str, dict[str, Any]]

# asyncio's debug mode writes down for each callback by which lines it was set. Of the
# ten lines that it keeps the last is enough here, and collecting them took 35 % of a
# run.
asyncio.constants.DEBUG_STACK_DEPTH = 1  # type: ignore[attr-defined]


class _JumpSelector(selectors.DefaultSelector):
    """Instead of sleeping until the next timer, moves the loop's clock there."""

    loop: AutojumpLoop

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # no timer: only a thread or a signal can wake us
            return super().select(None)
        self.loop.now += timeout
        return []


class AutojumpLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait for timers; for streams in memory only.

    Its clock stands still while tasks run, however slow the machine is, as trio's does.

    """

    now = 0.0  # seconds

    def __init__(self) -> None:
        selector = _JumpSelector()
        selector.loop = self
        super().__init__(selector)
        self.slow_callback_duration = math.inf

    def time(self) -> float:
        return self.now


def _debug_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # It would log that a slow machine is slow, among what tests look at.
    loop.slow_callback_duration = math.inf
    return loop


def _debug() -> Backend:
    return "asyncio", {"loop_factory": _debug_loop, "debug": True}


if sys.version_info >= (3, 12):

    def _eager_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    def _eager() -> Backend:
        return "asyncio", {"loop_factory": _eager_loop}

    def _virtual_eager_loop() -> asyncio.AbstractEventLoop:
        loop = AutojumpLoop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    def _virtual_eager() -> Backend:
        return "asyncio", {"loop_factory": _virtual_eager_loop}


def _uvloop() -> Backend:
    return "asyncio", {"use_uvloop": True}


def _trio() -> Backend:
    return "trio", {"restrict_keyboard_interrupt_to_checkpoints": True}


def _virtual_asyncio() -> Backend:
    return "asyncio", {"loop_factory": AutojumpLoop, "debug": True}


def _virtual_trio() -> Backend:
    from trio.testing import MockClock

    return "trio", {"clock": MockClock(autojump_threshold=0)}


def under_asyncio(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test by asyncio itself."""

    @wraps(test)
    def run() -> None:
        async def main() -> None:
            async with asyncio.timeout(100):
                await test()

        with asyncio.Runner(loop_factory=_debug_loop, debug=True) as runner:
            runner.run(main())

    return run


def jump(seconds: float) -> None:
    """Move the virtual clock, as if no task could run for so long."""
    if "trio" in sys.modules:
        import trio.testing

        if trio.lowlevel.in_trio_run():
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, trio.testing.MockClock)
            clock.jump(seconds)
            return
    loop = asyncio.get_running_loop()
    assert isinstance(loop, AutojumpLoop)
    loop.now += seconds


def tasks_now() -> int:
    """Count the tasks of the event loop that runs; on trio without system tasks.

    Those come when they are needed for the first time, and stay.

    """
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            root = trio.lowlevel.current_root_task()
            assert root is not None
            system = sum(len(group.child_tasks) for group in root.child_nurseries[:-1])
            return trio.lowlevel.current_statistics().tasks_living - system
    return len(asyncio.all_tasks())


def begins_tasks_later() -> bool:
    """Say whether a task begins after it was started: on asyncio if it is not eager."""
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            return False
    return asyncio.get_running_loop().get_task_factory() is None


def cancel_unbegun() -> bool:
    """Cancel the tasks of asyncio that have not begun, as asyncio.run() may in the end.

    :return: whether there were any; never on trio, which begins each task

    """
    if not begins_tasks_later():
        return False
    unbegun = [
        task
        for task in asyncio.all_tasks()
        if inspect.iscoroutine(coroutine := task.get_coro())
        and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    ]
    for task in unbegun:
        task.cancel()
    return bool(unbegun)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def params(*, virtual_time: bool) -> list[Any]:
    """List the backends that are installed, as makers of the fixture's value."""
    makers: dict[str, Callable[[], Backend]] = {}
    if virtual_time:
        makers["asyncio"] = _virtual_asyncio
        if sys.version_info >= (3, 12):
            makers["eager"] = _virtual_eager
        if _installed("trio"):
            makers["trio"] = _virtual_trio
    else:
        makers["asyncio"] = _debug
        if sys.version_info >= (3, 12):
            makers["eager"] = _eager
        if _installed("uvloop"):
            makers["uvloop"] = _uvloop
        if _installed("trio"):
            makers["trio"] = _trio
    return [pytest.param(maker, id=name) for name, maker in makers.items()]
