"""A connection of the commands that are clients, from the command line to its end."""

from __future__ import annotations

import ssl
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Unpack

from .. import (
    ClientOptions,
    ConnectionClosed,
    DisconnectionTimeout,
    WebSocketConnection,
    open_websocket_url,
)
from ._failure import ExitCode, Failure, first_failure
from ._stop import Stop


async def use_connection(
    use: Callable[[WebSocketConnection], Awaitable[None]],
    arguments: Namespace,
    stop: Stop,
    **options: Unpack[ClientOptions],
) -> Failure | None:
    """Open a connection, have a function use it, and close it.

    A server that does not answer the Close hides neither a failure nor a signal, and
    cannot hold up the end once nobody waits for its messages any more.

    :param use: what to do; a signal cancels it
    :param arguments: the parsed arguments of ``connect`` or ``ping``
    :return: why the function failed
    :raises Failure: if the command line has something that cannot work
    :raises WebSocketError: if there is no connection, or the server did not finish the
        closing handshake, and all was well until then

    """
    failure: Failure | None = None
    with stop.closing:
        try:
            async with AsyncExitStack() as stack:
                with stop.scope:
                    block = opening(arguments, **options)
                    connection = await stack.enter_async_context(block)
                    try:
                        await use(connection)
                    except* Failure as group:
                        # What was sent is to arrive, so the block ends without an
                        # exception.
                        failure = first_failure(group)
                        if failure.code in (ExitCode.FAILED, ExitCode.OUTPUT_CLOSED):
                            stop.hurry()  # the output is gone
        except DisconnectionTimeout:
            if failure is None and stop.signal is None:
                raise
    return failure


def opening(
    arguments: Namespace, **options: Unpack[ClientOptions]
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Return the block in which the connection is open.

    :param arguments: the parsed arguments of ``connect`` or ``ping``
    :raises Failure: if the command line has something that cannot work

    """
    context = _tls(arguments)
    if arguments.proxy is not None:
        options["proxy"] = None if arguments.proxy == "none" else arguments.proxy
    options["extra_headers"] = arguments.headers
    options["subprotocols"] = arguments.subprotocols
    try:
        return open_websocket_url(arguments.url, context, **options)
    except ValueError as exc:
        # It says which of the options it is about.
        text = str(exc).removeprefix("open_websocket_url(): ")
        raise Failure(ExitCode.USAGE, text) from exc


def lost(exc: ConnectionClosed) -> Failure:
    """Say why a connection ended."""
    text = str(exc)
    if exc.sent is not None and exc.sent.code == 1009:
        text += "; --max-size allows larger messages"
    return Failure(ExitCode.LOST, text)


def _tls(arguments: Namespace) -> ssl.SSLContext | None:
    if arguments.cafile is None and not arguments.insecure:
        return None
    if not arguments.url.lower().startswith("wss:"):
        text = "--cafile and --insecure are for URLs that begin with wss:"
        raise Failure(ExitCode.USAGE, text)
    try:
        context = ssl.create_default_context(cafile=arguments.cafile)
    except OSError as exc:  # ssl.SSLError is one
        why = (
            "it has no certificates" if isinstance(exc, ssl.SSLError) else exc.strerror
        )
        text = f"cannot use the file of --cafile: {why}"
        raise Failure(ExitCode.USAGE, text) from exc
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
