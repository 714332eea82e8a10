"""Ctrl-C, SIGINT and SIGTERM: the first asks a command to end, the second ends it."""

from __future__ import annotations

import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import Final

import anyio
from anyio import CancelScope
from anyio.abc import TaskStatus
from anyio.from_thread import run_sync
from anyio.lowlevel import current_token

CLOSE_TIMEOUT: Final = 2.0  # seconds; somebody waits for the program to end

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """What a command asks to know whether it should end.

    Its work is done within `scope`. After it, the connection is closed properly, within
    `closing`, which has no deadline until somebody waits for the end.

    """

    def __init__(self) -> None:
        self.scope = CancelScope()
        self.closing = CancelScope()
        self.signal: int | None = None

    def hurry(self) -> None:
        """Let all end in `CLOSE_TIMEOUT` seconds, whether the peer helps or not."""
        self.closing.deadline = anyio.current_time() + CLOSE_TIMEOUT

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
            signals: AsyncIterator[int] = stack.enter_context(receiver)
        except NotImplementedError:
            signals = stack.enter_context(_interrupts())
        task_status.started()
        stop.signal = await anext(signals)
        stop.hurry()
        stop.scope.cancel()
        await anext(signals)
        everything.cancel()


@contextmanager
def _interrupts() -> Generator[AsyncIterator[int]]:
    """Receive Ctrl-C where the event loop cannot: asyncio on Windows."""
    send, receive = anyio.create_memory_object_stream[int](math.inf)
    token = current_token()

    def tell(number: int) -> None:
        with suppress(RuntimeError, anyio.ClosedResourceError):  # it has just ended
            run_sync(send.send_nowait, number, token=token)

    def handle(number: int, frame: object) -> None:
        # It is called in the middle of anything, so another thread calls the loop.
        Thread(target=tell, args=(number,), daemon=True).start()

    before = signal.signal(signal.SIGINT, handle)
    try:
        with send, receive:
            yield receive
    finally:
        signal.signal(signal.SIGINT, before)
