"""``serve``: a server to try clients with, which echoes or broadcasts."""

from __future__ import annotations

import ssl
import sys
from argparse import Namespace
from functools import partial
from typing import Any

import anyio

from .. import WebSocketConnection, WebSocketRequest, broadcast, serve_websocket
from ._failure import ExitCode, Failure
from ._stop import Stop
from ._streams import Output


async def serve(arguments: Namespace, stop: Stop) -> int:
    """Run the command; return its exit code, which is 0 if a signal stops it.

    :raises Failure: if there is no certificate
    :raises OSError: if it cannot listen there

    """
    listen: Any = partial(
        serve_websocket,
        Room() if arguments.broadcast else echo,
        arguments.host,
        arguments.port,
        _tls(arguments),
        max_message_size=arguments.max_size,
    )
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(listen)
        output = Output(sys.stdout)
        for endpoint in server.listeners:
            await output.write(f"listening on {endpoint.url}\n".encode())
        with stop.scope:
            await anyio.sleep_forever()
        await server.aclose()
    return ExitCode.DONE


async def echo(request: WebSocketRequest) -> None:
    """Send each message back; take the first subprotocol that is offered."""
    connection = await _accept(request)
    async for message in connection:
        await connection.send_message(message)


class Room:
    """A handler that sends each message to all clients, also to the one it is of."""

    def __init__(self) -> None:
        self._connections: set[WebSocketConnection] = set()

    async def __call__(self, request: WebSocketRequest) -> None:
        connection = await _accept(request)
        self._connections.add(connection)
        try:
            async for message in connection:
                broadcast(self._connections, message)  # the slow ones miss it
        finally:
            self._connections.remove(connection)


async def _accept(request: WebSocketRequest) -> WebSocketConnection:
    offered = request.proposed_subprotocols
    return await request.accept(subprotocol=offered[0] if offered else None)


def _tls(arguments: Namespace) -> ssl.SSLContext | None:
    if arguments.certfile is None:
        if arguments.keyfile is not None:
            raise Failure(ExitCode.USAGE, "--keyfile needs --certfile")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(arguments.certfile, arguments.keyfile, _no_password)
    except OSError as exc:  # ssl.SSLError is one
        why = (
            "they are not a certificate and its key, without a password"
            if isinstance(exc, ssl.SSLError)
            else exc.strerror
        )
        text = f"cannot use the files of --certfile and --keyfile: {why}"
        raise Failure(ExitCode.USAGE, text) from exc
    return context


def _no_password() -> bytes:
    return b""  # OpenSSL would ask for it in the terminal, forever
