"""Waiting for a socket on asyncio and on uvloop.

Theory of operation
-------------------
asyncio's own means (``loop.sock_recv()``, or ``add_reader()`` and a future) have two
costs for each message. The socket is registered with the selector before the wait and
removed after it: two system calls. And a future does not run the task that waits for
it. It schedules the task, and the loop looks at the selector once more before it runs
what was scheduled.

`AsyncioReadiness` avoids both. The socket stays registered from one message to the
next. When it is readable, the loop calls `_on_readable`, which receives the bytes and
runs the waiting task at once. If no task waits, it calls the watcher, which reads the
connection itself (row E18). If that wants no more, because the inbox is full, or if
there is no watcher, the callback removes the socket from the selector and leaves the
bytes in the kernel, so TCP slows the peer down. An echo of
16 bytes takes a fifth less than with a future of asyncio. It also keeps cancellation
simple: there is no moment at which bytes have been received and the task has not run
yet, so a cancelled task cannot lose any.

What each message needs of it is in its base class, `SocketFuture`, which is in C where
that was built (``_readiness_future``). That saves a sixth of the CPU time of an echo of
16 bytes. What is rare is here. The socket is non-blocking, and the callback in C
receives without releasing the GIL, so at most 64 KiB are copied with it.

**What a task asks of a future.** For all this, `AsyncioReadiness` takes the place of
an ``asyncio.Future``, again and again for the same socket. ``asyncio.isfuture()``
documents that an object counts as a future if it has ``_asyncio_future_blocking``. What
a task does with such an object can only be read in CPython (``Task.__step`` and
``Task.__wakeup`` in ``asyncio/tasks.py``, ``task_step_handle_result_impl`` and
``task_wakeup`` in ``_asynciomodule.c``). It is the same from Python 3.11 to 3.14, in C
and in Python, and was so long before:

- ``_asyncio_future_blocking`` must be true when the coroutine yields the object, which
  shows that it came through ``await``. The task sets it to ``False``. So `__await__`
  sets it to ``True`` just before each ``yield``.
- ``get_loop()`` must return the loop of the task.
- ``add_done_callback(wakeup, context=context)`` is called once for each wait. One task
  at a time may receive, so there is one callback to keep.
- ``result()`` is what the wakeup calls before it resumes the coroutine. If it raises,
  the exception is raised in the coroutine, at the ``yield``. What it returns is
  ignored; the bytes are what `__await__` returns.
- ``cancel(msg=message)`` is what ``Task.cancel()`` calls while the task waits. It must
  return whether the task will be woken with a ``CancelledError`` of that message (by
  which anyio recognises its own cancellations). After ``False`` the task raises the
  error itself when it is woken the next time: `_wake_soon` was called already.

Tasks do not ask for ``done()``. anyio's ``wait_all_tasks_blocked()`` does, and so do
tools that look at what tasks wait for.

The object is no instance of ``asyncio.Future``, so the code in asyncio and in anyio
that checks the type treats it as a future that is still pending. anyio then cancels
the task a second time where it would leave a finished future alone; both ways end in
one ``CancelledError``. The call graphs of Python 3.14 leave such a wait out.

**Why the wakeup may be called at once.** A future of asyncio calls it by way of
``call_soon()``. What that guarantees holds here for other reasons:

- No task is running then, else asyncio would refuse to enter another one. A callback of
  ``add_reader()`` is called by the loop itself, never by a task. `interrupt`, `cancel`
  and `close` are called by tasks, so these use ``call_soon()``.
- The wakeup runs in the context of its task, which cannot be entered twice. It is not
  entered at that time: the callback runs in no context of its own (see below).
- The task is woken once. The code that wakes it first takes the callback out of
  ``_wakeup``, whether it then calls or schedules it.
- What the task raises stays in the task. ``KeyboardInterrupt`` and ``SystemExit`` pass
  through the callback to the loop, as they do from any other step of a task.

**Nested loops.** A notebook with ``nest_asyncio``, or a debugger that evaluates an
``await``, runs the event loop inside a task, so inside the callback that woke the task.
When the socket is readable again, the inner loop calls the same callback. asyncio would
run it in the context that ``add_reader()`` copied for it, which the outer call is still
in: ``RuntimeError`` without an end, because the socket stays readable. So the context
of the handle is replaced by `_NoContext`, whose ``run()`` only calls. The callback
needs no context, and the task that it wakes has its own. This reads
``Handle._context``, and what ``_add_reader()`` returns, which are not documented; a
loop that is not asyncio's own is used by ``add_reader()``, and cannot be nested.

**What would break it.** A task that insists on a real ``Future``, or that asks for a
further attribute, ends the first ``receive()`` that has to wait with a ``RuntimeError``
("Task got bad yield") or an ``AttributeError``: loud, on the first message. The test
``test_what_a_task_asks_of_its_future`` records every attribute that a task uses, for
tasks in C and in Python, and fails if there is a new one. The tests next to it check
the rest: cancellation that meets the bytes, a wake-up without bytes, the context.
"""

from __future__ import annotations

import asyncio
import operator
import socket
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import anyio

from ._interface import LOOK_INTERVAL, Watcher
from ._readiness_future import SocketFuture


class _NoContext:
    """What a callback runs in if it may be called while it is being called."""

    run = operator.call


class _NamedCallback:
    """The callback of a socket in asyncio's debug mode.

    asyncio logs callbacks that take long. If one is a method of a task, the task is
    named, and what takes long is the task that the callback runs.
    """

    def __init__(self, readiness: AsyncioReadiness) -> None:
        self._readiness = readiness
        self._task: weakref.ref[Any] | None = None

    @property
    def __self__(self) -> object:
        return None if self._task is None else self._task()

    def __call__(self) -> None:
        readiness: Any = self._readiness
        task = getattr(readiness._wakeup, "__self__", None)
        self._task = None if task is None else weakref.ref(task)
        readiness._on_readable()


