"""Cancelling some work at its n-th step, a step being each time it gives way."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio


@types.coroutine
def stepped(
    work: Coroutine[Any, Any, Any], on_step: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and tell each time when it is about to give way."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            trap = work.send(value) if error is None else work.throw(error)
        except StopIteration as exc:
            return exc.value
        on_step()
        value = error = None
        try:
            value = yield trap
        except BaseException as exc:
            error = exc


async def cancelled_at(at: int | None, work: Coroutine[Any, Any, Any]) -> int:
    """Cancel some work at a step; return how many it had until then.

    Work that ends before it sees its cancellation has as many steps as it had without.

    """
    count = 0

    def step() -> None:
        nonlocal count
        if count == at:
            scope.cancel()
        count += 1

    with anyio.CancelScope() as scope:
        await stepped(work, step)
    return count
