"""A server in memory, for tests of handlers.

In: the handler. Out: a client of its server, with a real handshake and real limits, but
without a port.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Literal, Unpack, cast

from anyio import (
    TASK_STATUS_IGNORED,
    ClosedResourceError,
    EndOfStream,
    create_task_group,
    get_cancelled_exc_class,
)

from .._client import open_over
from .._connection import WebSocketConnection
from .._errors import HandshakeError, WebSocketError
from .._keywords import checked, with_options
from .._options import ClientStreamOptions, ServerOptions
from .._plain_http import HTTPResponse
from .._server import WebSocketRequest, WebSocketServer, server_of
from .._settings import ClientStreamSettings, ServerSettings
from .._types import Headers, TaskStatus
from ._plain_exchange import PlainExchange
from ._streams import MemoryListener, MemoryStream

HOST = "localhost"  # what the requests say
ADDRESS = "127.0.0.1"  # what `WebSocketRequest.remote` says
# Seconds that handlers have to end when the block ends, until they are cancelled.
STOP_TIMEOUT = 1.0


class _Settings(ServerSettings):
    handler_errors: Literal["log", "raise"] = "raise"


class InMemoryClient:
    """A client of a server in memory; `serve_in_memory` makes it.

    Several connections may be open at the same time. To the handler each of them is
    from 127.0.0.1 and a port of its own; the ``Host`` is ``localhost``.

    """

    def __init__(self, server: WebSocketServer, listener: MemoryListener) -> None:
        #: the server, for its connections, its statistics, or to stop it
        self.server: WebSocketServer = server
        self._listener = listener

    @with_options(ClientStreamOptions, ClientStreamSettings)
    def __call__(
        self, path: str = "/", **options: Unpack[ClientStreamOptions]
    ) -> AbstractAsyncContextManager[WebSocketConnection]:
        """Connect for a block, as `~anyio_websocket.open_websocket_url` does.

        The options are described in `~anyio_websocket.ClientStreamOptions` and
        `~anyio_websocket.ConnectionOptions`.

        :param path: the path to request, with the query if there is one
        :raises ValueError: if an argument has a value that cannot work
        :raises TypeError: if an argument has the wrong type, or does not exist
        :raises ConnectionRejected: if the handler rejects the request
        :raises HandshakeError: if the server has stopped, or its response is not valid
        :raises ConnectionTimeout: if it was not open within ``connect_timeout``

        """
        settings = checked(ClientStreamSettings, InMemoryClient.__call__, options)
        return open_over(self.stream, HOST, path, settings, "connect")

    __call__.__qualname__ = "connect"  # as errors name it

    async def request(
        self,
        method: str,
        path: str = "/",
        *,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> HTTPResponse:
        """Send a request that wants no WebSocket, as for an ``http_handler``.

        :param method: the method, such as ``"GET"``
        :param path: the path to request, with the query if there is one
        :param headers: headers to send besides ``Host`` and ``Content-Length``
        :param body: the body
        :return: the response, without ``Content-Length`` and ``Connection``
        :raises ValueError: if it cannot be sent; ``connect(path)`` is for WebSockets
        :raises HandshakeError: if the server has stopped, or does not respond

        """
        exchange = PlainExchange(method, HOST, path, headers, body)
        response: HTTPResponse | None = None
        async with self.stream() as stream:
            await stream.send(exchange.request)
            while response is None:
                data = b""
                with suppress(EndOfStream):
                    data = await stream.receive()
                response = exchange.receive_data(data)
        return response

    def stream(self) -> MemoryStream:
        """Connect without a handshake, and return the client's end of the stream.

        It is for a `ScriptedPeer`, or for any other client.

        :raises HandshakeError: if the server has stopped

        """
        try:
            return self._listener.connect()
        except ClosedResourceError:
            raise HandshakeError("the server in memory has stopped") from None


@with_options(ServerOptions, _Settings)
def serve_in_memory(
    handler: Callable[[WebSocketRequest], Awaitable[object]],
    **options: Unpack[ServerOptions],
) -> AbstractAsyncContextManager[InMemoryClient]:
    """Serve in memory for the duration of a block: ``async with ... as connect``.

    Inside, ``connect(path, ...)`` opens a connection for a block of its own, without a
    port; see `InMemoryClient`. The handshake, the limits and the close codes are those
    of `~anyio_websocket.serve_websocket`.

    What a handler raises ends the server and the block, and comes out of the block,
    unless ``handler_errors="log"`` is passed. This holds for a block that is cancelled
    as well. If the block raises a `~anyio_websocket.WebSocketError` as well, that is
    its cause. If it raises something else, both come out in an ``ExceptionGroup``.

    When the block ends, the server is stopped, and handlers have a second to end until
    they are cancelled. If the block raises, they are cancelled at once.

    The options are described in `~anyio_websocket.ServerOptions`,
    `~anyio_websocket.ServerStreamOptions` and `~anyio_websocket.ConnectionOptions`.

    :param handler: called with a `~anyio_websocket.WebSocketRequest`, in a task for
        each client
    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an argument has the wrong type, or does not exist

    """
    settings = checked(_Settings, serve_in_memory, options)
    listener = MemoryListener(host=ADDRESS)
    return _serving(server_of(handler, listener, None, settings), listener)


@asynccontextmanager
async def _serving(
    server: WebSocketServer, listener: MemoryListener
) -> AsyncGenerator[InMemoryClient]:
    of_server: Exception | None = None
    of_block: Exception | None = None
    try:
        async with create_task_group() as tasks:

            async def run(
                *, task_status: TaskStatus[WebSocketServer] = TASK_STATUS_IGNORED
            ) -> None:
                nonlocal of_server
                try:
                    await server.run(task_status=task_status)
                except BaseException as exc:
                    errors, rest = _split(exc, Exception)
                    if errors is None:
                        raise
                    of_server = _alone(cast("Exception", errors))
                    tasks.cancel_scope.cancel()  # the block has to end, too
                    if rest is not None:
                        raise rest from None

            await tasks.start(run)
            try:
                yield InMemoryClient(server, listener)
            except Exception as exc:
                of_block = exc
            await server.aclose(timeout=STOP_TIMEOUT if of_block is None else 0)
    except BaseException as exc:
        # If the block is cancelled, what a handler has raised comes out all the same.
        _, rest = _split(exc, get_cancelled_exc_class())
        if of_server is None or rest is not None:
            raise
    if of_server is None:
        if of_block is not None:
            raise of_block
    elif of_block is None or isinstance(of_block, WebSocketError):
        # That a client loses its connection to a server that fails says nothing new.
        raise of_server from of_block
    else:
        raise ExceptionGroup("the block and a handler failed", [of_block, of_server])


def _split(
    exc: BaseException, kind: type[BaseException]
) -> tuple[BaseException | None, BaseException | None]:
    """Take an exception apart: what is of a kind, and the rest.

    On trio, a cancellation may be in one group with what a handler has raised.
    """
    return BaseExceptionGroup("", [exc]).split(kind)


def _alone(error: Exception) -> Exception:
    """Take an exception out of the groups in which it is the only one."""
    while isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        if len(group.exceptions) != 1:
            return group
        error = group.exceptions[0]
    return error
