"""Waiting for a socket: what transports ask of the event loop, and which one it is.

Each event loop has a module of its own, which is imported when that loop runs. So a
program on asyncio never imports trio.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from operator import methodcaller
from typing import Any, ClassVar, Protocol

import anyio
from anyio.lowlevel import current_token

from ._interface import Watcher


class Readiness(Protocol):
    """What the owner of a socket asks of the event loop.

    One task at a time may receive, and one may wait to write.
    """

    #: whether bytes were received, and none sent since then. A socket that was reset
    #: takes none, so a successful write clears this
    may_be_reset: bool
    #: whether `receive` is in C, and what it returns may be sent to from there
    is_in_c: ClassVar[bool]

    def for_socket(self, sock: socket.socket) -> Readiness:
        """Return the readiness of another non-blocking socket, on the same event loop.

        To find out again which event loop runs would take 2 % of the CPU time of a
        connection that opens and closes.
        """
        ...

    def receive(self, size: int) -> Coroutine[Any, Any, bytes | None]:
        """Return some bytes, ``b""`` at the end, ``None`` after `interrupt`.

        If it is cancelled, no bytes are lost: the next call returns them.

        :param size: the largest number of bytes to return
        :raises TransportLost: if the connection is broken

        """
        ...

    def expect_end(self) -> None:
        """Have the next `receive` wait, even if the last one brought much."""

    async def readable(self) -> None:
        """Wait until there is something to receive, or a connection to accept.

        :raises ClosedResourceError: if `close` is called meanwhile

        """

    def watch(self, watcher: Watcher) -> bool:
        """Call back when there is something to receive and no task is in `receive`.

        :return: ``False`` if it is not possible

        """
        ...

    def look_soon(self) -> None:
        """Call the watcher within `LOOK_INTERVAL`, even if nothing comes."""

    def interrupt(self) -> None:
        """Make ``receive()`` return ``None`` if a task is in there."""

    def linger(self, seconds: float) -> AbstractContextManager[object]:
        """Return a block in which `receive` ends within some seconds.

        When they are over, the block is cancelled, or `receive` returns ``None``.
        """
        ...

    async def writable(self) -> None:
        """Wait until the socket takes more bytes."""

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Call back in the scheduler's next pass.

        :return: ``False`` if there will be no such pass, and so no call

        """
        ...

    def close(self) -> None:
        """Wake the tasks that wait, and release the socket.

        The caller closes the socket next.
        """


def current_time() -> float:
    """Return what anyio's function does, also where no task runs.

    That is in a callback of asyncio, which reads while no task does. anyio knows the
    event loop there only if the program runs under ``anyio.run()``.
    """
    try:
        return anyio.current_time()
    except RuntimeError:
        now: float = sys.modules["asyncio"].get_running_loop().time()
        return now


def clock_of_loop() -> Callable[[], float]:
    """Return what tells the time of the running event loop, as anyio's function does.

    That one finds out which event loop runs with each call, which takes 5 000
    instructions more.
    """
    loop: Any = current_token().native_token
    if not hasattr(loop, "time"):  # trio's token. Who runs on trio has imported it
        clock: Callable[[], float] = sys.modules["trio"].current_time
        return clock
    # Not the bound method: a test may give the loop another clock meanwhile.
    return partial(methodcaller("time"), loop)


def can_wait_for_sockets() -> bool:
    """Say whether the running event loop can wait for sockets.

    On Windows asyncio's ``ProactorEventLoop`` cannot. It starts operations and reports
    their completion, and has no notion of a socket that is ready.
    """
    loop = current_token().native_token
    asyncio = sys.modules.get("asyncio")
    return not isinstance(loop, getattr(asyncio, "ProactorEventLoop", ()))


def readiness_of(sock: socket.socket) -> Readiness:
    """Choose the implementation for the running event loop.

    :param sock: a non-blocking socket

    """
    loop: Any = current_token().native_token
    # A program that runs on asyncio or uvloop has imported it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(loop, asyncio.AbstractEventLoop):
        from ._readiness_asyncio import AsyncioReadiness, UvloopReadiness

        is_uvloop = isinstance(loop, getattr(sys.modules.get("uvloop"), "Loop", ()))
        return (UvloopReadiness if is_uvloop else AsyncioReadiness)(loop, sock)
    from ._readiness_trio import TrioReadiness

    return TrioReadiness(sock)
