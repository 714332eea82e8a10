"""The client's part of the opening handshake, over a transport.

In: a connected transport and the request. Out: what the server agreed to, or an
exception; closing the transport is left to the caller.
"""

from __future__ import annotations

from .._errors import ConnectionRejected, HandshakeError
from .._options import HANDSHAKE_RECEIVE_SIZE
from .._protocol import Accepted, ClientHandshake, HandshakeFailure, Rejected
from .._transport import Transport, TransportLost, send


async def request_upgrade(transport: Transport, handshake: ClientHandshake) -> Accepted:
    """Send the request and read the server's response.

    :param transport: a new connection to the server
    :param handshake: writes the request, and checks the response
    :raises ConnectionRejected: if the server responds with another status than 101
    :raises HandshakeError: if the response is not valid, or the connection is lost

    """
    try:
        await send(transport, handshake.request())
        response: Accepted | Rejected | None = None
        while response is None:
            data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
            response = handshake.receive_data(data) if data else handshake.receive_eof()
    except TransportLost as exc:
        raise HandshakeError(
            "the connection was lost during the handshake"
        ) from exc.__cause__
    except HandshakeFailure as exc:
        raise HandshakeError(str(exc)) from None
    if isinstance(response, Rejected):
        raise rejection(response)
    return response


def rejection(response: Rejected) -> ConnectionRejected:
    """Make the exception that users catch."""
    return ConnectionRejected(response.status_code, response.headers, response.body)
