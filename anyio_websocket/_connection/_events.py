"""`WebSocketEvent`: what ``on_event`` is called with."""

# Without lazy annotations, which typing.get_type_hints() would look up in the public
# module that the class is shown to be of.

from typing import Any, Literal

from .._endpoint import Endpoint
from .._errors import CloseReason
from .._record import record
from ._connection import WebSocketConnection


@record(kw_only=True)
class WebSocketEvent:
    """Something that happened to a connection, or to one that was not to be.

    ``kind`` says what; a field that does not belong to it is ``None``. Kinds may be
    added, so ignore those that you do not know.

    """

    kind: Literal["open", "close", "reject", "fail", "full", "stop", "stopped"]
    """What happened:

    ``"open"``
        A connection was opened: it has ``connection`` and ``remote``, and on a server
        ``request``.
    ``"close"``
        It is closed, and its stream too: ``connection``, ``remote``, ``duration``,
        ``closed``, ``sent`` and ``received``, and ``error`` if the network or a
        callback is why. `WebSocketConnection.statistics` has its bytes.
    ``"reject"``
        A server answers a request with another status than 101: ``remote``,
        ``status_code``, and ``request`` if the request was valid.
    ``"fail"``
        A handshake came to nothing: ``error``, and ``remote`` on a server. On a client
        this is each attempt to connect that failed, with ``status_code`` if the server
        rejected it.
    ``"full"``
        A server has reached the limit in ``limit``: new clients have to wait, or others
        are dropped for them. At most once a minute, as the warning in the log.
    ``"stop"``
        A server accepts no more clients, because it is stopped or cancelled.
    ``"stopped"``
        It has ended. Handlers in a ``handler_nursery`` of yours may still run.
    """

    connection: WebSocketConnection | None = None
    """The connection."""

    request: Any = None
    """The client's `WebSocketRequest`. It is accepted or rejected already."""

    remote: Endpoint | str | None = None
    """The peer's address, or a text if it has none."""

    duration: float | None = None
    """Seconds for which the connection was open."""

    closed: CloseReason | None = None
    """Why it was closed, see `WebSocketConnection.closed`."""

    sent: CloseReason | None = None
    """This side's Close, if there was one."""

    received: CloseReason | None = None
    """The peer's Close, if it was received."""

    status_code: int | None = None
    """The status of the response."""

    error: BaseException | None = None
    """What went wrong."""

    limit: str | None = None
    """The name of the option that is the limit."""
