"""ASGI applications: their type, what they send, and what their mistakes raise."""

# Without lazy annotations, which typing.get_type_hints() would look up in the public
# module that the class is shown to be of.

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from .._errors import CloseReason
from .._types import bytes_of

# What an application is called with has another type in each framework.
Application = Callable[[Any, Any, Any], Awaitable[object]]
Scope = dict[str, Any]
Event = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

#: the version of ASGI that all scopes name
ASGI_VERSION: Final = "3.0"

# Bytes of the body of a response, which is kept until it is complete.
MAX_RESPONSE_BODY: Final = 2**24

# They are about the connection, which is the server's (RFC 9110 section 7.6.1); the
# length follows from the body.
_OF_THE_SERVER: Final = frozenset(
    {b"connection", b"content-length", b"keep-alive", b"transfer-encoding", b"upgrade"}
)


class ClientDisconnected(OSError):
    """What ``send`` and ``receive`` raise in an application when the WebSocket ended.

    An application may catch it as the `OSError` that ASGI promises. If it does not, it
    ends, and nothing is logged.

    :param text: what happened
    :param reason: why the WebSocket ended

    """

    #: why the WebSocket ended
    reason: CloseReason

    def __init__(self, text: str, reason: CloseReason) -> None:
        super().__init__(text)
        self.reason = reason


class Response:
    """A response that an application sends in parts, until it is complete.

    :param start: the event that begins it
    :param max_body: bytes of its body

    """

    def __init__(self, start: Mapping[str, Any], max_body: int) -> None:
        self._max_body = max_body
        self._body = bytearray()
        #: the status
        self.status_code: int = start["status"]
        #: the headers, but for those that are the server's to send
        self.headers: Headers = headers_of(start, without=_OF_THE_SERVER)
        #: whether the application has sent all of it
        self.is_complete: bool = False

    def add(self, event: Mapping[str, Any]) -> None:
        """Add what an event has of the body.

        :raises TypeError: if that is not ``bytes``
        :raises RuntimeError: if the body gets too large

        """
        part = bytes_of(f'"body" of {event["type"]}', event.get("body", b""))
        if len(self._body) + len(part) > self._max_body:
            raise RuntimeError(
                f"the response has more than {self._max_body} bytes: it is sent when "
                "it is complete, so it cannot be a stream"
            )
        self._body += part
        self.is_complete = not event.get("more_body", False)

    @property
    def body(self) -> bytes:
        """What there is of the body."""
        return bytes(self._body)


def check_application(app: object, function: str) -> None:
    """Check what a user passed as an application.

    :param function: what it was passed to; the error names it
    :raises TypeError: if it cannot be one

    """
    if not callable(app):
        raise TypeError(
            f"{function}() needs an ASGI application, which is called with scope, "
            f"receive and send, not {type(app).__name__}"
        )


def headers_of(
    event: Mapping[str, Any], without: Iterable[bytes] = frozenset()
) -> Headers:
    """Return the headers in an event; what is in them is checked where they are sent.

    :param without: names in lower case
    :raises TypeError: if they are not pairs of ``bytes``

    """
    headers: Headers = []
    for pair in event.get("headers") or ():
        fields = tuple(pair)
        if len(fields) != 2 or not all(isinstance(field, bytes) for field in fields):
            raise TypeError(f'"headers" of {event["type"]} must be pairs of bytes')
        if fields[0].lower() not in without:
            headers.append(fields)
    return headers


def unexpected(kind: object, *expected: str) -> RuntimeError:
    """Make what is raised if an application sends an event at the wrong time."""
    return RuntimeError(f"{' or '.join(expected)} was expected, not {kind}")
