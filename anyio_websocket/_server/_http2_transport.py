"""A stream of HTTP/2 in somebody else's server, which sends the head of the response.

What is written first is the response. Its head goes to the other server, as a status
and headers. The rest is data of the stream, as over any other one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.abc import ByteStream

from .._protocol import Http2Response
from .._transport import StreamTransport, TransportLost

Respond = Callable[[int, list[tuple[bytes, bytes]]], Awaitable[object]]


class Http2Transport(StreamTransport):
    """A transport over a stream of HTTP/2.

    :param stream: the data of the stream, in both directions
    :param respond: sends the head of the response

    """

    def __init__(self, stream: ByteStream, respond: Respond) -> None:
        super().__init__(stream)
        self._respond = respond
        self._response: Http2Response | None = None

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        if isinstance(data, Http2Response):
            self._response = data
        return super().write(data, payload)

    async def flush(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            try:
                await self._respond(response.status_code, response.headers)
            except Exception as exc:
                raise TransportLost("the other server cannot respond") from exc
        await super().flush()
