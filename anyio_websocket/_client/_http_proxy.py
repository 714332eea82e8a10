"""Through an HTTP proxy: a tunnel to the server (RFC 9110 section 9.3.6).

In: a connection to the proxy. Out: the same connection, which is now one to the server,
and what the server has sent already.
"""

from __future__ import annotations

from http import HTTPStatus

from .._protocol import HandshakeFailure, TunnelRequest, TunnelResponse
from .._settings import HANDSHAKE_RECEIVE_SIZE
from .._transport import Transport, send
from ._proxy_failure import ProxyFailure


async def open_tunnel(transport: Transport, request: TunnelRequest) -> bytes:
    """Have a proxy connect to the server.

    :param transport: a new connection to the proxy
    :param request: what to ask of it
    :return: what was received after the proxy's response
    :raises ProxyFailure: if the proxy does not connect
    :raises TransportLost: if the connection is lost

    """
    await send(transport, request.data)
    response: TunnelResponse | None = None
    while response is None:
        data = await transport.receive(HANDSHAKE_RECEIVE_SIZE)
        if not data:
            raise ProxyFailure("the proxy closed the connection before it responded")
        try:
            response = request.receive_data(data)
        except HandshakeFailure as exc:
            raise ProxyFailure(str(exc)) from None
    if not response.is_open:
        raise ProxyFailure(_refusal(response.status_code), response.status_code)
    return response.trailing


def _refusal(status_code: int) -> str:
    # Not the phrase that the proxy sent, which may be anything.
    try:
        phrase = f" ({HTTPStatus(status_code).phrase})"
    except ValueError:
        phrase = ""
    text = f"the proxy answered {status_code}{phrase}"
    if status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        text += ". It wants a user name and a password, in its URL"
    return text
