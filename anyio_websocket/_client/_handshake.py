"""The client's part of the opening handshake, over a transport.

In: a connected transport and the request. Out: what the server agreed to, or an
exception; closing the transport is left to the caller.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from .._errors import ConnectionRejected, HandshakeError
from .._protocol import Accepted, ClientHandshake, HandshakeFailure, Rejected
from .._settings import HANDSHAKE_RECEIVE_SIZE
from .._transport import Transport, TransportLost, send

if TYPE_CHECKING:
    from ._redirects import Redirects

# The types of the TLS records with which a server may answer a request that is not
# encrypted: an alert, or the handshake (RFC 8446 section 5.1).
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")


async def request_upgrade(
    transport: Transport,
    handshake: ClientHandshake,
    server: str,
    received: bytes,
    redirects: Redirects | None,
) -> Accepted:
    """Send the request and read the server's response.

    :param transport: a new connection to the server
    :param handshake: writes the request, and checks the response
    :param server: its address, for errors
    :param received: what it has sent already
    :param redirects: says which responses are followed, whose bodies nobody needs
    :raises ConnectionRejected: if the server responds with another status than 101
    :raises HandshakeError: if the response is not valid, or the connection is lost

    """
    try:
        await send(transport, handshake.request())
        response = handshake.receive_data(received) if received else None
        while response is None:
            data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
            received = received or data or b""
            response = handshake.receive_data(data) if data else handshake.receive_eof()
            if (
                redirects is not None
                and (begun := handshake.partial_rejection())
                and redirects.is_followed(begun.status_code)
            ):
                response = begun
    except TransportLost as exc:
        cause = exc.__cause__
        # With TLS 1.3, the client learns only now that its certificate was refused.
        of_tls = f": {cause}" if isinstance(cause, ssl.SSLError) else ""
        raise HandshakeError(
            f"the connection to the server at {server} was lost during the handshake"
            + (of_tls or _hint(received, transport))
        ) from cause
    except HandshakeFailure as exc:
        raise HandshakeError(
            f"the handshake with the server at {server} failed: {exc}"
            + _hint(received, transport)
        ) from None
    if isinstance(response, Rejected):
        raise rejection(response, handshake, server)
    return response


def _hint(received: bytes, transport: Transport) -> str:
    if transport.is_ssl:
        return ""
    if received.startswith(_TLS_RECORDS):
        return ". It speaks TLS: use wss: or an SSL context"
    if not received:
        return ". If it speaks TLS on this port, use wss: or an SSL context"
    return ""


def rejection(
    response: Rejected, handshake: ClientHandshake, server: str
) -> ConnectionRejected:
    """Make the exception that users catch."""
    error = ConnectionRejected(response.status_code, response.headers, response.body)
    # The query may have a token in it.
    return error.from_server(server, handshake.target.partition("?")[0])
