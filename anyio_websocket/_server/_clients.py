"""A server's clients: a task for each, from the accepted stream to the closed one.

The task reads the request (``_request_reader``), and calls the handler.

Theory of operation
-------------------
A client's task belongs to the nursery of the handlers (``_handler_nursery``), but runs
inside a shielded cancel scope: when the nursery is cancelled, there must still be time
to tell each client. So it is this module that ends the tasks, in two steps:

1. `_close_all` sends a Close to each client with an open connection, and waits for the
   closing handshakes. A client whose request has no response yet gets a 503; if its
   handler is running, the handler is cancelled.
2. `_cancel_all` cancels the handlers that are still running, once step 1 is done or has
   taken too long, and closes their connections without waiting for the clients.

**Stray cancellations.** Only this module cancels the scope of a client's task, so a
cancellation inside that scope is real only if the scope was cancelled. Any other is an
error of the handler, and concerns its own connection: on asyncio, ``Task.cancel()`` on
the handler's task, or a handler that awaits a future that was cancelled. If it went on
to the nursery, asyncio would end the whole server without a word.

What a client can be sent depends on how far it is. So `_tasks` maps the cancel scope of
each task to its request: ``None`` while that is read, and after that the
`PendingRequest`, or the `PendingHTTP` of a client that wants no WebSocket.

While the request is read, the task's scope has the deadline of ``connect_timeout``.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

from anyio import CancelScope, create_task_group, move_on_after
from anyio.lowlevel import checkpoint

from .._connection import BackgroundTask, Observer, Totals, WebSocketConnection
from .._protocol import name_of
from .._settings import ServerSettings
from .._transport import clock_of_loop
from .._types import Nursery
from ._admission import Slot
from ._cancellations import (
    consists_of,
    is_cancellation,
    is_error_or_cancellation,
    without_cancellations,
)
from ._check_handler import name_of_handler
from ._handler_nursery import HandlerNursery
from ._handshake import transport_of_accepted
from ._request import PendingRequest, WebSocketRequest
from ._request_reader import Pending, RequestReader

_logger = logging.getLogger("anyio_websocket")

# Passes of the scheduler in which a stream can be written to without waiting for the
# peer: each layer of a stream may take one or two before it writes.
PASSES_TO_WRITE: Final = 8

Handler = Callable[[WebSocketRequest], Awaitable[object]]


class ClientTasks:
    """The tasks of a server's clients.

    :param handler: called with each request
    :param settings: the server's options, checked
    :param observer: is told what becomes of the clients
    :param nursery: the nursery in which the handlers and the background task run
    :param is_own: whether the current task opened it, as its last one

    """

    def __init__(
        self,
        handler: Handler,
        settings: ServerSettings,
        observer: Observer,
        nursery: Nursery,
        *,
        is_own: bool,
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._clock = clock_of_loop()
        self._tasks: dict[CancelScope, Pending | None] = {}
        #: knows all connections, and the sums of them
        self.background: BackgroundTask = BackgroundTask(
            nursery,
            settings,
            on_cancel=self._on_cancel,
            observer=observer,
            totals=Totals(),
        )
        self._reader = RequestReader(settings, observer, self.background)
        self._nursery = HandlerNursery(nursery, self.background, is_own=is_own)

    def __enter__(self) -> None:
        """Keep the background task running until the block ends."""
        self.background.retain()

    def __exit__(self, *exc_info: object) -> None:
        self.background.release()

    def start(self, stream: Any, context: ssl.SSLContext | None, slot: Slot) -> None:
        """Start a task that serves a client, and releases its slot.

        :param stream: the accepted stream
        :param context: the TLS context if TLS is still to be started on the stream,
            else ``None``
        :param slot: the client's
        :raises RuntimeError: if the nursery takes no tasks

        """
        undo = partial(self._undo_start, stream, slot)
        self._nursery.start(self._handle, stream, context, slot, on_ended=undo)

    def _undo_start(self, stream: Any, slot: Slot) -> Coroutine[Any, Any, None] | None:
        """Forget a client whose task has ended, if the task has never begun."""
        if not slot.is_taken:
            return None  # it has ended after `_handle`
        slot.release()
        self._nursery.leave()
        _logger.error("a client's new task was cancelled, but not by the server")
        transport = transport_of_accepted(stream)
        self._reader.dropped(transport)
        return transport.abort()

    async def handle(
        self, stream: Any, context: ssl.SSLContext | None, slot: Slot
    ) -> None:
        """Do the same in the task that calls this, which is one of the nursery's."""
        self._nursery.enter()
        await self._handle(stream, context, slot)

    async def _handle(
        self, stream: Any, context: ssl.SSLContext | None, slot: Slot
    ) -> None:
        try:
            transport = transport_of_accepted(stream)
            deadline = self._clock() + self._settings.connect_seconds
            with CancelScope(deadline=deadline, shield=True) as scope:
                self._tasks[scope] = None
                try:
                    pending = await self._reader.read(
                        *(scope, stream, transport, context, slot)
                    )
                    if pending is not None:
                        self._tasks[scope] = pending
                        # Not in another method: while the handler waits, so does its
                        # caller, and each coroutine takes some 250 bytes.
                        try:
                            await self._call_handler(pending)
                        except BaseException as exc:
                            await self._on_raised(scope, pending, exc)
                        else:
                            await self._on_returned(pending)
                except BaseException as exc:
                    if scope.cancel_called or not consists_of(is_cancellation, exc):
                        raise
                    # While the request was read, or the connection was being closed.
                    _logger.exception(
                        "%s: its task was cancelled, but not by the server",
                        name_of(transport.remote),
                    )
                finally:
                    del self._tasks[scope]
        except BaseException as exc:
            if not self._nursery.passes_on(exc):
                raise
        finally:
            slot.release()
            self._nursery.leave()

    async def close(
        self,
        code: int,
        text: str,
        seconds: float,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Close all connections, and wait for the handlers to end.

        :param code: the close code
        :param text: the close reason, ``""`` for none
        :param seconds: until the handlers that are still running are cancelled
        :param first: what is waited for before that, while clients are served; ``None``
            for nothing

        """
        try:
            if first is not None:
                try:
                    await first()
                except BaseException:  # cancelled, and most clients were told nothing
                    with CancelScope(shield=True):
                        await self._close_all(code, text, wait=False)
                    raise
            if seconds == 0:
                await self._close_all(code, text, wait=False)
            with move_on_after(seconds):
                await self._close_all(code, text)
                await self.wait_empty()
        finally:
            with CancelScope(shield=True):
                await self._cancel_all()
        await self.wait_empty()

    def accepted(self) -> Iterator[WebSocketConnection]:
        """Give the connections whose handlers have not ended; they may be closed."""
        for pending in list(self._tasks.values()):
            if isinstance(pending, PendingRequest) and pending.connection is not None:
                yield pending.connection

    async def wait_empty(self) -> None:
        """Wait until the last client's task has ended."""
        await self._nursery.wait_empty()

    # -- a client --------------------------------------------------------------

    def _call_handler(self, pending: Pending) -> Awaitable[object]:
        if isinstance(pending, PendingRequest):
            return self._handler(WebSocketRequest(pending))
        return pending.answer()

    async def _on_returned(self, pending: Pending) -> None:
        if not (pending.has_response or self._reader.stopped):
            handler = name_of_handler(self._handler)
            _logger.error(
                "%s: the handler %s returned without calling request.accept() or "
                "request.reject(), so the request is rejected with status 500",
                *(name_of(pending.transport.remote), handler),
            )
        await pending.close(code=1000, status_code=500)

    async def _on_raised(
        self, scope: CancelScope, pending: Pending, exc: BaseException
    ) -> None:
        """Close a connection whose handler raised; raise what is not its own matter."""
        code = 1011
        if isinstance(exc, Exception):
            if consists_of(pending.is_own, exc):
                code = 1000
            elif self._settings.handler_errors == "raise":
                await self._end_with(pending, code, 500)
                raise exc
            else:
                _log_raised(pending, exc)
            await pending.close(code=code, status_code=500)
            return
        errors = without_cancellations(exc)
        is_fatal = not consists_of(is_error_or_cancellation, exc)
        if scope.cancel_called:  # the server stops, and has told the others
            with CancelScope(shield=True):
                await pending.close(code=1001, status_code=503)
            if errors is None or is_fatal:
                raise exc
            # A nursery of the handler's: on trio its group keeps the cancellation.
            if not consists_of(pending.is_own, errors):
                if self._settings.handler_errors == "raise":
                    raise exc
                _log_raised(pending, errors)
            return
        if is_fatal:
            await self._end_with(pending, 1001, 503)
            raise exc
        if errors is not None and self._settings.handler_errors == "raise":
            await self._end_with(pending, code, 500)
            raise errors from None
        _logger.error(
            "%s: the %s was cancelled, but not by the server",
            *(name_of(pending.transport.remote), pending.handler_name),
            exc_info=exc,
        )
        await pending.close(code=code, status_code=500)

    async def _end_with(self, pending: Pending, code: int, status_code: int) -> None:
        """Close a connection and all others: its handler's exception ends the server.

        All at the same time. The others must not wait until this client has replied.
        """
        with CancelScope(shield=True):
            async with create_task_group() as group:
                group.start_soon(self._close_all, 1001, "", pending)
                await pending.close(code=code, status_code=status_code)

    # -- the end ---------------------------------------------------------------

    async def _on_cancel(self) -> None:
        """Close all connections, cancel the handlers, and wait for them.

        The background task calls this when the nursery is cancelled.
        """
        await self._close_all(1001, "")
        for scope, pending in list(self._tasks.items()):
            if pending is not None:
                scope.cancel()
        await self.wait_empty()

    async def _close_all(
        self,
        code: int,
        text: str,
        spared: Pending | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Close all connections and cancel all requests, except one.

        :param spared: that one
        :param wait: whether to wait for the closing handshakes; if not, each client is
            only sent a Close, as far as its stream takes it at once

        """
        self._reader.stopped = True
        for scope, pending in list(self._tasks.items()):
            if pending is None or (pending.core is None and pending is not spared):
                scope.cancel()
        async with create_task_group() as group:
            for connection in self.background.connections:
                if spared is None or connection is not spared.core:
                    group.start_soon(connection.close, code, text)
            if not wait:
                for _ in range(PASSES_TO_WRITE):
                    await checkpoint()
                group.cancel_scope.cancel()

    async def _cancel_all(self) -> None:
        self._reader.cancel_responses()
        for scope, pending in list(self._tasks.items()):
            scope.cancel()
            if pending is not None:
                await pending.abort()


def _log_raised(pending: Pending, error: BaseException) -> None:
    name = name_of(pending.transport.remote)
    _logger.error("%s: the %s raised", name, pending.handler_name, exc_info=error)
