"""How long a task may go on without a checkpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from anyio_websocket._connection import _fairness, _outbox, _reader


def set_max_stretch(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have a slow machine taken for a quick one (100 s), or a quick for a slow (0)."""
    for module in (_fairness, _outbox, _reader):
        monkeypatch.setattr(module, "MAX_STRETCH", seconds)


async def calls_until_cancelled(call: Callable[[], Awaitable[object]]) -> int:
    """Count the calls that return although another task wants to cancel the caller.

    That task runs only when the caller lets it.
    """
    count = 0
    with anyio.CancelScope() as scope:

        async def cancel() -> None:
            scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel)
            while True:
                await call()
                count += 1
    assert scope.cancelled_caught
    return count