class _Linger:
    """A block in which `receive` is interrupted when some seconds are over.

    The loop calls `interrupt` between two steps of the task. Then the task waits for
    the socket, because it waits for nothing else in the block. A cancel scope of anyio
    would do as well, and takes 4 % of a connection.
    """

    __slots__ = ("_loop", "_readiness", "_seconds", "_timer")

    def __init__(
        self,
        readiness: AsyncioReadiness,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
    ) -> None:
        self._readiness = readiness
        self._loop = loop
        self._seconds = seconds

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._readiness.interrupt)

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()


class AsyncioReadiness(SocketFuture):
    """A socket on asyncio's selector, and the future that its reader waits for.

    :param loop: the running event loop
    :param sock: a non-blocking socket

    """

    __slots__ = ("_look_is_scheduled", "_watcher", "_writer")
    is_in_c: ClassVar[bool] = not hasattr(SocketFuture, "_read")  # of `AdaptiveReads`

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self._watcher: Watcher | None = None  # is called while no task waits
        self._look_is_scheduled = False
        self._writer: asyncio.Future[bool] | None = None  # of the task that waits

    def for_socket(self, sock: socket.socket) -> AsyncioReadiness:
        return type(self)(self._loop, sock)

    def expect_end(self) -> None:
        self._full_reads = 0

    async def readable(self) -> None:
        self._size = 0
        if await self is None:
            raise anyio.ClosedResourceError

    def watch(self, watcher: Watcher) -> bool:
        if not self._is_registered:
            try:
                self._register()
            except OSError:  # no memory, or no room in the selector
                return False
        self._watcher = watcher
        return True

    def look_soon(self) -> None:
        if not self._look_is_scheduled:
            self._look_is_scheduled = True
            self._loop.call_later(LOOK_INTERVAL, self._look_now)

    def _look_now(self) -> None:
        self._look_is_scheduled = False
        if self._wakeup is None:
            self._look()

    def _look(self) -> None:
        watcher = self._watcher
        if watcher is None or not watcher.on_readable():
            self._unregister()  # the bytes stay in the kernel

    def _register(self) -> None:
        loop: Any = self._loop
        fd = self._socket.fileno()  # some loops do not take the socket itself
        callback = _NamedCallback(self) if loop.get_debug() else self._on_readable
        if type(self._loop).add_reader is not asyncio.SelectorEventLoop.add_reader:
            loop.add_reader(fd, callback)
            self._is_registered = True  # not if that failed for want of memory
            return
        # This is add_reader(), which checks the descriptor, and forgets the handle.
        handle = loop._add_reader(fd, callback)
        self._is_registered = True
        if isinstance(handle, asyncio.Handle):  # pragma: no branch - if Python changes
            handle._context = _NoContext  # type: ignore[attr-defined]

    def _unregister(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._loop.remove_reader(self._socket.fileno())

    def interrupt(self) -> None:
        if self._wakeup is not None:
            self._wake_soon()

    def _wake_soon(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        assert wakeup is not None
        self._loop.call_soon(wakeup, self, context=self._context)

    def linger(self, seconds: float) -> _Linger:
        return _Linger(self, self._loop, seconds)

    async def writable(self) -> None:
        if self._writer is not None:
            raise anyio.BusyResourceError("writing to")
        # anyio's wait_writable() removes what is registered when the waiting task runs
        # again. By then the socket may be closed, and its number another socket's.
        self._loop.add_writer(self._socket.fileno(), self._end_writing, True)
        waiter = self._writer = self._loop.create_future()
        try:
            is_open = await waiter
        finally:
            if self._writer is waiter:  # cancelled
                self._end_writing(False)
        if not is_open:
            raise anyio.ClosedResourceError

    def _end_writing(self, is_open: bool) -> None:
        waiter, self._writer = self._writer, None
        if waiter is not None:
            self._loop.remove_writer(self._socket.fileno())
            if not waiter.done():
                waiter.set_result(is_open)

    def call_soon(self, callback: Callable[[], None]) -> bool:
        self._loop.call_soon(callback)
        return True

    def cancel(self, msg: str | None = None) -> bool:
        # One of the methods that a task asks for. `SocketFuture` has the others.
        if self._wakeup is None:
            return False
        self._error = asyncio.CancelledError(*() if msg is None else (msg,))
        self._wake_soon()
        return True

    def close(self) -> None:
        self.interrupt()
        # Both may refer to this connection: a cycle. A task's context has variables.
        self._context = self._watcher = None
        self._unregister()
        self._end_writing(False)


class UvloopReadiness(AsyncioReadiness):
    """The same on uvloop, where a reset removes the socket from the selector.

    libuv stops watching a socket when it sees an error on it. It still calls the
    callback once, and if bytes came before the reset, they are what this call reads.
    The error would then never be reported, and the next ``receive()`` would wait for
    ever. So before it waits it asks whether the socket still has a peer (0.6 us). If it
    has none, we unregister the socket and register it again, and libuv reports the
    error.

    A write that succeeded after the read says the same, as a socket that was reset
    takes no bytes. So a server that replies to each message never has to ask.
    """

    __slots__ = ()

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self._tells_no_reset = True

    def watch(self, watcher: Watcher) -> bool:
        if self.may_be_reset:
            self._forget_if_reset()
        return super().watch(watcher)

    def _look(self) -> None:
        super()._look()
        self._forget_if_reset()  # if the watcher has not read

    def _forget_if_reset(self) -> None:
        self.may_be_reset = False
        try:
            self._socket.getpeername()
        except OSError:
            self._unregister()
