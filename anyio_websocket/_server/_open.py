"""The public functions that open a port or a UNIX socket, and serve there.

In: where to listen. Out: a `WebSocketServer` that runs.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, Final, Unpack

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.streams.tls import TLSListener

from .._keywords import checked, with_options
from .._options import ServerOptions
from .._settings import ServerSettings, check, check_flag
from .._transport import check_ssl_context
from .._types import Nursery, TaskStatus
from ._check_handler import check_handlers
from ._clients import Handler
from ._serve import WebSocketServer, check_handler_nursery, server_of
from ._unix_socket import check_path, listen_on_path

# Connections; what anyio and trio ask for. Every system has a limit of its own that is
# lower, such as Linux's somaxconn (4096).
BACKLOG: Final = 65_536

_with_server_options = with_options(ServerOptions, ServerSettings)


@_with_server_options
async def serve_websocket(
    handler: Handler,
    host: str | None,
    port: int,
    ssl_context: ssl.SSLContext | None,
    *,
    reuse_port: bool = False,
    backlog: int = BACKLOG,
    handler_nursery: Nursery | None = None,
    task_status: TaskStatus[WebSocketServer] = TASK_STATUS_IGNORED,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve WebSockets on a TCP port until cancelled or stopped.

    Start it with ``server = await nursery.start(serve_websocket, ...)``, which returns
    a `WebSocketServer` once clients can connect. It serves until
    `WebSocketServer.aclose` is called, and then returns.

    When it is cancelled, each client is sent a Close with code 1001 and has
    ``disconnect_timeout`` to reply; a client that is in its handshake is sent a
    response with status 503. Then the handlers are cancelled. With a
    ``handler_nursery`` all this happens when that nursery is cancelled; cancelling the
    server only closes its listeners.

    The options are described in `ServerOptions`, `ServerStreamOptions` and
    `ConnectionOptions`.

    :param handler: called with a `WebSocketRequest`, in a task for each client. When
        it returns, the connection is closed with code 1000; if it has neither accepted
        nor rejected the request, the client is sent a response with status 500
    :param host: the address or name to listen on; ``None`` listens on all interfaces
    :param port: the port to listen on; 0 lets the system choose one
    :param ssl_context: the TLS context; ``None`` for no TLS
    :param reuse_port: whether other processes may listen on the same port at the same
        time (``SO_REUSEPORT``), if they ask for it too and run as the same user. Linux
        spreads new connections among them; macOS gives them all to one. By default a
        second process gets the error that the port is in use
    :param backlog: how many connections may wait in the kernel until the server accepts
        them; default 65536, which each system cuts to its own limit
    :param handler_nursery: where the handlers run, if they should be able to outlive
        the server; ``None`` runs them in a nursery inside the server
    :param task_status: passed by ``nursery.start()``
    :raises OSError: if the port cannot be listened on; the text says which it is
    :raises ValueError: if an argument has a value that cannot work, for example
        ``reuse_port`` on a system that has no such thing (Windows)
    :raises TypeError: if an argument has the wrong type, or does not exist

    """
    settings = checked(ServerSettings, serve_websocket, options)
    check("serve_websocket(): backlog", backlog, kind=int)
    check_flag("serve_websocket(): reuse_port", reuse_port)
    if reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError(
            "serve_websocket(): reuse_port cannot work, because this system has no "
            "SO_REUSEPORT; without it, one process can listen on a port"
        )
    _check("serve_websocket", handler, handler_nursery, ssl_context, settings)
    listener: Any = await _listen(host, port, reuse_port=reuse_port, backlog=backlog)
    if ssl_context is not None:
        listener = TLSListener(listener, ssl_context, standard_compatible=False)
    server = server_of(handler, listener, handler_nursery, settings)
    await server.run(task_status=task_status)


@_with_server_options
async def serve_websocket_unix(
    handler: Handler,
    path: str | os.PathLike[str],
    ssl_context: ssl.SSLContext | None = None,
    *,
    mode: int | None = None,
    backlog: int = BACKLOG,
    handler_nursery: Nursery | None = None,
    task_status: TaskStatus[WebSocketServer] = TASK_STATUS_IGNORED,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve WebSockets on a UNIX socket until cancelled or stopped.

    It is for a reverse proxy on the same machine, or for programs that use
    ``unix_path`` of `open_websocket_url`. Everything else is as with
    `serve_websocket`.

    The file of the socket is removed as soon as no more clients are accepted, unless it
    was replaced meanwhile. One that a server left behind which was killed is replaced.

    :param handler: called with a `WebSocketRequest`, in a task for each client
    :param path: the path of the socket, at most some 100 bytes on most systems. On
        Linux, one that begins with a NUL is a name in the "abstract" namespace, which
        has no file
    :param ssl_context: the TLS context; ``None``, the default, for no TLS
    :param mode: the permissions of the file, such as ``0o660``. Who may not write to it
        cannot connect. They are set before anybody can; ``None``, the default, leaves
        them to the process's umask
    :param backlog: see `serve_websocket`
    :param handler_nursery: see `serve_websocket`
    :param task_status: passed by ``nursery.start()``
    :raises OSError: if the path cannot be listened on, because another server listens
        there, there is a file that is not a socket, or its directory does not exist;
        the text says which it is
    :raises ValueError: if an argument has a value that cannot work, for example a path
        that is too long, or if the system has no UNIX sockets (Windows)
    :raises TypeError: if an argument has the wrong type, or does not exist

    """
    settings = checked(ServerSettings, serve_websocket_unix, options)
    checked_path = check_path(path)
    check("serve_websocket_unix(): backlog", backlog, kind=int)
    if mode is not None:
        check("serve_websocket_unix(): mode", mode, kind=int, zero=True)
        if mode > 0o777:
            raise ValueError(
                "serve_websocket_unix(): mode must be permissions such as 0o660, not "
                f"{mode:#o}"
            )
    _check("serve_websocket_unix", handler, handler_nursery, ssl_context, settings)
    listener: Any = listen_on_path(checked_path, mode, backlog)
    if ssl_context is not None:
        listener = TLSListener(listener, ssl_context, standard_compatible=False)
    server = server_of(handler, listener, handler_nursery, settings)
    await server.run(task_status=task_status)


def _check(
    function: str,
    handler: Handler,
    handler_nursery: Nursery | None,
    ssl_context: ssl.SSLContext | None,
    settings: ServerSettings,
) -> None:
    check_handlers(handler, settings.http_handler)
    check_handler_nursery(handler_nursery, function)
    if ssl_context is not None:
        check_ssl_context(ssl_context, server_side=True)


async def _listen(
    host: str | None, port: int, *, reuse_port: bool, backlog: int
) -> Any:
    try:
        return await anyio.create_tcp_listener(
            local_host=host, local_port=port, reuse_port=reuse_port, backlog=backlog
        )
    except OSError as exc:
        # The system's text does not say which address it is about.
        where = "all interfaces" if host is None else host
        text = f"cannot listen on {where}, port {port}: {exc.strerror or exc}"
        kind = socket.gaierror if isinstance(exc, socket.gaierror) else OSError
        raise kind(exc.errno, text) from exc
