"""The connections of one `ReconnectingConnection`, which come one after the other.

In: how to connect, and what to do with each new connection. Out: the one to send on,
those to receive from, and why there will be no other.

`reconnecting` runs in a background task, with a session that only waits until the
connection is lost. So a connection is made again while the application computes, and a
call that is cancelled does not end an attempt that others wait for.

A connection that is lost may have messages that nobody has fetched. It is kept until
they are, and they come before those of the next one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, NoReturn

from anyio import CancelScope, Event, get_cancelled_exc_class, move_on_after

from .._connection import WebSocketConnection, has_unread
from .._errors import CloseReason, ConnectionClosed
from ._nursery import PrivateNursery
from ._reconnecting import called

_logger = logging.getLogger("anyio_websocket")

# Lost connections with messages that nobody has fetched. Each can hold a MiB. With more
# of them the next one has to wait, or the oldest is dropped if nobody fetches any.
MAX_UNREAD: Final = 4
# Seconds that the next one waits for another call that fetches a message. A program
# that once reads an answer, and then only sends, must not wait for ever.
PATIENCE: Final = 60.0

Session = Callable[[WebSocketConnection], Awaitable[None]]


class Connections:
    """The connections of one block, which are made one after the other.

    :param loop: runs a session over each of them
    :param on_connect: see `open_reconnecting`
    :param retry: see `open_reconnecting`
    :param waits: whether sending waits for a connection

    """

    def __init__(
        self,
        loop: Callable[[Session, Callable[[Exception], bool]], Awaitable[None]],
        on_connect: Callable[[WebSocketConnection], Awaitable[object]] | None,
        retry: Callable[[Exception], bool],
        waits: bool,
    ) -> None:
        self._loop = loop
        self._on_connect = on_connect
        #: says which errors are worth another attempt
        self.retry: Callable[[Exception], bool] = retry
        #: whether sending waits for a connection
        self.waits: bool = waits
        #: the one that there is now
        self.current: WebSocketConnection | None = None
        self._reason: CloseReason | None = None  # of the last one that was lost
        #: this one, and lost ones with messages that nobody has fetched; oldest first
        self.unread: deque[WebSocketConnection] = deque()
        #: whether anybody has asked for a message since the oldest one was lost
        self.is_read: bool = False
        self._changed = Event()
        # Why there will be no other connection, and whether a call has said it.
        self._end: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._is_told = False
        self._until_lost: CancelScope | None = None
        self._scope = CancelScope()
        self._is_leaving = False

    async def run(self, interrupt: Callable[[], None]) -> None:
        """Make connections until the block is left, or one error is the end.

        :param interrupt: cancels the block if that error is to end the program

        """
        end: BaseException = ConnectionClosed(CloseReason(1000, None))
        try:
            with self._scope:
                await self._loop(self._serve, self._judge)
        except get_cancelled_exc_class() as exc:
            # Not by this class. On asyncio it comes out of a cancelled future.
            end = RuntimeError("what on_connect or connect awaited was cancelled")
            end.__cause__ = exc
            raise
        except BaseException as exc:
            # Whatever it is: trio takes what leaves such a task for an error of trio.
            end = exc
        finally:
            self.current = None
            if isinstance(end, ConnectionClosed):
                end.nothing_sent = True
            self._end = end
            self._traceback = end.__traceback__
            self._change()
            if self._is_exit():
                interrupt()

    async def _serve(self, connection: WebSocketConnection) -> None:
        await self._greet(connection)
        self.current = connection
        self.unread.append(connection)
        self._change()
        with CancelScope() as self._until_lost:
            await connection.wait_closed()
        self._until_lost = None
        self.lose(connection)
        if self._is_leaving:
            return
        if not has_unread(connection):
            self.forget(connection)
        elif self.unread and connection is self.unread[0]:
            self.is_read = False
        while len(self.unread) > MAX_UNREAD:
            if self.is_read:
                self.is_read = False
                with move_on_after(PATIENCE):
                    await self._changed.wait()
            else:
                _logger.warning("messages of a lost connection are dropped unread")
                self.forget(self.unread[0])
        await connection.pong()  # raises what the connection ended with

    async def _greet(self, connection: WebSocketConnection) -> None:
        if self._on_connect is None:
            return

        # It may wait for anything, and would not learn that the connection is lost.
        async def watch() -> None:
            with watching:
                await connection.wait_closed()
                greeting.cancel()

        watching = CancelScope()
        with CancelScope() as greeting:
            async with PrivateNursery() as nursery:
                nursery.start_soon(watch)
                try:
                    await called(self._on_connect, "on_connect", connection)
                finally:
                    watching.cancel()
        if greeting.cancelled_caught:
            await connection.pong()  # raises what the connection ended with

    def _judge(self, error: Exception) -> bool:
        return not self._is_leaving and self.retry(error)

    def lose(self, connection: WebSocketConnection) -> None:
        """Do not use a connection for sending any more."""
        if connection is self.current:
            self.current = None
            self._reason = connection.closed

    def forget(self, connection: WebSocketConnection) -> None:
        """Receive nothing more from a lost connection."""
        if connection in self.unread:
            self.unread.remove(connection)
            self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = Event()

    async def usable(self) -> WebSocketConnection:
        """Return the connection to send on; wait or raise while there is none."""
        while self.current is None:
            if self._end is not None:
                self._raise_end()
            if not self.waits:
                error = ConnectionClosed(self._reason)
                error.nothing_sent = True
                raise error
            await self._changed.wait()
        return self.current

    async def wait_unread(self) -> None:
        """Return when `unread` has a connection; raise if there will be none."""
        while not self.unread:
            if self._end is not None:
                self._raise_end()
            await self._changed.wait()

    async def leave(self) -> None:
        """Close the connection, and return when that is done."""
        self._is_leaving = True
        if self._until_lost is not None:
            self._until_lost.cancel()
        else:
            self.abort()
        try:
            while self._end is None:
                await self._changed.wait()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Close the connection at once, or end the attempt to make one."""
        self._is_leaving = True
        self._scope.cancel()

    def tell(self) -> None:
        """Raise what ended it, if no call has, and it is more than a close."""
        self.tell_exit()
        if not (self._is_told or isinstance(self._end, ConnectionClosed)):
            self._raise_end()

    def tell_exit(self) -> None:
        """Raise what ended it if that is to end the program, as `SystemExit` is."""
        if self._is_exit():
            self._raise_end()

    def _is_exit(self) -> bool:
        return self._end is not None and not isinstance(self._end, Exception)

    def _raise_end(self) -> NoReturn:
        assert self._end is not None
        self._is_told = True
        raise self._end.with_traceback(self._traceback)
