"""One object that outlives its connections: `open_reconnecting`.

In: what `reconnecting` takes. Out: a `ReconnectingConnection`, which passes each call
on to the connection that there is.

`reconnecting` runs in a background task, with a session that only waits until the
connection is lost. So a connection is made again while the application computes, and a
call that is cancelled does not end an attempt that others wait for.

A connection that is lost may have messages that nobody has fetched. It is kept until
they are, and they come before those of the next one.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Literal, NoReturn

from anyio import (
    CancelScope,
    Event,
    current_effective_deadline,
    get_cancelled_exc_class,
    move_on_after,
)

from .._connection import (
    WebSocketConnection,
    encoded,
    has_unread,
    json_dumps,
    json_loads,
)
from .._errors import CloseReason, ConnectionClosed
from ._misuse import no_whole_message
from ._nursery import PrivateNursery
from ._reconnect import reconnect_delays
from ._reconnecting import Where, called, check_arguments, opener, reconnecting
from ._transient import is_transient

_logger = logging.getLogger("anyio_websocket")

# Lost connections with messages that nobody has fetched. Each can hold a MiB. With more
# of them the next one has to wait, or the oldest is dropped if nobody fetches any.
MAX_UNREAD: Final = 4
# Seconds that the next one waits for another call that fetches a message. A program
# that once reads an answer, and then only sends, must not wait for ever.
PATIENCE: Final = 60.0

_Session = Callable[[WebSocketConnection], Awaitable[None]]


def open_reconnecting(
    connect: str | Where,
    *,
    on_connect: Callable[[WebSocketConnection], Awaitable[object]] | None = None,
    while_disconnected: Literal["wait", "raise"] = "wait",
    delays: Callable[[], Iterable[float]] = reconnect_delays,
    retry: Callable[[Exception], bool] = is_transient,
    attempts: float = math.inf,
) -> AbstractAsyncContextManager[ReconnectingConnection]:
    """Have a connection for the duration of a block that is made again when it is lost.

    Entering the block waits for the first connection. Which errors are worth another
    attempt, how long it waits before one, and what is logged is the same as with
    `reconnecting`. Any other error ends it: the calls of `ReconnectingConnection` raise
    it, and leaving the block does if no call has, unless it is a `ConnectionClosed`.
    What is no `Exception`, such as a `SystemExit` of ``on_connect``, also comes out in
    place of an exception of the block; it does not cancel the block.

    Leaving the block closes the connection with code 1000. If the block is cancelled,
    the connection is closed at once.

    :param connect: a URL or an async function, see `reconnecting`
    :param on_connect: an async function that is called with each new connection before
        anything else is sent on it, to log in and to subscribe. What it raises is
        judged by ``retry``. It may receive messages, which are then not received again.
        If the connection is lost meanwhile, it is cancelled. ``None`` calls nothing
    :param while_disconnected: whether `ReconnectingConnection.send_message` waits for
        the next connection, or raises `ConnectionClosed`
    :param delays: see `reconnecting`
    :param retry: see `reconnecting`
    :param attempts: see `reconnecting`
    :raises ValueError: if an argument has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type
    :raises HandshakeError: if no connection can be made, and trying again is not worth
        it, or no attempt is left
    :raises DisconnectionTimeout: if the block ended without an exception, and the
        server did not finish the closing handshake

    """
    opener(connect)
    functions = {} if on_connect is None else {"on_connect": on_connect}
    check_arguments(delays, retry, attempts, **functions)
    if while_disconnected not in ("wait", "raise"):
        raise ValueError(
            f'while_disconnected must be "wait" or "raise", not {while_disconnected!r}'
        )

    async def loop(session: _Session, retry: Callable[[Exception], bool]) -> None:
        await reconnecting(
            connect, session, delays=delays, retry=retry, attempts=attempts
        )

    waits = while_disconnected == "wait"
    return _open(lambda: _Connections(loop, on_connect, retry, waits))


class ReconnectingConnection:
    """What `open_reconnecting` gives: it stays, and its connections come and go.

    Any number of tasks may call its methods at the same time, and every method may be
    cancelled. It is never made directly.

    """

    def __init__(self, connections: _Connections) -> None:
        self._connections = connections

    @property
    def connection(self) -> WebSocketConnection | None:
        """The connection that there is now; ``None`` while there is none."""
        return self._connections.current

    async def send_message(
        self,
        message: str | bytes | bytearray | memoryview,
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message, see `WebSocketConnection.send_message`.

        While there is no connection, this waits for the next one, or raises, as
        ``while_disconnected`` says. If a connection is lost before the first byte of
        the message has left, that is no different. If it is lost later, nobody knows
        whether the message arrived, so it is not sent again, and this raises. When this
        returns, the message has left, and may still be lost.

        :param message: the whole message; one in parts cannot be sent again
        :param text: see `WebSocketConnection.send_message`
        :param compress: see `WebSocketConnection.send_message`
        :raises ConnectionClosed: if the message may have been sent in part, or if there
            is no connection and this does not wait; ``nothing_sent`` tells which
        :raises ValueError: if the message cannot be sent
        :raises TypeError: if it is in parts
        :raises HandshakeError: if there will be no other connection for this reason

        """
        if not isinstance(message, str | bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise no_whole_message(message)
        connections = self._connections
        while True:
            connection = await connections.usable()
            try:
                await connection.send_message(message, text=text, compress=compress)
            except ConnectionClosed as exc:
                if not (connections.waits and exc.nothing_sent):
                    raise
                connections.lose(connection)
            else:
                return

    async def get_message(self) -> str | bytes:
        """Return the next message, of this connection or of the next one.

        Messages that were received before a connection was lost come first. Those that
        the server sent while there was none are not known here: ask for them in
        ``on_connect``.

        Messages of up to four lost connections are kept. With more, the next one waits.
        If nobody has called this since the oldest was lost, or for a minute, the oldest
        messages are dropped, with a warning in the log.

        :raises ConnectionClosed: if there will be no other connection, because of how
            the last one was closed
        :raises HandshakeError: if there will be no other connection for this reason

        """
        connections = self._connections
        connections.is_read = True
        while True:
            if not connections.unread:
                await connections.wait_unread()
            connection = connections.unread[0]
            try:
                return await connection.get_message()
            except ConnectionClosed:
                connections.forget(connection)

    async def send_json(
        self, obj: Any, *, dumps: Callable[[Any], str | bytes] = json_dumps
    ) -> None:
        """Send an object as JSON, see `WebSocketConnection.send_json`.

        Otherwise it is `send_message`. ``dumps`` is called once, at the beginning.

        :param obj: the object
        :param dumps: see `WebSocketConnection.send_json`
        :raises WebSocketError: see `send_message`
        :raises ValueError: see `WebSocketConnection.send_json`

        """
        await self.send_message(encoded(obj, dumps), text=True)

    async def get_json(
        self, *, loads: Callable[[str | bytes], Any] = json_loads
    ) -> Any:
        """Return the object in the next message, which has to be JSON.

        Otherwise it is `get_message`.

        :param loads: see `WebSocketConnection.get_json`
        :raises WebSocketError: see `get_message`

        """
        return loads(await self.get_message())

    def __aiter__(self) -> ReconnectingConnection:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; stop after a close that is not worth a retry.

        That is one with code 1000, or without a code (1005), unless ``retry`` says
        otherwise.

        :raises WebSocketError: if there will be no other connection for another reason

        """
        try:
            return await self.get_message()
        except ConnectionClosed as exc:
            if exc.clean and not self._connections.retry(exc):
                raise StopAsyncIteration from None
            raise


class _Connections:
    """The connections of one block, which are made one after the other.

    :param loop: runs a session over each of them
    :param on_connect: see `open_reconnecting`
    :param retry: see `open_reconnecting`
    :param waits: whether sending waits for a connection

    """

    def __init__(
        self,
        loop: Callable[[_Session, Callable[[Exception], bool]], Awaitable[None]],
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

    async def run(self) -> None:
        """Make connections until the block is left, or one error is the end."""
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
        if not (self._is_told or isinstance(self._end, ConnectionClosed)):
            self._raise_end()

    def tell_exit(self) -> None:
        """Raise what ended it if that is to end the program, as `SystemExit` is."""
        if not isinstance(self._end, Exception):
            self._raise_end()

    def _raise_end(self) -> NoReturn:
        assert self._end is not None
        self._is_told = True
        raise self._end.with_traceback(self._traceback)


@asynccontextmanager
async def _open(
    make: Callable[[], _Connections],
) -> AsyncGenerator[ReconnectingConnection]:
    connections = make()
    async with PrivateNursery() as nursery:
        nursery.start_soon(connections.run)
        try:
            await connections.wait_unread()
            yield ReconnectingConnection(connections)
        except Exception:
            try:
                await connections.leave()
            except get_cancelled_exc_class():
                # A cancelled scope cancels the task again when it waits again; see
                # `open_websocket`.
                if current_effective_deadline() > -math.inf:
                    raise
            else:
                connections.tell_exit()
            raise
        except BaseException:
            connections.abort()
            raise
        await connections.leave()
    connections.tell()
