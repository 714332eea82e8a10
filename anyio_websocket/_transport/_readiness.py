"""Waiting for a socket: the one room that knows an event loop.

In: a non-blocking socket. Out: its bytes as they come, and the moment at which it takes
more.

Theory of operation
-------------------
On asyncio's loops (uvloop's too) a socket that is waited for is registered with the
selector, and taken off it when the wait is over: two system calls for each message.
So here the socket stays registered. What the callback receives goes to the task that
waits, which it runs at once; if no task waits, the callback takes the socket off the
selector and leaves the bytes where they are, with TCP to slow the peer down. An echo
of 16 bytes takes a fifth less than it takes with a future of asyncio's to wait for.

trio registers sockets for one event anyway, so there its own ``wait_readable()`` does.

A read that came back full is followed by another one at once, for there is probably
more; only a few times in a row, so that a fast peer does not keep the loop for itself.
"""

from __future__ import annotations

import contextvars
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import anyio
from anyio.lowlevel import RunVar, current_token

from ._interface import TransportLost

if TYPE_CHECKING:
    import asyncio

# reads without waiting in between; with 128 KiB each, a turn of a megabyte
FULL_READS: Final = 8

# bytes that are asked for unless the last read brought as many: 64 KiB and the header
# of their frame. A block of that size malloc has at hand; one of 128 KiB costs a third
# more where it is not needed, and a third less where it is (1 MiB).
SHORT_READ: Final = 65_550

_BROKEN: Final = "the socket broke while receiving"


