"""The server's front door: accept, read the request, let a handler decide.

In: listeners, or a stream. Out: a ``WebSocketRequest`` for the handler, and from it a
``WebSocketConnection``.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, NoReturn, Protocol, cast

import anyio
from anyio import TASK_STATUS_IGNORED, CancelScope, create_task_group, move_on_after
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSListener, TLSStream

from ._attendant import Attendant, Nursery
from ._endpoint import Endpoint
from ._errors import ConnectionTimeout, HandshakeError
from ._handshake import hear
from ._link import Link
from ._listeners import parts_of
from ._options import (
    CONNECT_TIMEOUT,
    DISCONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    MESSAGE_QUEUE_SIZE,
    PING_INTERVAL,
    PING_TIMEOUT,
    RECEIVE_BUFFER_SIZE,
    Options,
)
from ._protocol import Extensions, Origins, PerMessageDeflate, ServerHandshake
from ._readiness import can_wait
from ._request import Opening, WebSocketRequest
from ._sockets import OwnListener, SocketTransport
from ._tls import TlsTransport, check_context
from ._transport import AnyStream, Transport, wrap

_logger = logging.getLogger("anyio_websocket")

Handler = Callable[[WebSocketRequest], Awaitable[object]]


class TaskStatus(Protocol):
    """What ``nursery.start()`` passes, in anyio and in trio."""

    def started(self, value: Any = None, /) -> None:
        """Hand the value to who waits for the start."""


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
    options = Options(
        message_queue_size,
        max_message_size,
        receive_buffer_size,
        connect_timeout,
        disconnect_timeout,
        ping_interval,
        ping_timeout,
    )
    transport = wrap(stream)
    handshake = ServerHandshake(
        origins=Origins(origins), extensions=Extensions.wanted(compression)
    )
    try:
        with move_on_after(options.connect_seconds):
            request = await hear(transport, handshake)
            return WebSocketRequest(
                Opening(
                    transport, handshake, request, Attendant(nursery, options), options
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
) -> NoReturn:
    """Serve WebSockets on a TCP port until cancelled.

    To be started with ``server = await nursery.start(serve_websocket, ...)``, which
    returns a `WebSocketServer` once clients can connect.

    When it is cancelled, every client is sent a Close with code 1001 and given
    ``disconnect_timeout`` to answer; then the handlers are cancelled.

    :param handler: called with a `WebSocketRequest` in a task for each client. When it
        returns, the connection is closed with code 1000, or the request answered with
        500 if the handler did not answer it
    :param host: the address or name to listen on, ``None`` for all interfaces
    :param port: the port to listen on, 0 for one that the system chooses
    :param ssl_context: the TLS context, ``None`` for plain TCP
    :param handler_nursery: where the handlers run, so that they may outlive the
        server; ``None`` for a nursery of the server's own
    :param message_queue_size: received messages that may wait while the application
        does not fetch them; when they do, no more is read. ``math.inf`` for no bound
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
    :raises OSError: if the port cannot be listened on
    :raises ValueError: if an argument cannot be right
    :raises TypeError: if an argument is of the wrong type

    """
    if ssl_context is not None:
        check_context(ssl_context)
    listener: Any = await anyio.create_tcp_listener(local_host=host, local_port=port)
    if can_wait():
        listener = MultiListener([OwnListener(part) for part in listener.listeners])
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
        )
    except BaseException:
        await listener.aclose()
        raise
    await server.run(task_status=task_status)
    raise AssertionError("only cancellation ends a server")  # pragma: no cover


class WebSocketServer:
    """A server over listeners of your own: UNIX sockets, several ports, ...

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
    ) -> None:
        if len(listeners) == 0:
            raise ValueError("Listeners must contain at least one item.")
        if handler_errors not in ("log", "raise"):
            raise ValueError(
                f'handler_errors must be "log" or "raise", not {handler_errors!r}'
            )
        self._handler = handler
        self._handler_nursery = handler_nursery
        self._handler_errors = handler_errors
        self._origins = Origins(origins)
        self._extensions = Extensions.wanted(compression)
        self._options = Options(
            message_queue_size,
            max_message_size,
            receive_buffer_size,
            connect_timeout,
            disconnect_timeout,
            ping_interval,
            ping_timeout,
        )
        self._listening = [
            part for listener in listeners for part in parts_of(listener)
        ]
        self._handling: dict[CancelScope, Opening | None] = {}
        self._stopped = False

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
        return [listening.endpoint for listening in self._listening]

    async def run(self, *, task_status: TaskStatus = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, or until all the listeners are closed.

        :param task_status: what ``nursery.start()`` passes; it is given the server

        """
        async with create_task_group() as tasks:
            handlers: Nursery = self._handler_nursery or tasks
            attendant = Attendant(
                handlers,
                self._options,
                farewell=lambda: self._farewell(attendant),
            )
            attendant.hold()
            handle = partial(self._handle, attendant=attendant)
            try:
                async with create_task_group() as accepting:
                    for listening in self._listening:
                        accepting.start_soon(listening.serve, handle, handlers)
                    task_status.started(self)
            finally:
                attendant.release()
                with CancelScope(shield=True):
                    for listening in self._listening:
                        await listening.aclose()

    async def _handle(
        self, stream: Any, context: ssl.SSLContext | None, attendant: Attendant
    ) -> None:
        # Shielded, so that a cancelled server can say good-bye before its handlers
        # end; _farewell() cancels this scope then.
        transport = stream if isinstance(stream, SocketTransport) else wrap(stream)
        with CancelScope(shield=True) as scope:
            self._handling[scope] = None
            attendant.hold()
            try:
                if self._stopped:  # accepted while the others were told to go
                    scope.cancel()
                opening = await self._hear(stream, transport, context, attendant)
                if opening is not None:
                    self._handling[scope] = opening
                    await self._call_handler(opening)
            finally:
                attendant.release()
                del self._handling[scope]

    async def _hear(
        self,
        stream: Any,
        transport: Transport,
        context: ssl.SSLContext | None,
        attendant: Attendant,
    ) -> Opening | None:
        """Read a request within the time limit; ``None`` if there is none."""
        try:
            with move_on_after(self._options.connect_seconds):
                if context is not None:
                    transport = await _start_tls(stream, context)
                handshake = ServerHandshake(
                    origins=self._origins, extensions=self._extensions
                )
                request = await hear(transport, handshake)
                return Opening(transport, handshake, request, attendant, self._options)
            _logger.debug("%s sent no complete request in time", transport.remote)
        except HandshakeError as exc:
            _logger.debug("%s: %s", transport.remote, exc)
        except BaseException:
            await transport.abort()
            raise
        await transport.abort()
        return None

    async def _call_handler(self, opening: Opening) -> None:
        code, status_code = 1000, 500
        try:
            await self._handler(WebSocketRequest(opening))
        except Exception as exc:
            if not _only(exc, opening.is_own):
                code = 1011
                if self._handler_errors == "raise":
                    raise
                _logger.exception("%s: the handler raised", opening.transport.remote)
        except BaseException:  # cancelled, and so is the server
            code, status_code = 1001, 503
            raise
        finally:
            with CancelScope(shield=True):
                await opening.end(code=code, status_code=status_code)

    async def _farewell(self, attendant: Attendant) -> None:
        """The nursery is cancelled: tell the clients, then end the handlers."""
        self._stopped = True
        for scope, opening in list(self._handling.items()):
            if opening is None or opening.link is None:
                scope.cancel()
        async with create_task_group() as group:
            for member in attendant.members:
                assert isinstance(member, Link)
                group.start_soon(member.close, 1001, "")
        for scope in list(self._handling):
            scope.cancel()


async def _start_tls(stream: Any, context: ssl.SSLContext) -> Transport:
    try:
        if isinstance(stream, SocketTransport):
            tls = TlsTransport(stream, context, None)
            await tls.handshake()
            return tls
        return wrap(
            await TLSStream.wrap(
                stream, server_side=True, ssl_context=context, standard_compatible=False
            )
        )
    except Exception as exc:  # as in _transport: it ends nobody else
        raise HandshakeError(f"no TLS handshake: {exc!r}") from exc


def _only(exc: BaseException, wanted: Callable[[BaseException], bool]) -> bool:
    """Say whether an exception, or all in a group of them, are what is wanted."""
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return all(_only(inner, wanted) for inner in group.exceptions)
    return wanted(exc)
