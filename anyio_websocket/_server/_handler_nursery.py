"""The nursery in which a server's clients run, and how a task is started in it.

A task group of anyio gives each of its tasks a handle: a cancel scope, an event, and a
coroutine around the task's own. Those are 2.3 KiB for a client on asyncio and 1.4 on
trio, a quarter of what an idle connection takes. A server has no use for them, because
it shields its clients from the nursery and ends them itself (``_clients``).

So on trio a server starts them in the nursery of trio's that is in its task group. The
nursery that a user passed is used as it is.

On asyncio a client's task is one that the event loop starts. What a task group does for
its tasks is done in other ways:

- The nursery does not end before them. `enter` and `leave` retain the background task,
  which runs in the nursery. If that is cancelled, the background task cancels the
  clients, and waits for them too.
- What a task raises, the nursery raises. `passes_on` starts a task in it that does.
- asyncio keeps only weak references to tasks. `ClientTasks` has the cancel scope of
  each one, which refers to it; before its first step the event loop refers to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from anyio import Event
from anyio.lowlevel import current_token

from .._connection import BackgroundTask
from .._types import Nursery

# What debuggers show. It is one text for all, because trio would make one for each.
NAME: Final = "anyio_websocket client"


class HandlerNursery:
    """Starts the tasks of a server's clients, and knows when all have ended.

    :param nursery: where they run
    :param background: runs in the nursery for as long as there are any
    :param is_own: whether the current task opened the nursery, as its last one

    """

    def __init__(
        self, nursery: Nursery, background: BackgroundTask, *, is_own: bool
    ) -> None:
        self._nursery = nursery
        self._background = background
        self._tasks = 0
        self._empty: Event | None = None
        self._rests: set[object] = set()  # tasks, to which asyncio keeps no references
        self._loop: Any = current_token().native_token
        self._create_task: Callable[..., Any] | None = _creator_of_tasks(self._loop)
        self._start_soon: Callable[..., object] = nursery.start_soon
        if self._create_task is None and is_own:
            trio: Any = sys.modules["trio"]
            inner = trio.lowlevel.current_task().child_nurseries[-1]
            self._start_soon = partial(inner.start_soon, name=NAME)

    def start(
        self,
        function: Callable[..., Coroutine[Any, Any, None]],
        *args: Any,
        on_ended: Callable[[], Coroutine[Any, Any, None] | None] | None = None,
    ) -> None:
        """Start a task, which must `leave` in the end.

        :param function: what runs in it
        :param on_ended: called if the task has ended where its first step should be
            behind it: on asyncio, a task that is cancelled before that never begins.
            What this returns is awaited in another task; ``None`` is not
        :raises RuntimeError: if the nursery takes no tasks

        """
        self.enter()
        task: Any = None
        try:
            if self._create_task is None:
                self._start_soon(function, *args)
            else:
                task = self._create_task(function(*args), name=NAME)
        except BaseException:  # no memory left
            self.leave()
            raise
        if task is not None and on_ended is not None:
            # What is scheduled later is called later, so the first step goes before.
            self._loop.call_soon(self._call_if_ended, task, on_ended)

    def _call_if_ended(
        self, task: Any, on_ended: Callable[[], Coroutine[Any, Any, None] | None]
    ) -> None:
        if task.done() and (rest := on_ended()) is not None:
            ending = self._loop.create_task(rest)
            self._rests.add(ending)
            ending.add_done_callback(self._rests.discard)

    def enter(self) -> None:
        """Count a task of the nursery that was not started here.

        :raises RuntimeError: if the nursery takes no tasks

        """
        self._background.retain()
        self._tasks += 1

    def leave(self) -> None:
        """Count a task no longer: it awaits nothing any more."""
        self._tasks -= 1
        self._background.release()
        if self._empty is not None and not self._tasks:
            self._empty.set()

    def passes_on(self, error: BaseException) -> bool:
        """Have the nursery raise what one of the tasks raises, before it leaves.

        :return: ``False`` if the task itself must raise it

        """
        if self._create_task is None or isinstance(error, GeneratorExit):
            return False
        self._nursery.start_soon(_raise, error)
        return True

    async def wait_empty(self) -> None:
        """Wait until the last task has ended."""
        while self._tasks:
            if self._empty is None or self._empty.is_set():
                self._empty = Event()
            await self._empty.wait()


def _creator_of_tasks(loop: Any) -> Callable[..., Any] | None:
    """Return what makes a task whose first step is later; ``None`` on trio.

    An eager task factory (CPython 3.12) would run the first step here, inside of the
    accept loop. So it is left out, as in anyio's task groups.
    """
    if not hasattr(loop, "create_task"):
        return None
    asyncio: Any = sys.modules["asyncio"]
    eager: Any = getattr(asyncio, "eager_task_factory", None)
    # The functions that create_eager_task_factory() returns have its code, too.
    code = getattr(loop.get_task_factory(), "__code__", None)
    is_eager = code is not None and code is getattr(eager, "__code__", None)
    return partial(asyncio.Task, loop=loop) if is_eager else loop.create_task


async def _raise(error: BaseException) -> None:
    try:
        raise error
    finally:
        del error  # a cycle: its traceback refers to this frame
