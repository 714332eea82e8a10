"""One object that outlives its connections: `open_reconnecting`.

In: what `reconnecting` takes. Out: a `ReconnectingConnection`, which passes each call
on to the connection that there is.

The connections themselves, and what there is to wait for, are in `_connections`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from anyio import current_effective_deadline, get_cancelled_exc_class

from .._connection import (
    WebSocketConnection,
    encoded,
    json_dumps,
    json_loads,
)
from .._errors import ConnectionClosed
from ._connections import Connections, Session
from ._misuse import (
    Opening,
    leaves_the_rest_to_its_connection,
    no_whole_message,
    takes_no_options,
)
from ._nursery import Interruption, PrivateNursery
from ._reconnect import reconnect_delays
from ._reconnecting import Where, check_arguments, opener, reconnecting
from ._transient import is_transient


@takes_no_options
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
    What is no `Exception`, such as a `SystemExit` of ``on_connect``, cancels the block
    and comes out of it, also in place of an exception of the block.

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

    async def loop(session: Session, retry: Callable[[Exception], bool]) -> None:
        await reconnecting(
            connect, session, delays=delays, retry=retry, attempts=attempts
        )

    waits = while_disconnected == "wait"
    return Opening(
        lambda: _open(lambda: Connections(loop, on_connect, retry, waits)),
        "open_reconnecting",
    )


@leaves_the_rest_to_its_connection
class ReconnectingConnection:
    """What `open_reconnecting` gives: it stays, and its connections come and go.

    Any number of tasks may call its methods at the same time, and every method may be
    cancelled. It is never made directly.

    """

    def __init__(self, connections: Connections) -> None:
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
        the message has left, it does the same. If it is lost later, nobody knows
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


@asynccontextmanager
async def _open(
    make: Callable[[], Connections],
) -> AsyncGenerator[ReconnectingConnection]:
    connections = make()
    async with PrivateNursery() as nursery:
        interruption = Interruption()
        nursery.start_soon(connections.run, interruption.cancel)
        try:
            await connections.wait_unread()
            with interruption:
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
        except get_cancelled_exc_class():
            connections.abort()
            connections.tell_exit()
            raise
        except BaseException:
            connections.abort()
            raise
        await connections.leave()
    connections.tell()
