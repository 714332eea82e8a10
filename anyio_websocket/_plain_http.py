"""What an ``http_handler`` takes and returns, and one that is ready: `healthz`.

A server calls it for requests that want no WebSocket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ._endpoint import Endpoint
from ._protocol import check_response, header_value, validate_headers
from ._record import record
from ._types import Headers


@record()
class HTTPRequest:
    """A request for something else than a WebSocket, with its body.

    The server makes it; in your tests you can make one to call a handler with.

    """

    #: the method, such as ``"GET"``; any but ``CONNECT``
    method: str
    #: the path and query of the request, not decoded, such as ``"/log?since=5"``;
    #: ``"*"`` if the method is ``OPTIONS`` and the question is about the whole server
    target: str
    #: the headers in order, as pairs of ``bytes``, with names in lower case
    headers: tuple[tuple[bytes, bytes], ...] = ()
    #: the body, without what HTTP has put around it; ``b""`` if there was none. It has
    #: at most `~ServerOptions.max_request_body` bytes
    body: bytes = b""
    #: the client's address, or a text if the stream has no address
    remote: Endpoint | str = ""
    #: this side's address, or a text if the stream has no address
    local: Endpoint | str = ""

    @property
    def path(self) -> str:
        """The target without its query, not decoded, such as ``"/log"``."""
        return self.target.partition("?")[0]

    def header(self, name: str | bytes) -> str | None:
        """Return the value of a header, or ``None`` if the request does not have it.

        Each byte of the value becomes one character (latin-1). The values of a header
        that is repeated are joined by commas (RFC 9110 section 5.3).

        :param name: the name of the header, in any case

        """
        return header_value(self.headers, name)

    def __repr__(self) -> str:
        # Nothing that may be a secret: neither the query nor headers nor the body.
        return f"{type(self).__name__}<method={self.method}, path={self.path}>"


@record()
class HTTPResponse:
    """The response to an `HTTPRequest`, after which the connection is closed.

    ``Content-Length`` and ``Connection`` are added when it is sent. If the method was
    HEAD, the body is left out; if it was empty, there is no ``Content-Length``.

    :param status_code: the HTTP status, from 200 to 999
    :param body: the body; empty with status 204 and 304, which have none
    :param headers: headers to send, as pairs or as a mapping, of ``bytes`` or of
        ``str``. ``Content-Type`` is among them if it is to be sent
    :raises ValueError: if the status is out of range or allows no body, if a header is
        invalid, or if the library sets that header
    :raises TypeError: if an argument is of the wrong type

    """

    #: the HTTP status
    status_code: int
    #: the body
    body: bytes
    #: the headers, as pairs of ``bytes``
    headers: tuple[tuple[bytes, bytes], ...]

    def __init__(
        self, status_code: int, body: bytes = b"", headers: Headers | None = ()
    ) -> None:
        check_response(status_code, body)
        pairs = tuple(validate_headers(headers, "headers"))
        for name, value in (
            ("status_code", status_code),
            ("body", body or b""),
            ("headers", pairs),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}<status_code={self.status_code:d}>"


HTTPHandler = Callable[[HTTPRequest], Awaitable[HTTPResponse]]


async def healthz(request: HTTPRequest) -> HTTPResponse:
    """Answer health checks: 200 to ``/healthz``, and 404 to everything else.

    Pass it as `~ServerOptions.http_handler`. The method does not matter, as load
    balancers ask with ``OPTIONS``, ``HEAD`` or ``GET``. The answer says that the event
    loop runs and that the server accepts clients.

    :param request: the request

    """
    return _HEALTHY if request.path == "/healthz" else _NOT_FOUND


_PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8")]
_HEALTHY = HTTPResponse(200, b"ok\n", _PLAIN_TEXT)
_NOT_FOUND = HTTPResponse(404, b"not found\n", _PLAIN_TEXT)
