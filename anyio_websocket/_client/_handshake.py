"""The client's part of the opening handshake, over a transport.

In: a transport and the handshake to ask for. Out: what the server agreed to, or a plain
exception; the transport is left to the caller then.
"""

from __future__ import annotations

from .._errors import ConnectionRejected, HandshakeError
from .._options import HANDSHAKE_RECEIVE_SIZE
from .._protocol import Accepted, ClientHandshake, HandshakeFailure, Rejected
from .._transport import Transport, TransportLost, send


async def request_upgrade(transport: Transport, handshake: ClientHandshake) -> Accepted:
    """Play the client's part.

    :param transport: a fresh connection to the server
    :param handshake: what to ask for
    :raises ConnectionRejected: if the server answers with another status than 101
    :raises HandshakeError: if what the server answers is no answer, or if it leaves

    """
    try:
        await send(transport, handshake.request())
        answer: Accepted | Rejected | None = None
        while answer is None:
            data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
            answer = handshake.receive_data(data) if data else handshake.receive_eof()
    except TransportLost as exc:
        raise HandshakeError(
            "the connection was lost during the handshake"
        ) from exc.__cause__
    except HandshakeFailure as exc:
        raise HandshakeError(str(exc)) from None
    if isinstance(answer, Rejected):
        raise rejection(answer)
    return answer


def rejection(answer: Rejected) -> ConnectionRejected:
    """Make the exception of a server's refusal."""
    return ConnectionRejected(answer.status_code, answer.headers, answer.body)
