"""A socket's bytes as a future of asyncio, in Python.

``_readiness_future_c.c`` does the same in C, and ``_readiness_future`` selects one of
the two. What this is for, and what a task asks of it, is in ``_readiness_asyncio``.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Callable, Generator

from ._adaptive_reads import MAX_FULL_READS, READ_FAILED, AdaptiveReads
from ._interface import TransportLost


class SocketFuture(AdaptiveReads):
    """What each message needs of `AsyncioReadiness`, which is derived from it.

    :param loop: the running event loop
    :param sock: a non-blocking socket

    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_context",
        "_data",
        "_error",
        "_is_registered",
        "_loop",
        "_size",
        "_tells_no_reset",
        "_wakeup",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(sock)
        self._loop = loop
        self._is_registered = False
        self._tells_no_reset = False  # see `UvloopReadiness`
        # Bytes that the waiting task asks for; 0 if it only waits for readiness.
        self._size = 0
        # The future's state: what to call, if a task waits, and its outcome.
        self._asyncio_future_blocking = False
        self._wakeup: Callable[[SocketFuture], object] | None = None
        self._context: contextvars.Context | None = None  # the waiting task's
        self._data: bytes | None = None
        self._error: BaseException | None = None

    async def receive(self, size: int) -> bytes | None:
        try:
            if 0 < self._full_reads <= MAX_FULL_READS:
                try:
                    return self._read(size)
                except BlockingIOError:
                    pass
            self._full_reads = 0
            self._size = size
            return await self
        except Exception as exc:
            raise TransportLost(READ_FAILED) from exc

    def _on_readable(self) -> None:
        wakeup = self._wakeup
        if wakeup is None:
            self._look()
            return
        try:
            self._data = self._read(self._size) if self._size else b""
        except BlockingIOError:
            return
        except OSError as exc:
            self._error = exc
            self._wake_soon()
            return
        self._wakeup = None
        assert self._context is not None
        self._context.run(wakeup, self)

    # -- the future: see "What a task asks of a future" ------------------------

    def __await__(self) -> Generator[SocketFuture, None, bytes | None]:
        if self._tells_no_reset and self.may_be_reset:
            self._forget_if_reset()
        if not self._is_registered:
            self._register()
        self._data = self._error = None
        self._asyncio_future_blocking = True
        yield self
        return self._data

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self,
        callback: Callable[[SocketFuture], object],
        *,
        context: contextvars.Context | None = None,
    ) -> None:
        self._wakeup = callback
        self._context = context

    def done(self) -> bool:
        return self._wakeup is None

    def result(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a cycle: its traceback refers to this frame

    # -- what `AsyncioReadiness` does in Python, because it is rare -------------

    def _look(self) -> None:
        """Call the watcher: there are bytes, and no task waits for them."""

    def _register(self) -> None:
        """Have the loop call `_on_readable` when there are bytes."""

    def _forget_if_reset(self) -> None:
        """Have the socket registered again if it was reset."""

    def _wake_soon(self) -> None:
        """Wake the task that waits in the loop's next pass."""
