"""The client's front door: dial, shake hands, hand over a connection.

In: a URL, or host, port and resource, or a stream. Out: a ``WebSocketConnection``.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from anyio import create_task_group, move_on_after

from .._connection import BackgroundTask, ConnectionCore, WebSocketConnection, open_core
from .._errors import ConnectionTimeout, DisconnectionTimeout, HandshakeError
from .._options import (
    CONNECT_TIMEOUT,
    DISCONNECT_TIMEOUT,
    MAX_MESSAGE_SIZE,
    MESSAGE_QUEUE_SIZE,
    PING_INTERVAL,
    PING_TIMEOUT,
    RECEIVE_BUFFER_SIZE,
    ConnectionSettings,
)
from .._protocol import (
    Accepted,
    ClientHandshake,
    Extension,
    Extensions,
    PerMessageDeflate,
)
from .._transport import AnyStream, Transport, check_ssl_context, transport_of
from .._types import Header, Nursery
from . import _url
from ._dial import Dialer
from ._handshake import rejection, request_upgrade


@asynccontextmanager
async def open_websocket(
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    subprotocols: Iterable[str] | None = None,
    extra_headers: Iterable[Header] | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    compression: PerMessageDeflate | bool | None = None,
    extensions: Iterable[Extension] | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> AsyncGenerator[WebSocketConnection]:
    """Open a connection for the time of an ``async with`` block.

    Leaving the block closes the connection with code 1000. If the block is left by a
    cancellation or by an exception such as `KeyboardInterrupt`, the stream is closed
    at once. An exception of the block always comes out as it is.

    :param host: the server's name or IP address, IPv6 without brackets
    :param port: the server's TCP port
    :param resource: the path to ask for, with the query if there is one
    :param use_ssl: ``False`` for a plain connection, ``True`` for TLS that verifies
        the server as the system does, or the context to use
    :param subprotocols: the subprotocols to offer, best first; ``None`` for none
    :param extra_headers: headers to send beside those of the handshake, as pairs of
        ``bytes`` or of ``str``; ``None`` for none. ``Host`` replaces ours
    :param message_queue_size: received messages that may wait while the application
        does not fetch them; when they do, no more is read. ``math.inf`` for no bound;
        with 0 nothing is read, not even a Pong or a Close, but for a task that waits
        in `WebSocketConnection.get_message`
    :param max_message_size: bytes of payload in a received message; a larger one ends
        the connection with code 1009. ``math.inf`` for no limit
    :param receive_buffer_size: bytes to ask of the network at once, ``None`` to leave
        it to the stream
    :param connect_timeout: seconds until the connection must be open, from the look-up
        of the name to the server's answer; ``None`` for no limit
    :param disconnect_timeout: seconds that closing may take; ``None`` for no limit
    :param compression: ``True`` to offer permessage-deflate with the defaults of
        `PerMessageDeflate`, or settings of your own; ``None`` for none. Which was
        agreed on is in `WebSocketConnection.compression`
    :param extensions: extensions of your own to offer, as wsproto has them, instead of
        ``compression``; new objects for each connection. ``None`` for none
    :param ping_interval: seconds from one Ping that keeps the connection alive to the
        next; ``None`` for none
    :param ping_timeout: seconds in which something must come from the peer then, else
        the connection is ended with code 1006; any byte counts, and the time in which
        we do not read because the application does not fetch what was received does
        not. ``None`` for no limit
    :raises HandshakeError: if no connection could be made, with the error of the
        network or of TLS as ``__cause__``
    :raises ConnectionTimeout: if none was made in time
    :raises ConnectionRejected: if the server refused
    :raises DisconnectionTimeout: on leaving the block, if the server did not answer
        the closing handshake in time and the block raised nothing
    :raises ValueError: if an argument cannot be right; nothing was sent then
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
    dialer = Dialer(host, port, use_ssl)
    handshake = dialer.handshake(
        resource,
        subprotocols,
        extra_headers,
        Extensions.from_arguments(compression, extensions),
    )
    try:
        transport, accepted = await _establish(dialer.dial, handshake, options)
    except OSError as exc:
        raise HandshakeError(
            f"could not connect to {dialer.host_header}: {exc}"
        ) from exc
    error: BaseException | None = None  # of the block, which always comes out
    internal: BaseException | None = None  # of the task group
    core: ConnectionCore | None = None
    open_until_now = True
    try:
        async with create_task_group() as nursery:
            core = _core(nursery, transport, accepted, options)
            try:
                yield _connection(core, handshake, accepted)
            except BaseException as exc:
                error = exc
            open_until_now = not core.close_state.closed
            try:
                if error is None or isinstance(error, Exception):
                    await core.close(1000, "")
                else:
                    await core.abort()
            except BaseException as exc:  # cancelled: it is closed all the same
                error = error or exc
            # Only our own task is left in there, and it has nothing more to do.
            nursery.cancel_scope.cancel()
    except BaseException as exc:
        internal = exc
    if internal is not None:
        error = _combined(error, internal)
    if error is not None:
        raise error
    # An explicit aclose() in the block that took too long has returned, and no more.
    if core is not None and open_until_now and core.close_state.timed_out:
        raise DisconnectionTimeout(
            "the server did not finish the closing handshake within "
            f"{disconnect_timeout} seconds"
        )


