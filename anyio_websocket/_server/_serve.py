"""The class for servers on listeners, and the function for a single stream.

In: listeners, or a stream. Out: a `WebSocketRequest` for the handler, which makes a
`WebSocketConnection` of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from functools import partial
from typing import Any, Unpack

from anyio import (
    TASK_STATUS_IGNORED,
    CancelScope,
    Event,
    create_task_group,
    move_on_after,
)
from anyio.lowlevel import checkpoint

from .._connection import BackgroundTask, WebSocketConnection, observer_of
from .._endpoint import Endpoint
from .._errors import ConnectionTimeout, HandshakeError
from .._keywords import checked, with_options
from .._options import ServerOptions, ServerStreamOptions
from .._protocol import Request, close_code_to_send, close_reason_to_send
from .._settings import (
    DISCONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    MESSAGE_QUEUE_SIZE,
    RECEIVE_BUFFER_SIZE,
    ServerSettings,
    check,
)
from .._transport import (
    AnyStream,
    transport_of,
)
from .._types import (
    Nursery,
    TaskStatus,
    bytes_of,
    check_is_nursery,
    in_a_nursery,
)
from ._admission import Admission
from ._check_handler import check_handlers
from ._clients import ClientTasks, Handler
from ._connections import OpenConnections
from ._drain import check_times, let_leave
from ._handshake import handshake_of, read_request
from ._listeners import acceptors_of
from ._request import PendingRequest, WebSocketRequest
from ._statistics import ServerStatistics, statistics_of


@in_a_nursery
@with_options(ServerStreamOptions, ServerSettings)
async def wrap_server_stream(
    nursery: Nursery,
    stream: AnyStream,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    *,
    initial_data: bytes = b"",
    **options: Unpack[ServerStreamOptions],
) -> WebSocketRequest:
    """Read a client's request from a stream that is already connected.

    From now on the stream belongs to the request and its connection: it is closed
    with them, or if there is no valid request; a client that sent an invalid one
    is told so first. Once the request is accepted, one task is started in the nursery;
    it ends when the connection is closed.

    The options are described in `ServerStreamOptions` and `ConnectionOptions`.

    :param nursery: an anyio task group or a trio nursery
    :param stream: an :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
    :param message_queue_size: see `ConnectionOptions`
    :param max_message_size: see `ConnectionOptions`
    :param receive_buffer_size: see `ConnectionOptions`
    :param initial_data: what you have read from the stream already, such as the
        beginning of the request, or the whole request and the first frames
    :raises ValueError: if an argument has a value that cannot work
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises RuntimeError: if the nursery takes no tasks; nothing was read
    :raises HandshakeError: if the client closed the stream, or its request is not
        valid
    :raises ConnectionTimeout: if the request was not complete within
        ``connect_timeout``

    """
    settings = checked(
        ServerSettings,
        wrap_server_stream,
        {
            "message_queue_size": message_queue_size,
            "max_message_size": max_message_size,
            "receive_buffer_size": receive_buffer_size,
            **options,
        },
    )
    initial_data = bytes_of("initial_data", initial_data)
    transport = transport_of(stream)
    observer = observer_of(settings)
    handshake = handshake_of(transport, settings)
    try:
        with move_on_after(settings.connect_seconds):
            if initial_data:
                await checkpoint()  # it may be all that is needed
            request = await read_request(
                transport, handshake, observer.rejected, initial_data=initial_data
            )
            assert isinstance(request, Request)  # there is no http_handler
            background = BackgroundTask(nursery, settings, observer=observer)
            return WebSocketRequest(
                PendingRequest(
                    *(transport, handshake, request, background, settings, observer)
                )
            )
        raise ConnectionTimeout(
            "the client's request was not complete within "
            f"{settings.connect_timeout} seconds (connect_timeout)"
        )
    except BaseException as exc:
        if isinstance(exc, HandshakeError) and not handshake.rejected:
            observer.failed(exc, transport)
        await transport.abort()
        raise


class WebSocketServer:
    """A server on listeners that you made: UNIX sockets, several ports, and so on.

    The options are described in `ServerOptions`, `ServerStreamOptions` and
    `ConnectionOptions`.

    :param handler: called with a `WebSocketRequest`, in a task for each client; see
        `serve_websocket`
    :param listeners: anyio listeners, trio listeners, or any objects with ``accept()``
        or ``serve()``; the server closes them when it ends. The sockets of anyio's and
        trio's socket listeners are used directly, as fast as those of
        `serve_websocket`; what another ``accept()`` returns is used as it is
    :param handler_nursery: where the handlers run; see `serve_websocket`
    :raises ValueError: if there is no listener, or an option has a value that cannot
        work
    :raises TypeError: if a listener cannot accept connections, if ``handler_nursery``
        is not a nursery, or if an option has the wrong type or does not exist

    """

    @with_options(ServerOptions, ServerSettings)
    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[Any],
        *,
        handler_nursery: Nursery | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        settings = checked(ServerSettings, WebSocketServer.__init__, options)
        self._set_up(handler, listeners, handler_nursery, settings)

    def _set_up(
        self,
        handler: Handler,
        listeners: Sequence[Any],
        handler_nursery: Nursery | None,
        settings: ServerSettings,
    ) -> None:
        if len(listeners) == 0:
            raise ValueError("Listeners must contain at least one item.")
        check_handlers(handler, settings.http_handler)
        check_handler_nursery(handler_nursery, "WebSocketServer")
        self._handler_nursery = handler_nursery
        self._observer = observer_of(settings)
        self._admission = Admission(
            settings.max_connections,
            settings.max_pending_handshakes,
            settings.max_connections_per_address,
            self._observer.full,
        )
        self._make_clients = partial(ClientTasks, handler, settings, self._observer)
        self._counts_messages = settings.count_messages
        self._opened_at = time.time()  # until it is started
        self._acceptors = [
            acceptor for listener in listeners for acceptor in acceptors_of(listener)
        ]
        # These three are set when `run` is called.
        self._clients: ClientTasks | None = None
        self._accepting: CancelScope | None = None
        self._listeners_closed: Event | None = None
        self._closing = False
        self._lets_leave = False  # and so, clients that wait in the kernel are let in

    def __repr__(self) -> str:
        where = ", ".join(
            place.url if isinstance(place, Endpoint) else place
            for place in self.listeners
        )
        return f"<{type(self).__name__} on {where}>"

    @property
    def port(self) -> int:
        """The TCP port on which the server listens; it is known after its end, too.

        :raises RuntimeError: if the listeners have several ports or no TCP port

        """
        ports = {
            endpoint.port if isinstance(endpoint, Endpoint) else None
            for endpoint in self.listeners
        }
        port = ports.pop()
        if ports:
            raise RuntimeError(
                f"the server has several ports; see its listeners: {self.listeners}"
            )
        if port is None:
            raise RuntimeError(f"{self.listeners[0]} has no port")
        return port

    @property
    def listeners(self) -> list[Endpoint | str]:
        """Where the server listens.

        Each item is an `Endpoint` for TCP, or else the ``repr()`` of the listener.
        """
        return [acceptor.endpoint for acceptor in self._acceptors]

    @property
    def connections(self) -> Set[WebSocketConnection]:
        """The open connections: accepted, and not closed or closing.

        The set is always up to date, and cannot be changed. To iterate over it is safe
        while connections come and go: those count that are open when the iteration
        begins. ``len()`` and ``in`` look at each connection. What ``|``, ``&``, ``-``
        and ``^`` return is a `frozenset`. It is empty before `run` is called.
        """
        return OpenConnections(
            lambda: () if self._clients is None else self._clients.accepted()
        )

    async def run(
        self, *, task_status: TaskStatus[WebSocketServer] = TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled, until `aclose` is called or all listeners are closed.

        :param task_status: passed by ``nursery.start()``, which returns the server

        """
        try:
            await self._run(task_status)
        finally:
            self._observer.stopped()

    async def _run(self, task_status: TaskStatus[WebSocketServer]) -> None:
        async with create_task_group() as tasks:
            handlers = tasks if self._handler_nursery is None else self._handler_nursery
            self._opened_at = time.time()
            self._clients = clients = self._make_clients(
                handlers, is_own=self._handler_nursery is None
            )
            self._listeners_closed = Event()
            try:
                with clients:
                    async with create_task_group() as accepting:
                        self._accepting = accepting.cancel_scope
                        if not self._closing:
                            for acceptor in self._acceptors:
                                accepting.start_soon(
                                    acceptor.serve, clients, handlers, self._admission
                                )
                        task_status.started(self)
                    if self._lets_leave:
                        for acceptor in self._acceptors:
                            await acceptor.accept_waiting(clients, self._admission)
            finally:
                with CancelScope(shield=True):
                    await self._close_listeners()
                self._listeners_closed.set()
                self._observer.stopping()

    def statistics(self) -> ServerStatistics:
        """Return the numbers of this moment, of all connections together.

        They stay known when the server has ended. Adding up 1000 open connections takes
        about a millisecond, in which nothing else runs.
        """
        return statistics_of(
            None if self._clients is None else self._clients.background,
            self._counts_messages,
            self._opened_at,
            self._admission.pending_handshakes,
        )

    async def aclose(
        self,
        code: int = 1001,
        reason: str | None = None,
        *,
        timeout: float | None = DISCONNECT_TIMEOUT,
        drain: float = 0,
        spread: float = 0,
    ) -> None:
        """Stop the server: close all connections, and wait for the handlers.

        No more clients are accepted. Clients in their handshake are sent a response
        with status 503, and the handlers that have not accepted or rejected their
        request are cancelled. All other clients are sent a Close. Their handlers get
        `ConnectionClosed` from the connection, and those that have not ended within
        ``timeout`` are cancelled. Then `run`, or `serve_websocket`, returns.

        With ``drain`` or ``spread`` this happens later. Until then clients in their
        handshake can finish it, and so can those that wait in the kernel. All clients
        are left in peace for ``drain`` seconds, and it goes on earlier if all have
        left. Then they are sent their Close one after another, evenly over ``spread``
        seconds, so that they do not all connect to another server at the same moment.
        In all this takes ``drain``, ``spread`` and ``timeout`` together at most.

        This returns when everything is closed. It may be called several times; only
        the arguments of the first call count. If the first call is cancelled,
        everything is closed and cancelled at once, and each client that was told
        nothing is sent its Close as far as that needs no waiting. A handler must not
        await it, because it would wait for itself; call it in another task.

        :param code: the close code, as for `WebSocketConnection.aclose`; 1012 says
            that the server restarts
        :param reason: the text of the Close, cut to 123 bytes of UTF-8; ``None`` sends
            none
        :param timeout: seconds until the remaining handlers are cancelled; 0 sends each
            client its Close without waiting and cancels them at once, ``None`` sets no
            limit other than that of each closing handshake
        :param drain: seconds for which connections are left in peace; default 0.
            `math.inf` waits until the last client has left
        :param spread: seconds over which the Closes are spread; default 0
        :raises ValueError: if an argument has a value that cannot work; nothing is
            stopped
        :raises TypeError: if an argument has the wrong type; nothing is stopped

        """
        code = close_code_to_send(code)
        text = close_reason_to_send(reason)
        if timeout is not None:
            check("timeout", timeout, zero=True)
        check_times(drain, spread)
        is_first, self._closing = not self._closing, True
        first: Callable[[], Awaitable[None]] | None = None
        if is_first and (drain or spread):
            self._lets_leave = True
            first = partial(self._let_leave, code, text, drain, spread)
        if self._accepting is not None:
            self._accepting.cancel()
        if self._clients is not None:
            if is_first:
                seconds = math.inf if timeout is None else timeout
                await self._clients.close(code, text, seconds, first)
            await self._clients.wait_empty()
        if self._listeners_closed is None:  # run() was never called
            await self._close_listeners()
        else:
            await self._listeners_closed.wait()

    async def _let_leave(
        self, code: int, text: str, drain: float, spread: float
    ) -> None:
        clients, closed = self._clients, self._listeners_closed
        assert clients is not None
        assert closed is not None
        await closed.wait()
        await checkpoint()  # the tasks of those that were accepted last have begun
        await let_leave(
            *(clients.background, clients.wait_empty, code, text),
            drain=drain,
            spread=spread,
        )

    async def _close_listeners(self) -> None:
        for acceptor in self._acceptors:
            await acceptor.aclose()


def server_of(
    handler: Handler,
    listener: Any,
    handler_nursery: Nursery | None,
    settings: ServerSettings,
) -> WebSocketServer:
    """Make a server whose options are checked already."""
    server = WebSocketServer.__new__(WebSocketServer)
    server._set_up(handler, [listener], handler_nursery, settings)  # pyright: ignore[reportPrivateUsage]
    return server


def check_handler_nursery(nursery: Nursery | None, function: str) -> None:
    """Check what a user passed as ``handler_nursery``.

    :raises TypeError: if it is not a nursery

    """
    if nursery is not None:
        check_is_nursery(nursery, function, "handler_nursery")
