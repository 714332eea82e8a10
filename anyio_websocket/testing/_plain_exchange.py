"""A request that wants no WebSocket, and the response to it; without I/O."""

from __future__ import annotations

import h11

from .._errors import HandshakeError
from .._plain_http import HTTPResponse
from .._protocol import validate_headers
from .._types import Headers

_FRAMING = (b"connection", b"content-length")  # the server adds these


class PlainExchange:
    """One request of a client, and the response to it.

    :param method: the method
    :param host: the value of ``Host``
    :param path: the path to request, with the query if there is one
    :param headers: headers to send besides ``Host`` and ``Content-Length``
    :param body: the body
    :raises ValueError: if it cannot be sent

    """

    def __init__(
        self, method: str, host: str, path: str, headers: Headers | None, body: bytes
    ) -> None:
        fields = [(b"Host", host.encode()), *validate_headers(headers, "headers")]
        if body:
            fields.append((b"Content-Length", b"%d" % len(body)))
        self._connection = h11.Connection(h11.CLIENT)
        try:
            request = h11.Request(method=method, target=path, headers=fields)
        except (h11.LocalProtocolError, UnicodeEncodeError) as exc:
            raise ValueError(f"the request cannot be sent: {exc}") from None
        #: the bytes to send
        self.request: bytes = b"".join(
            self._connection.send(event) or b""
            for event in (request, h11.Data(body), h11.EndOfMessage())
        )
        self._head: h11.Response | None = None
        self._body = bytearray()

    def receive_data(self, data: bytes) -> HTTPResponse | None:
        """Add received bytes; return the response once it is complete.

        :param data: what was received; ``b""`` at the end of the stream
        :raises HandshakeError: if that is not a complete response

        """
        if not data and self._head is None:
            raise HandshakeError("the server closed without a response")
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    assert self._head is not None
                    return self._response(self._head)
        except h11.RemoteProtocolError as exc:
            raise HandshakeError(f"the server's response is not valid: {exc}") from None
        return None

    def _response(self, head: h11.Response) -> HTTPResponse:
        fields = [(name, value) for name, value in head.headers if name not in _FRAMING]
        return HTTPResponse(head.status_code, bytes(self._body), fields)
