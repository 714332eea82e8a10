"""Waiting for a socket on trio.

Theory of operation
-------------------
trio registers a socket for one event at a time (``EPOLLONESHOT`` on Linux) and runs the
task in the next pass of its scheduler, so a socket cannot stay registered as it does on
asyncio. trio's ``wait_readable()`` is used as it is. By way of anyio's
``wait_readable()`` an echo of 16 bytes takes a tenth more.

To make a task leave ``wait_readable()``, `interrupt` calls ``notify_closing()``, even
though the socket stays open. All that trio does then is to raise
``ClosedResourceError`` in the tasks that wait for the socket. A waiting writer is woken
as well, sees that the socket is not closed, and waits again.

**The next pass.** trio has no ``call_soon()``. ``run_sync_soon()`` may be called from
other threads and signal handlers, which makes it expensive: 6.5 us. To wake a task of
one's own takes 1.6 us, so `_NextPass` is a task that waits, is woken, and calls what
was added to its list. It uses three documented functions of ``trio.lowlevel``:
``spawn_system_task()``, ``wait_task_rescheduled()`` and ``reschedule()``. They have two
rules:

- A task may be rescheduled once for each wait. `call` takes the task out of ``_task``
  before it wakes it, and ``_task`` is set again only by the task itself.
- A task that is cancelled must not be rescheduled. `_abort` clears ``_task``.

trio cancels its system tasks when the main task has ended, while other system tasks may
still use a connection. From then on `call` returns ``False``, and the caller does
without the delay. What was added before is called at the end of `_run`, so nothing is
lost. ``test_calls_while_trio_ends_its_system_tasks`` calls before, during and after
that moment.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import ClassVar, Final

import anyio
import trio
from anyio.lowlevel import RunVar
from trio.lowlevel import wait_readable, wait_writable

from ._adaptive_reads import MAX_FULL_READS, READ_FAILED, AdaptiveReads
from ._interface import TransportLost, Watcher
from ._readiness_epoll import SocketWatch, socket_watch


class TrioReadiness(AdaptiveReads):
    """A socket on trio: each wait is registered by itself.

    :param sock: a non-blocking socket

    """

    __slots__ = (
        "_cannot_be_watched",
        "_is_closed",
        "_is_receiving",
        "_watch",
        "_watcher",
        "is_listed",
    )
    is_in_c: ClassVar[bool] = False

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._is_receiving = False
        self._is_closed = False
        self._cannot_be_watched = False
        #: see `Unattended`
        self.is_listed: bool = False
        self._watch: SocketWatch | None = None
        self._watcher: Watcher | None = None  # is called while no task waits

    def for_socket(self, sock: socket.socket) -> TrioReadiness:
        return TrioReadiness(sock)

    def expect_end(self) -> None:
        self._full_reads = 0

    async def receive(self, size: int) -> bytes | None:
        if self._is_closed:  # trio would keep the task, for file descriptor -1
            raise TransportLost(READ_FAILED)
        at_once = 0 < self._full_reads <= MAX_FULL_READS
        try:
            while True:
                if not at_once:
                    self._full_reads = 0
                    self._is_receiving = True
                    try:
                        await wait_readable(self._socket)
                    finally:
                        self._is_receiving = False
                        if self._watch is not None and not self.is_listed:
                            self._watch.add(self)
                try:
                    return self._read(size)
                except BlockingIOError:
                    at_once = False
        except trio.ClosedResourceError:  # by interrupt() or close()
            return None
        except Exception as exc:
            raise TransportLost(READ_FAILED) from exc

    async def readable(self) -> None:
        try:
            await wait_readable(self._socket)
        except trio.ClosedResourceError:
            raise anyio.ClosedResourceError from None

    def watch(self, watcher: Watcher) -> bool:
        if not self._cannot_be_watched:
            self._watch = socket_watch()
        if self._watch is None:
            return False
        self._watcher = watcher
        self._watch.add(self)
        return True

    def look_soon(self) -> None:
        if self._watch is not None:
            self._watch.add(self)

    # -- for SocketWatch -------------------------------------------------------

    def fileno(self) -> int:
        return self._socket.fileno()

    def on_readable(self) -> None:
        # If a task waits, it will add the socket again.
        watcher = self._watcher
        if watcher is not None and not self._is_receiving:
            if not watcher.on_readable():
                self._watcher = None
            elif self._watch is not None:  # not closed meanwhile
                self._watch.enter(self)

    def on_unwatched(self) -> None:
        watcher, self._watcher = self._watcher, None
        self._watch = None
        self._cannot_be_watched = True
        if watcher is not None:
            watcher.on_unwatched()

    def interrupt(self) -> None:
        if self._is_receiving and not self._is_closed:
            trio.lowlevel.notify_closing(self._socket)  # closes nothing

    def linger(self, seconds: float) -> trio.CancelScope:
        return trio.CancelScope(deadline=trio.current_time() + seconds)

    async def writable(self) -> None:
        while True:
            try:
                await wait_writable(self._socket)
            except trio.ClosedResourceError:
                if self._is_closed:
                    raise
                # It was interrupt(), which meant the reader.
            else:
                return

    def call_soon(self, callback: Callable[[], None]) -> bool:
        try:
            next_pass = _next_pass.get()
        except LookupError:
            next_pass = _NextPass()
            _next_pass.set(next_pass)
        return next_pass.call(callback)

    def close(self) -> None:
        self._is_closed = True
        if self._watch is not None:
            self._watch.discard(self)
            self._watch = self._watcher = None
        trio.lowlevel.notify_closing(self._socket)


class _NextPass:
    """Calls back in the next pass of trio's scheduler; there is one for each run."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._task: trio.lowlevel.Task | None = None  # while it waits
        self._is_over = False
        trio.lowlevel.spawn_system_task(self._run)

    def call(self, callback: Callable[[], None]) -> bool:
        if self._is_over:
            return False
        self._callbacks.append(callback)
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)
        return True

    async def _run(self) -> None:
        try:
            while True:
                self._call_back()
                if self._callbacks:  # added by those that were called
                    await trio.lowlevel.checkpoint()
                    continue
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self._is_over = True
            self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _abort(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


_next_pass: Final[RunVar[_NextPass]] = RunVar("anyio_websocket._next_pass")
