"""The nursery behind `open_websocket`, which its user does not notice.

In: the block of an ``async with`` and a background task. Out: what the block raised.

It differs from a task group of anyio in two ways. It never cancels the task that runs
the block. On asyncio such a cancellation counts in ``Task.cancelling()``, where it
could be taken for one by the user, or by `asyncio.TaskGroup` and `asyncio.timeout`
inside the block. So leaving the block waits for the background task, which has to end
by itself. And the block's exception comes out as it is, never in a group.
"""

from __future__ import annotations

from types import TracebackType
from typing import cast

from anyio import create_task_group, get_cancelled_exc_class
from anyio.abc import TaskGroup


class PrivateNursery:
    """Runs a background task beside a block.

    If the task raises nonetheless (Ctrl-C that arrived in it, or a bug), the block is
    cancelled, and what was raised comes out unless the block has an exception of its
    own.

    """

    async def __aenter__(self) -> TaskGroup:
        self._tasks = create_task_group()
        return await self._tasks.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # The task group is not told of the block's exception, so that it neither
            # cancels anything nor wraps the exception.
            await self._tasks.__aexit__(None, None, None)
        except BaseException as internal:
            outcome = choose(error, internal)
        else:
            return
        if outcome is not error:
            raise outcome


def choose(error: BaseException | None, internal: BaseException) -> BaseException:
    """Choose which exception comes out when the task group raises one as well.

    :param error: what the block raised, ``None`` if nothing
    :param internal: what the task group raised

    """
    if not isinstance(internal, BaseExceptionGroup):
        return error or internal  # cancelled while waiting for the task
    group = cast("BaseExceptionGroup[BaseException]", internal)
    if error is not None and not isinstance(error, get_cancelled_exc_class()):
        group.__context__ = error.__context__
        error.__context__ = group
        return error
    if group.subgroup(KeyboardInterrupt) is not None:
        interrupt = KeyboardInterrupt()
        interrupt.__cause__ = group
        return interrupt
    return group
