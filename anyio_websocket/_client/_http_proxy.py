"""Through an HTTP proxy: a tunnel to the server (RFC 9110 section 9.3.6).

In: a connection to the proxy. Out: the same connection, which is now one to the server,
and what the server has sent already.
"""

from typing import NamedTuple

import h11

from .._protocol import HandshakeFailure, ResponseReader
from .._settings import HANDSHAKE_RECEIVE_SIZE
from .._transport import Transport, send
from ._proxy_failure import ProxyFailure, refusal


class TunnelResponse(NamedTuple):
    """What the proxy responded."""

    status_code: int
    trailing: bytes  # received after the response: the server sent it

    @property
    def is_open(self) -> bool:
        return 200 <= self.status_code <= 299


class TunnelRequest:
    """A request for a tunnel.

    :param authority: the server's host and port
    :param headers: what to tell the proxy besides
    :param max_head_size: bytes of the head of a response

    """

    def __init__(
        self, authority: str, headers: list[tuple[bytes, bytes]], max_head_size: int
    ) -> None:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="CONNECT",
            target=authority,
            headers=[(b"Host", authority.encode()), *headers],
        )
        #: the bytes to send
        self.data = b"".join(
            connection.send(event) or b"" for event in (request, h11.EndOfMessage())
        )
        self._reader = ResponseReader(connection, max_head_size, "proxy")

    def receive_data(self, data: bytes) -> TunnelResponse | None:
        """Add received bytes; return the response once its head is complete.

        This does not wait for a body. If the tunnel is open, there is none, whatever
        the headers say (RFC 9110 section 9.3.6); otherwise nobody needs it.

        :raises HandshakeFailure: if the bytes are not a valid response

        """
        response = self._reader.feed(data)
        if response is None:
            return None
        return TunnelResponse(response.status_code, self._reader.trailing)


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
        raise ProxyFailure(refusal(response.status_code), response.status_code)
    return response.trailing