def open_websocket_url(
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: Iterable[Header] | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    compression: PerMessageDeflate | bool | None = None,
    extensions: Iterable[Extension] | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Open a connection to a URL for the time of an ``async with`` block.

    Everything else is as with `open_websocket`.

    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one; a
        fragment and userinfo are left out
    :param ssl_context: the TLS context for ``wss:``; ``None`` for one that verifies
        the server as the system does
    :raises ValueError: at the call, if the URL is none, or a context is given for
        ``ws:``
    :raises TypeError: at the call, if the context is none

    """
    target = _url.parse(url)
    return open_websocket(
        target.host,
        target.port,
        target.resource,
        use_ssl=_ssl_of(target, ssl_context),
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
        connect_timeout=connect_timeout,
        disconnect_timeout=disconnect_timeout,
        compression=compression,
        extensions=extensions,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
    )


async def connect_websocket(
    nursery: Nursery,
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    subprotocols: Iterable[str] | None = None,
    extra_headers: Iterable[Header] | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    compression: PerMessageDeflate | bool | None = None,
    extensions: Iterable[Extension] | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> WebSocketConnection:
    """Open a connection that lives in a nursery, until somebody closes it.

    One task is started in the nursery, once the connection is open; it ends when the
    connection is closed. If the nursery is cancelled, so is the connection (1006).
    Every other parameter is as with `open_websocket`.

    :param nursery: an anyio task group or a trio nursery
    :raises OSError: if the server cannot be reached or TLS fails
    :raises HandshakeError: if there is no handshake to be had with the server
    :raises ConnectionTimeout: if the connection was not open in time
    :raises ConnectionRejected: if the server refused
    :raises ValueError: if an argument cannot be right; nothing was sent then
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
    dialer = Dialer(host, port, use_ssl)
    handshake = dialer.handshake(
        resource,
        subprotocols,
        extra_headers,
        Extensions.from_arguments(compression, extensions),
    )
    transport, accepted = await _establish(dialer.dial, handshake, options)
    return _connection(
        _core(nursery, transport, accepted, options), handshake, accepted
    )


async def connect_websocket_url(
    nursery: Nursery,
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: Iterable[Header] | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    compression: PerMessageDeflate | bool | None = None,
    extensions: Iterable[Extension] | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> WebSocketConnection:
    """Open a connection to a URL that lives in a nursery.

    Everything else is as with `connect_websocket`, ``url`` and ``ssl_context`` as with
    `open_websocket_url`.

    :param nursery: an anyio task group or a trio nursery
    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one
    :param ssl_context: the TLS context for ``wss:``; ``None`` for one that verifies
        the server as the system does
    :raises ValueError: if the URL is none, or a context is given for ``ws:``
    :raises TypeError: if the context is none

    """
    target = _url.parse(url)
    return await connect_websocket(
        nursery,
        target.host,
        target.port,
        target.resource,
        use_ssl=_ssl_of(target, ssl_context),
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
        connect_timeout=connect_timeout,
        disconnect_timeout=disconnect_timeout,
        compression=compression,
        extensions=extensions,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
    )


async def wrap_client_stream(
    nursery: Nursery,
    stream: AnyStream,
    host: str,
    resource: str,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: Iterable[Header] | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    connect_timeout: float | None = CONNECT_TIMEOUT,
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT,
    compression: PerMessageDeflate | bool | None = None,
    extensions: Iterable[Extension] | None = None,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
) -> WebSocketConnection:
    """Open a connection over a stream that is connected already.

    The stream belongs to the connection from now on: it is closed with it, and also
    if the handshake fails. Every other parameter is as with `connect_websocket`.

    :param nursery: an anyio task group or a trio nursery
    :param stream: an :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
    :param host: what to say in the ``Host`` header, with the port if it matters
    :param resource: the path to ask for, with the query if there is one

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
    handshake = ClientHandshake(
        host=host,
        target=_url.check_resource(resource),
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        extensions=Extensions.from_arguments(compression, extensions),
    )

    async def connected() -> Transport:
        return transport

    _, accepted = await _establish(connected, handshake, options)
    return _connection(
        _core(nursery, transport, accepted, options), handshake, accepted
    )


def _combined(error: BaseException | None, internal: BaseException) -> BaseException:
    """Choose what comes out of the block when our task group raises as well."""
    if not isinstance(internal, BaseExceptionGroup):
        return error or internal  # a cancellation
    # Our task never raises, so this is Ctrl-C that hit it, or a bug.
    group = cast("BaseExceptionGroup[BaseException]", internal)
    if error is not None:
        error.__context__ = group
        return error
    if group.subgroup(KeyboardInterrupt) is not None:
        interrupt = KeyboardInterrupt()
        interrupt.__cause__ = group
        return interrupt
    return group


def _ssl_of(target: _url.Target, ssl_context: object) -> bool | ssl.SSLContext:
    if not target.is_secure:
        if ssl_context is not None:
            raise ValueError("SSL context must be None for ws: URL scheme")
        return False
    if ssl_context is None or ssl_context is True:
        return True
    # What means "no TLS" to `Dialer` must not slip through: this is a wss: URL.
    return check_ssl_context(ssl_context)


async def _establish(
    dial: Callable[[], Awaitable[Transport]],
    handshake: ClientHandshake,
    options: ConnectionSettings,
) -> tuple[Transport, Accepted]:
    """Connect and shake hands within one deadline; leave nothing behind otherwise."""
    transport: Transport | None = None
    try:
        with move_on_after(options.connect_seconds):
            transport = await dial()
            return transport, await request_upgrade(transport, handshake)
        if partial := handshake.partial_rejection():
            raise rejection(partial)  # only its body was slow
        raise ConnectionTimeout(
            f"no connection was open within {options.connect_timeout} seconds"
        )
    except BaseException:
        if transport is not None:
            await transport.abort()
        raise


def _core(
    nursery: Nursery,
    transport: Transport,
    accepted: Accepted,
    options: ConnectionSettings,
) -> ConnectionCore:
    return open_core(
        transport,
        accepted.extensions,
        BackgroundTask(nursery, options),
        options,
        is_client=True,
        trailing=accepted.trailing,
    )


def _connection(
    core: ConnectionCore, handshake: ClientHandshake, accepted: Accepted
) -> WebSocketConnection:
    return WebSocketConnection(
        core,
        path=handshake.target,
        subprotocol=accepted.subprotocol,
        compression=accepted.extensions.deflate,
        handshake_headers=accepted.headers,
    )
