"""The opening handshake over a transport, both sides, in the caller's task.

In: a transport and one side of the handshake. Out: an engine that has the first
frames already, or a plain exception; the transport is left to the caller then.
"""

from __future__ import annotations

import logging
from typing import Final

from anyio import move_on_after

from ._errors import ConnectionRejected, HandshakeError
from ._options import LINGER_TIMEOUT, MAX_FRAGMENTS, Options
from ._protocol import (
    Accepted,
    ClientHandshake,
    Codec,
    Engine,
    Extensions,
    FrameCodec,
    HandshakeFailure,
    Refusal,
    Rejected,
    Request,
    ServerHandshake,
    WsprotoCodec,
)
from ._transport import Transport, TransportLost, send

_logger = logging.getLogger("anyio_websocket")

# bytes; holds any ordinary handshake at once, and bounds what a peer that sends
# frames too early can make us keep
RECEIVE_SIZE: Final = 8192


async def ask(transport: Transport, handshake: ClientHandshake) -> Accepted:
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
            data = await transport.receive(RECEIVE_SIZE)
            answer = handshake.receive(data) if data else handshake.receive_eof()
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


async def hear(transport: Transport, handshake: ServerHandshake) -> Request:
    """Read a client's request; answer one that is none.

    :param transport: a fresh connection from a client
    :param handshake: what to demand
    :raises HandshakeError: if the client leaves, or was refused; there is nothing
        left to be done then but to close the transport

    """
    try:
        request: Request | Refusal | None = None
        while request is None:
            data = await transport.receive(RECEIVE_SIZE)
            if not data:
                raise HandshakeError("the client left before its request was complete")
            request = handshake.receive(data)
    except TransportLost as exc:
        raise HandshakeError(
            "the connection was lost during the handshake"
        ) from exc.__cause__
    if isinstance(request, Refusal):
        text = f"refused with status {request.status_code}: {request.reason}"
        _logger.info("%s: %s", transport.remote, text)
        await dismiss(transport, request.response)
        raise HandshakeError(f"the request was {text}")
    return request


async def dismiss(transport: Transport, response: bytes) -> None:
    """Write an answer that ends the connection, and close the transport."""
    try:
        await send(transport, response)
        # A stream closed with unread bytes (a request body) is reset, and the reset
        # can overtake the answer; so close our half and let the client go first.
        if await transport.send_eof():
            with move_on_after(LINGER_TIMEOUT):
                while await transport.receive(RECEIVE_SIZE):
                    pass
        await transport.aclose()
    except TransportLost:
        pass  # the client did not wait for it


def open_engine(
    options: Options, extensions: Extensions, *, is_client: bool, trailing: bytes
) -> Engine:
    """Make the engine of a connection whose handshake is done.

    :param options: the limits
    :param extensions: what was agreed on
    :param is_client: which side this is
    :param trailing: what came right behind the peer's part of the handshake

    """
    codec: Codec
    if extensions.own:
        codec = WsprotoCodec(
            is_client=is_client,
            max_message_size=options.max_message_size,
            max_fragments=MAX_FRAGMENTS,
            extensions=extensions.own,
        )
    else:
        codec = FrameCodec(
            is_client=is_client,
            max_message_size=options.max_message_size,
            max_fragments=MAX_FRAGMENTS,
            deflate=extensions.deflate,
        )
    engine = Engine(codec)
    if trailing:
        engine.receive(trailing)
    return engine
