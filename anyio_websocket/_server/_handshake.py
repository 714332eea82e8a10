"""The server's side of the opening handshake, over a transport.

What is in a valid request, and what is in a response, is decided by `ServerHandshake`.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSAttribute, TLSStream

from .._errors import HandshakeError
from .._log import LogThrottle
from .._protocol import PlainRequest, Rejection, Request, ServerHandshake, name_of
from .._settings import HANDSHAKE_RECEIVE_SIZE, LINGER_TIMEOUT, ServerSettings
from .._transport import (
    SocketTransport,
    TlsTransport,
    Transport,
    TransportLost,
    check_alpn,
    send,
    transport_of,
)

_logger = logging.getLogger("anyio_websocket")

# Seconds between two warnings about pages that may not connect. There is one such
# request for each attempt of each visitor, and one is enough to tell the operator.
WARNING_INTERVAL: Final = 60.0

# Called with the client's transport, and the status of the response.
OnReject = Callable[[Transport, int], object]

_of_single_streams: Final = LogThrottle(WARNING_INTERVAL, time.monotonic)


def transport_of_accepted(stream: Any) -> Transport:
    """Return the transport over a stream that a listener has accepted."""
    return stream if isinstance(stream, SocketTransport) else transport_of(stream)


def log(level: int, transport: Transport, what: object) -> None:
    """Log what becomes of a handshake."""
    # There may be thousands of these each second, and the name costs 15 us.
    if _logger.isEnabledFor(level):
        _logger.log(level, "%s: %s", name_of(transport.remote), what)


async def start_tls(stream: Any, context: ssl.SSLContext) -> Transport:
    """Do the TLS handshake with a client.

    :param stream: the accepted stream
    :param context: the server's TLS context
    :raises HandshakeError: if it fails, whatever the reason

    """
    try:
        if isinstance(stream, SocketTransport):
            tls = TlsTransport(stream, context, None)
            await tls.handshake()
            return tls
        wrapped = await TLSStream.wrap(
            stream, server_side=True, ssl_context=context, standard_compatible=False
        )
        check_alpn(wrapped.extra(TLSAttribute.alpn_protocol))
        return transport_of(wrapped)
    except Exception as exc:  # whatever it is (see `_streams`), only this client fails
        raise HandshakeError(f"the TLS handshake failed: {exc!r}") from exc


def is_tls_failure(exc: HandshakeError) -> bool:
    """Say whether client and server disagree about TLS; not if it disconnected."""
    cause = exc.__cause__
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)


def handshake_of(transport: Transport, settings: ServerSettings) -> ServerHandshake:
    """Make the handshake of a client that has sent nothing yet."""
    return ServerHandshake(
        origins=settings.allowed_origins,
        extensions=settings.negotiable,
        is_ssl=transport.is_ssl,
        max_head_size=settings.max_head_size,
        max_body=None if settings.http_handler is None else settings.max_request_body,
    )


async def read_request(
    transport: Transport,
    handshake: ServerHandshake,
    on_reject: OnReject,
    warnings: LogThrottle = _of_single_streams,
    initial_data: bytes = b"",
) -> Request | PlainRequest:
    """Read a client's request, and reject it if it is not valid.

    The caller closes the transport after any exception.

    :param transport: a new connection from a client
    :param handshake: parses the request and checks it
    :param on_reject: is told if it is not valid
    :param warnings: how often to warn about origins; shared by the clients of a server
    :param initial_data: what was received from the client already
    :raises HandshakeError: if the client disconnects, or its request was rejected

    """
    try:
        request: Request | PlainRequest | Rejection | None = None
        if initial_data:
            request = handshake.receive_data(initial_data)
        while request is None:
            if handshake.has_more:
                await checkpoint()
                request = handshake.receive_data(b"")
                continue
            data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
            if not data:
                raise HandshakeError(
                    "the client disconnected before its request was complete"
                )
            request = handshake.receive_data(data)
            if request is None and (interim := handshake.interim_response()):
                await send(transport, interim)
    except TransportLost as exc:
        raise HandshakeError(
            "the connection was lost during the handshake"
        ) from exc.__cause__
    if isinstance(request, PlainRequest):
        return request
    return await accept_or_refuse(transport, request, on_reject, warnings)


async def accept_or_refuse(
    transport: Transport,
    request: Request | Rejection,
    on_reject: OnReject,
    warnings: LogThrottle = _of_single_streams,
) -> Request:
    """Return a request that is valid, and answer one that is not.

    The caller closes the transport after any exception.

    :raises HandshakeError: if it is not valid

    """
    if isinstance(request, Rejection):
        text = f"rejected with status {request.status_code}: {request.reason}"
        # Only the operator can let a page in, and the page's author sees no reason.
        is_warning = request.is_origin and warnings.allows()
        level = logging.WARNING if is_warning else logging.INFO
        _logger.log(level, "%s: %s", name_of(transport.remote), text)
        on_reject(transport, request.status_code)
        await respond_and_close(transport, request.response)
        raise HandshakeError(f"the request was {text}")
    return request


async def respond_and_close(transport: Transport, response: bytes) -> None:
    """Write a response that ends the connection, and close the transport."""
    try:
        await send(transport, response)
        # A socket that is closed with unread bytes (a request body) sends a reset,
        # which can destroy the response before the client reads it. So half-close, and
        # wait for the client to close first.
        if await transport.send_eof():
            with transport.linger(LINGER_TIMEOUT):
                while await transport.receive(HANDSHAKE_RECEIVE_SIZE):
                    pass
        await transport.aclose()
    except TransportLost:
        pass  # the client did not wait for the response
