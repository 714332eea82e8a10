"""Opening a connection as a client: the public functions, and what they share.

In: a URL, or host, port and resource, or a stream. Out: a `WebSocketConnection`.

Each function checks its arguments, makes a `Connector` and lets it connect. What
differs is where the connection lives: for a block, or in a nursery.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Unpack

from .._connection import WebSocketConnection
from .._errors import HandshakeError
from .._keywords import checked, with_options
from .._options import ClientOptions, ClientStreamOptions
from .._settings import ClientSettings, ClientStreamSettings
from .._transport import AnyStream, transport_of
from .._types import Nursery, in_a_nursery
from . import _url
from ._block import open_in_block
from ._connector import Connector
from ._dial import ConnectedStream, Dialer
from ._encrypt import hint
from ._misuse import Opening, check_is_no_port

_with_client_options = with_options(ClientOptions, ClientSettings)
_with_stream_options = with_options(ClientStreamOptions, ClientStreamSettings)


@_with_client_options
def open_websocket(
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    **options: Unpack[ClientOptions],
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Open a connection for the duration of an ``async with`` block.

    Leaving the block closes the connection with code 1000. If the block is cancelled,
    or left by an exception such as `KeyboardInterrupt`, the stream is closed at once.
    An exception of the block always comes out as it is. Another task may leave the
    block than the one that entered it.

    The arguments are checked when the function is called, and the connection is made
    when the block is entered.

    The options are described in `ClientOptions`, `ClientStreamOptions` and
    `ConnectionOptions`.

    :param host: the server's name or IP address, IPv6 without brackets
    :param port: the server's TCP port
    :param resource: the path to request, with the query if there is one
    :param use_ssl: ``False`` for no TLS; ``True`` for TLS that verifies the server
        with the system's certificates; or the context to use
    :raises ValueError: if an argument has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises HandshakeError: if the connection could not be made; ``__cause__`` is the
        error of the network or of TLS, if there was one
    :raises ConnectionTimeout: if it was not open within ``connect_timeout``
    :raises ProxyError: if the proxy could not be reached, or did not connect
    :raises ConnectionRejected: if the server responded with another status than 101
    :raises ImportError: if it is a SOCKS proxy, and the extra ``socks`` is missing
    :raises DisconnectionTimeout: if the block ended without an exception, and the
        server did not finish the closing handshake within ``disconnect_timeout``

    """
    settings = checked(ClientSettings, open_websocket, options)
    target = _url.target(host, port, resource, use_ssl)
    connector = Connector(Dialer(target, use_ssl, settings), settings)
    return Opening(lambda: _open(connector), "open_websocket", "connect_websocket")


