"""The server's part of the opening handshake, over a transport.

In: a fresh connection from a client. Out: its request, or a refusal that is written.
"""

from __future__ import annotations

import logging

from anyio import move_on_after

from .._errors import HandshakeError
from .._options import HANDSHAKE_RECEIVE_SIZE, LINGER_TIMEOUT
from .._protocol import Rejection, Request, ServerHandshake
from .._transport import Transport, TransportLost, send

_logger = logging.getLogger("anyio_websocket")


async def read_request(transport: Transport, handshake: ServerHandshake) -> Request:
    """Read a client's request; answer one that is none.

    :param transport: a fresh connection from a client
    :param handshake: what to demand
    :raises HandshakeError: if the client leaves, or was refused; there is nothing
        left to be done then but to close the transport

    """
    try:
        request: Request | Rejection | None = None
        while request is None:
            data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
            if not data:
                raise HandshakeError("the client left before its request was complete")
            request = handshake.receive_data(data)
    except TransportLost as exc:
        raise HandshakeError(
            "the connection was lost during the handshake"
        ) from exc.__cause__
    if isinstance(request, Rejection):
        text = f"refused with status {request.status_code}: {request.reason}"
        _logger.info("%s: %s", transport.remote, text)
        await respond_and_close(transport, request.response)
        raise HandshakeError(f"the request was {text}")
    return request


async def respond_and_close(transport: Transport, response: bytes) -> None:
    """Write an answer that ends the connection, and close the transport."""
    try:
        await send(transport, response)
        # A stream closed with unread bytes (a request body) is reset, and the reset
        # can overtake the answer; so close our half and let the client go first.
        if await transport.send_eof():
            with move_on_after(LINGER_TIMEOUT):
                while await transport.receive(HANDSHAKE_RECEIVE_SIZE):
                    pass
        await transport.aclose()
    except TransportLost:
        pass  # the client did not wait for it
