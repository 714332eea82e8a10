"""The nursery behind `open_websocket`, and the check of those that users pass.

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

from .._types import Nursery


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


def check_nursery(nursery: object, function: str) -> None:
    """Check that tasks can be started in a nursery, by starting one that does nothing.

    :param nursery: what a user passed
    :param function: the name of the function that was called, for the error
    :raises TypeError: if it is not a nursery
    :raises RuntimeError: if it takes no tasks, because it has ended or was not entered

    """
    if not callable(getattr(nursery, "start_soon", None)):
        raise TypeError(
            f"{function}() needs an anyio task group or a trio nursery, entered with "
            f'"async with", as its first argument, not {_kind(nursery)}'
        )
    try:
        cast("Nursery", nursery).start_soon(_nothing)
    except RuntimeError as exc:
        raise RuntimeError(
            f"{function}() was passed a nursery that takes no tasks: {exc}"
        ) from exc


async def _nothing() -> None:
    pass


def _kind(thing: object) -> str:
    # Not its repr: a URL may have a password in it.
    kind = type(thing)
    return (
        kind.__name__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    )
