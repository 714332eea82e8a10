"""From the command line to a connection, for the commands that are clients."""

from __future__ import annotations

import ssl
from argparse import Namespace
from contextlib import AbstractAsyncContextManager
from typing import Unpack

from .. import ClientOptions, ConnectionClosed, WebSocketConnection, open_websocket_url
from ._failure import ExitCode, Failure


def opening(
    arguments: Namespace, **options: Unpack[ClientOptions]
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Return the block in which the connection is open.

    :param arguments: what the parser has found, for a command that is a client
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
