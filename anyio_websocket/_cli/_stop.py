"""Ctrl-C, SIGINT and SIGTERM: the first asks a command to end, the second ends it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Final

import anyio
from anyio import CancelScope
from anyio.abc import TaskStatus

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """What a command asks to know whether it shall end.

    Its work is done within `scope`. After it, the connection is closed properly.

    """

    def __init__(self) -> None:
        self.scope = CancelScope()
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that a signal ended; ``None`` without a signal."""
        return None if self.signal is None else 128 + self.signal


async def run_until_signal(command: Callable[[Stop], Awaitable[int]]) -> int:
    """Run a command, and let signals stop it; return its exit code."""
    stop = Stop()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_watch, stop, tasks.cancel_scope)
        code = await command(stop)
        tasks.cancel_scope.cancel()
        return code
    # A second signal has cancelled the command.
    assert stop.exit_code is not None
    return stop.exit_code


async def _watch(
    stop: Stop, everything: CancelScope, *, task_status: TaskStatus[None]
) -> None:
    with ExitStack() as stack:
        try:
            receiver = anyio.open_signal_receiver(*_SIGNALS)
            signals = stack.enter_context(receiver)
        except NotImplementedError:
            # asyncio on Windows. There Ctrl-C raises KeyboardInterrupt.
            task_status.started()
            return
        task_status.started()
        stop.signal = await anext(signals)
        stop.scope.cancel()
        await anext(signals)
        everything.cancel()
