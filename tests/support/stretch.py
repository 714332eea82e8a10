"""How long a task may go on without a checkpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import FunctionType

import anyio
import pytest

from anyio_websocket import WebSocketConnection
from anyio_websocket._connection import _fairness, _outbox, _reader
from anyio_websocket._connection._outbox import Outbox


def set_max_stretch(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have a slow machine taken for a quick one (100 s), or a quick for a slow (0)."""
    for module in (_fairness, _outbox, _reader):
        monkeypatch.setattr(module, "MAX_STRETCH", seconds)
    send = vars(WebSocketConnection)["send_message"]
    if type(send) is not FunctionType:  # in C
        monkeypatch.setattr(send, "max_stretch", seconds)


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


def make_ready(connection: WebSocketConnection) -> Outbox:
    """Make the next message a reply that can be sent at once."""
    outbox = connection._core.outbox
    outbox.reply_due = True
    outbox._quick_replies_needed = 0
    outbox.last_yield.note()
    return outbox
