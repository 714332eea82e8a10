"""Waiting for a socket: the one room that knows an event loop.

In: a non-blocking socket. Out: its bytes as they come, and the moment at which it takes
more.

Theory of operation
-------------------
On asyncio's loops (uvloop's too) a socket that is waited for is registered with the
selector, and taken off it when the wait is over: two system calls for each message.
So here the socket stays registered. What the callback receives goes to the task that
waits, through a future; if no task waits, the callback takes the socket off the
selector and leaves the bytes where they are, with TCP to slow the peer down. Echoing
16 bytes costs a third less that way than over an asyncio transport.

trio registers sockets for one event anyway, so there, and wherever else anyio runs,
``wait_readable()`` does.

A read that came back full is followed by another one at once, for there is probably
more; only a few times in a row, so that a fast peer does not keep the loop for itself.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
from anyio.lowlevel import current_token

if TYPE_CHECKING:
    import asyncio

# reads without waiting in between; with 64 KiB each, a turn of half a megabyte
FULL_READS: Final = 8


class Readiness(Protocol):
    """What a socket's owner asks of the event loop.

    One task at a time may receive, and one may wait to write.
    """

    async def receive(self, size: int) -> bytes | None:
        """Return some bytes, ``b""`` at the end, ``None`` if interrupted.

        Cancelling loses none.

        :raises OSError: if the connection is broken
        """

    def interrupt(self) -> None:
        """Make ``receive()`` return."""

    async def writable(self) -> None:
        """Wait until the socket takes more."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call in the next pass of the scheduler."""

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
        return _Registered(loop, sock)
    return _OneByOne(sys.modules["trio"], sock)


class _Registered:
    """On asyncio: the socket stays registered from one message to the next."""

    __slots__ = (
        "_full",
        "_future",
        "_is_registered",
        "_kept",
        "_loop",
        "_size",
        "_socket",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._socket = sock
        self._is_registered = False
        self._future: asyncio.Future[bytes | None] | None = None  # of who waits
        self._size = 0  # what it asks for
        self._kept: bytes | None = None  # what it was given, but was cancelled
        self._full = 0  # reads in a row that came back full

    async def receive(self, size: int) -> bytes | None:
        if self._kept is not None:
            data, self._kept = self._kept, None
            return data
        if 0 < self._full <= FULL_READS:
            try:
                return self._read(size)
            except BlockingIOError:
                pass
        self._full = 0
        if not self._is_registered:
            self._loop.add_reader(self._socket, self._readable)
            self._is_registered = True
        self._size = size
        future: asyncio.Future[bytes | None]
        future = self._future = self._loop.create_future()
        try:
            return await future
        except BaseException:
            if future.done() and not future.cancelled() and not future.exception():
                self._kept = future.result()
            raise
        finally:
            self._future = None

    def _readable(self) -> None:
        future = self._future
        if future is None or future.done():
            self._unregister()  # nobody wants it yet
            return
        try:
            future.set_result(self._read(self._size))
        except BlockingIOError:
            pass
        except OSError as exc:
            future.set_exception(exc)

    def _read(self, size: int) -> bytes:
        data = self._socket.recv(size)
        self._full = self._full + 1 if len(data) == size else 0
        return data

    def _unregister(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._loop.remove_reader(self._socket)

    def interrupt(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def writable(self) -> None:
        await anyio.wait_writable(self._socket)

    def soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)

    def close(self) -> None:
        self.interrupt()
        self._unregister()
        anyio.notify_closing(self._socket)


class _OneByOne:
    """On trio: each wait is a registration of its own.

    Over anyio's ``wait_readable()`` an echo of 16 bytes takes a tenth more.
    """

    __slots__ = ("_full", "_is_closed", "_socket", "_trio", "_waits")

    def __init__(self, trio: Any, sock: socket.socket) -> None:
        self._trio = trio
        self._socket = sock
        self._full = 0  # reads in a row that came back full
        self._waits = False
        self._is_closed = False

    async def receive(self, size: int) -> bytes | None:
        at_once = 0 < self._full <= FULL_READS
        while True:
            if not at_once:
                self._full = 0
                self._waits = True
                try:
                    await self._trio.lowlevel.wait_readable(self._socket)
                except self._trio.ClosedResourceError:  # by interrupt() or close()
                    return None
                finally:
                    self._waits = False
            try:
                return self._read(size)
            except BlockingIOError:
                at_once = False

    def _read(self, size: int) -> bytes:
        data = self._socket.recv(size)
        self._full = self._full + 1 if len(data) == size else 0
        return data

    def interrupt(self) -> None:
        if self._waits:
            self._trio.lowlevel.notify_closing(
                self._socket
            )  # wakes who waits, and closes nothing

    async def writable(self) -> None:
        while True:
            try:
                await self._trio.lowlevel.wait_writable(self._socket)
            except self._trio.ClosedResourceError:  # or interrupt() meant the reader
                if self._is_closed:
                    raise
            else:
                return

    def soon(self, callback: Callable[[], None]) -> None:
        self._trio.lowlevel.current_trio_token().run_sync_soon(callback)

    def close(self) -> None:
        self._is_closed = True
        self._trio.lowlevel.notify_closing(self._socket)