class Readiness(Protocol):
    """What a socket's owner asks of the event loop.

    One task at a time may receive, and one may wait to write.
    """

    def receive(self, size: int) -> Coroutine[Any, Any, bytes | None]:
        """Return some bytes, ``b""`` at the end, ``None`` if interrupted.

        Cancelling loses none.

        :raises TransportLost: if the connection is broken
        """
        ...

    async def readable(self) -> None:
        """Wait until there is something to receive, or to accept.

        :raises ClosedResourceError: if it is closed meanwhile
        """

    def interrupt(self) -> None:
        """Make ``receive()`` return."""

    async def writable(self) -> None:
        """Wait until the socket takes more."""

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Call in the next pass of the scheduler; ``False`` if there is none to be."""
        ...

    def close(self) -> None:
        """Let go of the socket, which is closed next."""


def can_wait() -> bool:
    """Say whether the running event loop can wait for sockets."""
    loop = current_token().native_token
    asyncio = sys.modules.get("asyncio")
    # Windows' own loop knows operations, not readiness.
    return not isinstance(loop, getattr(asyncio, "ProactorEventLoop", ()))


def readiness_of(sock: socket.socket) -> Readiness:
    """Choose how to wait for a socket on the running event loop."""
    loop: Any = current_token().native_token
    asyncio = sys.modules.get("asyncio")  # where it runs, somebody has imported it
    if asyncio is not None and isinstance(loop, asyncio.AbstractEventLoop):
        if type(loop).__module__.partition(".")[0] == "uvloop":
            return _RegisteredWithLibuv(loop, sock)
        return _Registered(loop, sock)
    return _OneByOne(sys.modules["trio"], sock)


class _Reads:
    """How much to ask a socket for, and when to try it without being told to."""

    __slots__ = ("_full", "_is_bulk", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # Reads in a row that came back full. A client's request comes right behind its
        # connection, so the first read is tried at once as well.
        self._full = 1
        self._is_bulk = False  # whether the last read brought much

    def _read(self, size: int) -> bytes:
        asked = size if self._is_bulk else min(size, SHORT_READ)
        data = self._socket.recv(asked)
        self._full = self._full + 1 if len(data) == asked else 0
        self._is_bulk = len(data) >= SHORT_READ
        return data


class _Registered(_Reads):
    """On asyncio: the socket stays registered from one message to the next.

    To asyncio this is also the future that the receiving task waits for, again and
    again: it has what a task asks of one. A future of asyncio's own only schedules its
    task, which is then run in the loop's next iteration, with another look at the
    selector in between. Here the callback that has the bytes runs the task that wants
    them. There is nothing in between that could be cancelled with the bytes in its
    hands, either.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_context",
        "_data",
        "_error",
        "_is_registered",
        "_loop",
        "_size",
        "_wakeup",
        "_writes",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(sock)
        self._loop = loop
        self._is_registered = False
        self._size = 0  # what the task asks for that waits; 0 to be told and no more
        self._writes = False  # whether a task waits to write
        self._asyncio_future_blocking = False
        self._wakeup: Callable[[_Registered], object] | None = None  # if a task waits
        self._context: contextvars.Context | None = None  # which that runs in
        self._data: bytes | None = None
        self._error: BaseException | None = None

    async def receive(self, size: int) -> bytes | None:
        try:
            if 0 < self._full <= FULL_READS:
                try:
                    return self._read(size)
                except BlockingIOError:
                    pass
            self._full = 0
            self._size = size
            return await self
        except Exception as exc:
            raise TransportLost(_BROKEN) from exc

    async def readable(self) -> None:
        self._size = 0
        if await self is None:
            raise anyio.ClosedResourceError

    def _on_readable(self) -> None:
        wakeup = self._wakeup
        if wakeup is None:
            self._unregister()  # nobody wants it yet
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

    def _unregister(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._loop.remove_reader(self._socket)

    def interrupt(self) -> None:
        if self._wakeup is not None:
            self._wake_soon()

    def _wake_soon(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        assert wakeup is not None
        self._loop.call_soon(wakeup, self, context=self._context)

    async def writable(self) -> None:
        self._writes = True
        try:
            await anyio.wait_writable(self._socket)
        finally:
            self._writes = False

    def call_soon(self, callback: Callable[[], None]) -> bool:
        self._loop.call_soon(callback)
        return True

    def close(self) -> None:
        self.interrupt()
        self._context = None  # may have somebody's variables that lead back to us
        self._unregister()
        if self._writes:
            anyio.notify_closing(self._socket)

    # -- the future, for the task and its event loop ---------------------------

    def __await__(self) -> Generator[_Registered, None, bytes | None]:
        if not self._is_registered:
            self._loop.add_reader(self._socket, self._on_readable)
            self._is_registered = True
        self._data = self._error = None
        self._asyncio_future_blocking = True
        yield self
        return self._data

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self,
        callback: Callable[[_Registered], object],
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
                del error  # its traceback holds this frame

    def cancel(self, msg: str | None = None) -> bool:
        if self._wakeup is None:
            return False
        # By its message anyio tells its own cancellations.
        asyncio = sys.modules["asyncio"]
        self._error = asyncio.CancelledError(*() if msg is None else (msg,))
        self._wake_soon()
        return True


class _RegisteredWithLibuv(_Registered):
    """On uvloop: the same, but a socket that was reset is taken off behind our back.

    libuv does so when it sees the error, and bytes that came before it are read in the
    same call. So after each read we ask whether there still is a peer (1 us); a
    socket that is registered anew reports its error once more.
    """

    __slots__ = ()

    def _read(self, size: int) -> bytes:
        data = super()._read(size)
        try:
            self._socket.getpeername()
        except OSError:
            self._unregister()
        return data


class _OneByOne(_Reads):
    """On trio: each wait is a registration of its own.

    Over anyio's ``wait_readable()`` an echo of 16 bytes takes a tenth more.
    """

    __slots__ = ("_is_closed", "_trio", "_waits")

    def __init__(self, trio: Any, sock: socket.socket) -> None:
        super().__init__(sock)
        self._trio = trio
        self._waits = False
        self._is_closed = False

    async def receive(self, size: int) -> bytes | None:
        if self._is_closed:  # trio would never forget who waits for it
            raise TransportLost(_BROKEN)
        at_once = 0 < self._full <= FULL_READS
        try:
            while True:
                if not at_once:
                    self._full = 0
                    self._waits = True
                    try:
                        await self._trio.lowlevel.wait_readable(self._socket)
                    finally:
                        self._waits = False
                try:
                    return self._read(size)
                except BlockingIOError:
                    at_once = False
        except self._trio.ClosedResourceError:  # by interrupt() or close()
            return None
        except Exception as exc:
            raise TransportLost(_BROKEN) from exc

    async def readable(self) -> None:
        try:
            await self._trio.lowlevel.wait_readable(self._socket)
        except self._trio.ClosedResourceError:
            raise anyio.ClosedResourceError from None

    def interrupt(self) -> None:
        if self._waits and not self._is_closed:
            # wakes who waits, and closes nothing
            self._trio.lowlevel.notify_closing(self._socket)

    async def writable(self) -> None:
        while True:
            try:
                await self._trio.lowlevel.wait_writable(self._socket)
            except self._trio.ClosedResourceError:  # or interrupt() meant the reader
                if self._is_closed:
                    raise
            else:
                return

    def call_soon(self, callback: Callable[[], None]) -> bool:
        try:
            next_pass = _next_passes.get()
        except LookupError:
            next_pass = _NextPass(self._trio)
            _next_passes.set(next_pass)
        return next_pass.call(callback)

    def close(self) -> None:
        self._is_closed = True
        self._trio.lowlevel.notify_closing(self._socket)


class _NextPass:
    """Calls in trio's next pass: to wake a task takes 1.6 us, run_sync_soon() 6.5.

    It is a system task, which trio ends together with the others once the main task is
    over. What others still send then is not held back.

    """

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._callbacks: list[Callable[[], None]] = []
        self._task: Any = None  # once it waits
        self._is_over = False
        trio.lowlevel.spawn_system_task(self._run)

    def call(self, callback: Callable[[], None]) -> bool:
        if self._is_over:
            return False
        self._callbacks.append(callback)
        task, self._task = self._task, None
        if task is not None:
            self._trio.lowlevel.reschedule(task)
        return True

    async def _run(self) -> None:
        try:
            while True:
                self._call_back()
                self._task = self._trio.lowlevel.current_task()
                await self._trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self._is_over = True
            self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _abort(self, raise_cancel: Callable[[], NoReturn]) -> Any:
        self._task = None
        return self._trio.lowlevel.Abort.SUCCEEDED


_next_passes: Final[RunVar[_NextPass]] = RunVar("anyio_websocket._next_passes")