@_with_client_options
def open_websocket_url(
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[ClientOptions],
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Open a connection to a URL for the duration of an ``async with`` block.

    This is `open_websocket` for a URL; what is said there holds here as well. The
    options are described in `ClientOptions`, `ClientStreamOptions` and
    `ConnectionOptions`.

    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one; its
        fragment is not sent; its user name and password are, as ``auth``
    :param ssl_context: the TLS context for a ``wss:`` URL; ``None`` verifies the
        server with the system's certificates
    :raises ValueError: if the URL is not valid, if there is a context for a ``ws:``
        URL, or if an option has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist

    """
    check_is_no_port(ssl_context, "open_websocket_url")
    settings = checked(ClientSettings, open_websocket_url, options)
    target = _url.parse(url)
    connector = Connector(Dialer.for_url(target, ssl_context, settings), settings)
    name = "open_websocket_url"
    return Opening(lambda: _open(connector), name, "connect_websocket_url")


@in_a_nursery
@_with_client_options
async def connect_websocket(
    nursery: Nursery,
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    **options: Unpack[ClientOptions],
) -> WebSocketConnection:
    """Open a connection that lives in a nursery until it is closed.

    Once the connection is open, one task is started in the nursery; it ends when the
    connection is closed. Cancelling the nursery closes the connection at once (1006).

    The options are described in `ClientOptions`, `ClientStreamOptions` and
    `ConnectionOptions`.

    :param nursery: an anyio task group or a trio nursery
    :param host: the server's name or IP address, IPv6 without brackets
    :param port: the server's TCP port
    :param resource: the path to request, with the query if there is one
    :param use_ssl: ``False`` for no TLS; ``True`` for TLS that verifies the server
        with the system's certificates; or the context to use
    :raises ValueError: if an argument has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises RuntimeError: if the nursery takes no tasks; nothing was sent
    :raises OSError: if the server cannot be reached, or TLS fails
    :raises HandshakeError: if the server's response is not valid, or it closes the
        connection during the handshake
    :raises ConnectionTimeout: if the connection was not open within
        ``connect_timeout``
    :raises ProxyError: if the proxy could not be reached, or did not connect
    :raises ConnectionRejected: if the server responded with another status than 101
    :raises ImportError: if it is a SOCKS proxy, and the extra ``socks`` is missing

    """
    settings = checked(ClientSettings, connect_websocket, options)
    target = _url.target(host, port, resource, use_ssl)
    connector = Connector(Dialer(target, use_ssl, settings), settings)
    return await connector.connect(nursery)


@in_a_nursery
@_with_client_options
async def connect_websocket_url(
    nursery: Nursery,
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[ClientOptions],
) -> WebSocketConnection:
    """Open a connection to a URL that lives in a nursery until it is closed.

    This is `connect_websocket` for a URL; what is said there holds here as well. The
    options are described in `ClientOptions`, `ClientStreamOptions` and
    `ConnectionOptions`.

    :param nursery: an anyio task group or a trio nursery
    :param url: a ``ws:`` or ``wss:`` URL, or an object whose ``str()`` is one; its
        fragment is not sent; its user name and password are, as ``auth``
    :param ssl_context: the TLS context for a ``wss:`` URL; ``None`` verifies the
        server with the system's certificates
    :raises ValueError: if the URL is not valid, if there is a context for a ``ws:``
        URL, or if an option has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises RuntimeError: if the nursery takes no tasks; nothing was sent

    """
    check_is_no_port(ssl_context, "connect_websocket_url")
    settings = checked(ClientSettings, connect_websocket_url, options)
    target = _url.parse(url)
    connector = Connector(Dialer.for_url(target, ssl_context, settings), settings)
    return await connector.connect(nursery)


@in_a_nursery
@_with_stream_options
async def wrap_client_stream(
    nursery: Nursery,
    stream: AnyStream,
    host: str,
    resource: str,
    **options: Unpack[ClientStreamOptions],
) -> WebSocketConnection:
    """Open a connection over a stream that is already connected.

    From now on the stream belongs to the connection: it is closed with it, and also
    if the handshake fails. Otherwise this is `connect_websocket`. The options are
    described in `ClientStreamOptions` and `ConnectionOptions`.

    :param nursery: an anyio task group or a trio nursery
    :param stream: an :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
    :param host: the value of the ``Host`` header, with the port if it is not the
        default
    :param resource: the path to request, with the query if there is one
    :raises ValueError: if an argument has a value that cannot work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises RuntimeError: if the nursery takes no tasks; nothing was sent
    :raises HandshakeError: if the server's response is not valid, or it closes the
        stream during the handshake
    :raises ConnectionTimeout: if the connection was not open within
        ``connect_timeout``
    :raises ConnectionRejected: if the server responded with another status than 101

    """
    settings = checked(ClientStreamSettings, wrap_client_stream, options)
    dialer = ConnectedStream(transport_of(stream), host, resource, settings)
    return await Connector(dialer, settings).connect(nursery)


def open_over(
    connect: Callable[[], AnyStream],
    host: str,
    resource: str,
    settings: ClientStreamSettings,
    function: str,
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Open a connection for a block, over a stream that is made when it is entered.

    :param connect: makes the stream
    :param host: the value of the ``Host`` header, also the server's name in errors
    :param resource: the path to request, with the query if there is one
    :param settings: the options, checked
    :param function: the name of the function that was called, for errors
    :raises ValueError: if host or resource cannot be sent
    :raises TypeError: if the resource is not a ``str``

    """
    _url.check_resource(resource)

    def open_block() -> AbstractAsyncContextManager[WebSocketConnection]:
        stream = transport_of(connect())
        dialer = ConnectedStream(stream, host, resource, settings)
        return _open(Connector(dialer, settings))

    return Opening(open_block, function)


@asynccontextmanager
async def _open(connector: Connector) -> AsyncGenerator[WebSocketConnection]:
    """Keep a connection open while a block runs; see `open_websocket`."""
    try:
        established = await connector.establish()
    except OSError as exc:
        text = f"could not connect to the server at {connector.server}: {exc}"
        raise HandshakeError(text + hint(exc)) from exc

    async with open_in_block(
        lambda nursery: connector.start(nursery, *established),
        connector.server,
        connector.settings,
    ) as connection:
        yield connection
