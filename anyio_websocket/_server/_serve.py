"""The server's front door: accept, read the request, let a handler decide.

In: listeners, or a stream. Out: a ``WebSocketRequest`` for the handler, and from it a
``WebSocketConnection``.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

import anyio
from anyio import (
    TASK_STATUS_IGNORED,
    CancelScope,
    Event,
    create_task_group,
    move_on_after,
)
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSListener

from .._connection import BackgroundTask
from .._endpoint import Endpoint
from .._errors import ConnectionTimeout
from .._options import (
    CONNECT_TIMEOUT,
    DISCONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    MAX_PENDING_HANDSHAKES,
    MESSAGE_QUEUE_SIZE,
    PING_INTERVAL,
    PING_TIMEOUT,
    RECEIVE_BUFFER_SIZE,
    ConnectionSettings,
    check,
)
from .._protocol import (
    Extensions,
    Origins,
    PerMessageDeflate,
    ServerHandshake,
    close_code_to_send,
    close_reason_to_send,
)
from .._transport import (
    AnyStream,
    SocketTransportListener,
    can_wait_for_sockets,
    check_ssl_context,
    transport_of,
)
from .._types import Nursery, TaskStatus
from ._admission import Admission
from ._clients import ClientTasks, Handler
from ._handshake import read_request
from ._listeners import acceptors_of
from ._request import PendingRequest, WebSocketRequest


async def wrap_server_stream(
    nursery: Nursery,
    stream: AnyStream,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    *,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    origins: Iterable[str] | str | None = None,
    compression: PerMessageDeflate | bool | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> WebSocketRequest:
    """Read a client's request from a stream.

    The stream belongs to the request and its connection from now on: it is closed
    with them, and also if there is no valid request, which is answered first. Once
    the request is accepted, one task is started in the nursery; it ends when the
    connection is closed. The other parameters are as with `serve_websocket`.

    :param nursery: an anyio task group or a trio nursery
    :param stream: an :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
    :raises HandshakeError: if the client left, or what it sent was no valid request
    :raises ConnectionTimeout: if the request was not complete in time
    :raises ValueError: if an argument cannot be right
    :raises TypeError: if an argument is of the wrong type

    """
    options = ConnectionSettings(
        message_queue_size,
        max_message_size,
        receive_buffer_size,
        connect_timeout,
        disconnect_timeout,
        ping_interval,
        ping_timeout,
    )
    transport = transport_of(stream)
    handshake = ServerHandshake(
        origins=Origins(origins), extensions=Extensions.from_arguments(compression)
    )
    try:
        with move_on_after(options.connect_seconds):
            request = await read_request(transport, handshake)
            return WebSocketRequest(
                PendingRequest(
                    transport,
                    handshake,
                    request,
                    BackgroundTask(nursery, options),
                    options,
                )
            )
        raise ConnectionTimeout(
            f"no request was complete within {connect_timeout} seconds"
        )
    except BaseException:
        await transport.abort()
        raise


async def serve_websocket(
    handler: Handler,
    host: str | None,
    port: int,
    ssl_context: ssl.SSLContext | None,
    *,
    handler_nursery: Nursery | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    task_status: TaskStatus = TASK_STATUS_IGNORED,
    origins: Iterable[str] | str | None = None,
    handler_errors: Literal["log", "raise"] = "log",
    compression: PerMessageDeflate | bool | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
    max_connections: int | None = None,
    max_pending_handshakes: int | None = MAX_PENDING_HANDSHAKES,
) -> None:
    """Serve WebSockets on a TCP port, until cancelled or told to stop.

    To be started with ``server = await nursery.start(serve_websocket, ...)``, which
    returns a `WebSocketServer` once clients can connect. It serves until
    `WebSocketServer.aclose`, and returns then.

    When it is cancelled, every client is sent a Close with code 1001 and given
    ``disconnect_timeout`` to answer, or a 503 if it is in its handshake; then the
    handlers are cancelled.

    :param handler: called with a `WebSocketRequest` in a task for each client. When it
        returns, the connection is closed with code 1000, or the request answered with
        500 if the handler did not answer it
    :param host: the address or name to listen on, ``None`` for all interfaces
    :param port: the port to listen on, 0 for one that the system chooses
    :param ssl_context: the TLS context, ``None`` for plain TCP
    :param handler_nursery: where the handlers run, so that they may outlive the
        server; ``None`` for a nursery of the server's own
    :param message_queue_size: received messages that may wait while the application
        does not fetch them; when they do, no more is read. ``math.inf`` for no bound;
        with 0 nothing is read, not even a Pong or a Close, but for a task that waits
        in `WebSocketConnection.get_message`
    :param max_message_size: bytes of payload in a received message; a larger one ends
        the connection with code 1009. ``math.inf`` for no limit
    :param receive_buffer_size: bytes to ask of the network at once, ``None`` to leave
        it to the stream
    :param connect_timeout: seconds until TLS and the request must be complete, and for
        an answer to be read; ``None`` for no limit
    :param disconnect_timeout: seconds that closing may take; ``None`` for no limit
    :param task_status: what ``nursery.start()`` passes
    :param origins: web pages whose scripts may connect, as ``https://host:port``;
        ``None`` for those of the host that they connect to, ``"*"`` for all. A client
        that names no origin, which no browser does, is always let in
    :param handler_errors: ``"log"`` to log an exception of a handler and close its
        connection with code 1011, ``"raise"`` to let it end the server as well
    :param compression: ``True`` to take up a client's offer of permessage-deflate with
        the defaults of `PerMessageDeflate`, or settings of your own; ``None`` to
        decline it. Which was agreed on is in `WebSocketConnection.compression`
    :param ping_interval: seconds from one Ping that keeps a connection alive to the
        next; ``None`` for none
    :param ping_timeout: seconds in which something must come from the client then, else
        the connection is ended with code 1006; any byte counts, and the time in which
        we do not read because the application does not fetch what was received does
        not. ``None`` for no limit
    :param max_connections: clients that may be there at once, open or in their
        handshake; when they are, no more is accepted until one leaves, so others wait
        in the kernel. ``None`` for no limit
    :param max_pending_handshakes: how many of them may be without an answer yet, TLS
        included; when they are, no more is accepted until one is answered or has left,
        which takes ``connect_timeout`` at the most if the handler does not take longer.
        ``None`` for no limit
    :raises OSError: if the port cannot be listened on
    :raises ValueError: if an argument cannot be right
    :raises TypeError: if an argument is of the wrong type

    """
    if ssl_context is not None:
        check_ssl_context(ssl_context)
    listener: Any = await anyio.create_tcp_listener(local_host=host, local_port=port)
    if can_wait_for_sockets():
        listener = MultiListener(
            [SocketTransportListener(part) for part in listener.listeners]
        )
    try:
        if ssl_context is not None:
            listener = TLSListener(listener, ssl_context, standard_compatible=False)
        server = WebSocketServer(
            handler,
            [listener],
            handler_nursery=handler_nursery,
            message_queue_size=message_queue_size,
            max_message_size=max_message_size,
            receive_buffer_size=receive_buffer_size,
            connect_timeout=connect_timeout,
            disconnect_timeout=disconnect_timeout,
            origins=origins,
            handler_errors=handler_errors,
            compression=compression,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_connections=max_connections,
            max_pending_handshakes=max_pending_handshakes,
        )
    except BaseException:
        await listener.aclose()
        raise
    await server.run(task_status=task_status)


class WebSocketServer:
    """A server, also over listeners of your own: UNIX sockets, several ports, ...

    The parameters are as with `serve_websocket`.

    :param handler: called with a `WebSocketRequest` in a task for each client
    :param listeners: anyio listeners, trio listeners, or any objects with ``accept()``
        or ``serve()``; the server closes them in the end
    :raises ValueError: if there is no listener, or an argument cannot be right
    :raises TypeError: if an argument is of the wrong type

    """

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[Any],
        *,
        handler_nursery: Nursery | None = None,
        message_queue_size: float = MESSAGE_QUEUE_SIZE,
        max_message_size: float = MAX_MESSAGE_SIZE,
        receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
        origins: Iterable[str] | str | None = None,
        handler_errors: Literal["log", "raise"] = "log",
        compression: PerMessageDeflate | bool | None = None,
        ping_interval: float | None = PING_INTERVAL,
        ping_timeout: float | None = PING_TIMEOUT,
        max_connections: int | None = None,
        max_pending_handshakes: int | None = MAX_PENDING_HANDSHAKES,
    ) -> None:
        if len(listeners) == 0:
            raise ValueError("Listeners must contain at least one item.")
        if handler_errors not in ("log", "raise"):
            raise ValueError(
                f'handler_errors must be "log" or "raise", not {handler_errors!r}'
            )
        self._handler_nursery = handler_nursery
        self._admission = Admission(max_connections, max_pending_handshakes)
        self._make_clients = partial(
            ClientTasks,
            handler,
            handler_errors,
            Origins(origins),
            Extensions.from_arguments(compression),
            ConnectionSettings(
                message_queue_size,
                max_message_size,
                receive_buffer_size,
                connect_timeout,
                disconnect_timeout,
                ping_interval,
                ping_timeout,
            ),
            self._admission,
        )
        self._acceptors = [
            acceptor for listener in listeners for acceptor in acceptors_of(listener)
        ]
        self._clients: ClientTasks | None = None  # once it runs
        self._accepting: CancelScope | None = None  # and so here
        self._listeners_closed: Event | None = None  # set when the listeners are closed
        self._closing = False

    @property
    def port(self) -> int:
        """The TCP port, if there is just one.

        :raises RuntimeError: if the listeners have several ports, or none

        """
        ports = {
            endpoint.port if isinstance(endpoint, Endpoint) else None
            for endpoint in self.listeners
        }
        port = ports.pop()
        if ports:
            raise RuntimeError("the server has no single port: it has several")
        if port is None:
            raise RuntimeError(f"{self.listeners[0]} has no port")
        return port

    @property
    def listeners(self) -> list[Endpoint | str]:
        """Where the server listens: an `Endpoint` for TCP, else the listener's repr."""
        return [acceptor.endpoint for acceptor in self._acceptors]

    async def run(self, *, task_status: TaskStatus = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, until `aclose`, or until all listeners are closed.

        :param task_status: what ``nursery.start()`` passes; it is given the server

        """
        async with create_task_group() as tasks:
            handlers: Nursery = self._handler_nursery or tasks
            self._clients = clients = self._make_clients(handlers)
            self._listeners_closed = Event()
            try:
                with clients:
                    async with create_task_group() as accepting:
                        self._accepting = accepting.cancel_scope
                        if not self._closing:
                            for acceptor in self._acceptors:
                                accepting.start_soon(
                                    acceptor.serve,
                                    clients.handle,
                                    handlers,
                                    self._admission,
                                )
                        task_status.started(self)
            finally:
                with CancelScope(shield=True):
                    await self._close_listeners()
                self._listeners_closed.set()

    async def aclose(
        self,
        code: int = 1001,
        reason: str | None = None,
        *,
        timeout: float | None = DISCONNECT_TIMEOUT,
    ) -> None:
        """Stop serving: say good-bye to the clients and wait for their handlers.

        No more clients are accepted. Handshakes that are not answered yet are, with a
        503, and handlers that were to answer them are cancelled. Every other client is
        sent a Close; its handler sees `ConnectionClosed` and has the time until the
        timeout to end, after which it is cancelled. Then `run`, or `serve_websocket`,
        returns.

        Returns when all is closed; so does every further call, whose arguments do not
        count. If the first call is cancelled, everything is closed and cancelled at
        once. A handler must not wait for it, for it would wait for itself; have a task
        elsewhere do it.

        :param code: the close code, as with `WebSocketConnection.aclose`; 1012 says
            that the server restarts
        :param reason: a text of up to 123 bytes in UTF-8, longer ones are cut;
            ``None`` for none
        :param timeout: seconds until the handlers that are left are cancelled, 0 to
            cancel them at once; ``None`` for no limit but that of each closing
            handshake
        :raises ValueError: if an argument cannot be right; nothing is stopped then
        :raises TypeError: if an argument is of the wrong type; nothing is stopped then

        """
        code = close_code_to_send(code)
        text = close_reason_to_send(reason)
        if timeout is not None:
            check("timeout", timeout, zero=True)
        is_first, self._closing = not self._closing, True
        if self._accepting is not None:
            self._accepting.cancel()
        if self._clients is not None:
            if is_first:
                seconds = math.inf if timeout is None else timeout
                await self._clients.close(code, text, seconds)
            await self._clients.wait_empty()
        if self._listeners_closed is None:  # run() was never called
            await self._close_listeners()
        else:
            await self._listeners_closed.wait()

    async def _close_listeners(self) -> None:
        for acceptor in self._acceptors:
            await acceptor.aclose()
