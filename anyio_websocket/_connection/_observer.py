"""`Observer`: tells the log and the application when connections open and close.

There is one for a server, or for a client's one connection. None of its methods raises,
whatever the application's function does: whoever opens or closes a connection is not to
blame for it. No line has more of a request than its path: a query and headers may have
secrets in them. Where nobody listens, it only asks whether anybody does.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from .._log import LogThrottle
from .._protocol import name_of, printable
from .._settings import ConnectionSettings
from .._transport import Transport
from ._connection import WebSocketConnection
from ._core import ConnectionCore
from ._events import WebSocketEvent

_logger = logging.getLogger("anyio_websocket")
_access = logging.getLogger("anyio_websocket.access")

# Seconds between two tracebacks of a function that raises, for each kind of event. It
# may be called thousands of times a second, and would fill the disk.
LOG_INTERVAL: Final = 60.0
# By kind. One for the process: it may have a thousand clients, in several threads.
_throttles: Final[defaultdict[str, LogThrottle]] = defaultdict(
    lambda: LogThrottle(LOG_INTERVAL, monotonic)
)


class Observer:
    """Tells of the connections of a server, or of a client.

    :param on_event: the application's function; ``None`` if there is none

    """

    def __init__(self, on_event: Callable[[Any], object] | None) -> None:
        self._on_event = on_event
        # Those that are open, if there is somebody to tell that they close.
        self._connections: dict[ConnectionCore, WebSocketConnection] = {}

    def opened(
        self, core: ConnectionCore, connection: WebSocketConnection, request: Any = None
    ) -> None:
        """A connection was opened.

        :param core: its inside
        :param connection: the connection
        :param request: the client's request, on a server

        """
        transport = core.transport
        if _access.isEnabledFor(logging.INFO):
            path = connection.path.partition("?")[0]
            _access.info(
                *("%s: open, peer %s, path %s", core.name),
                *(name_of(transport.remote), printable(path)),
            )
        if self._on_event is not None:
            self._connections[core] = connection
            self._tell(
                WebSocketEvent(
                    kind="open",
                    connection=connection,
                    request=request,
                    remote=transport.remote,
                )
            )

    def closed(self, core: ConnectionCore) -> None:
        """A connection is closed, and so is its stream."""
        state = core.close_state
        if _access.isEnabledFor(logging.INFO):
            reason = state.reason
            assert reason is not None
            # The text of a Close is the peer's, or the application's.
            _access.info(
                "%s: closed with %d (%s) after %.3f s, %d bytes sent, %d received",
                *(core.name, reason.code, reason.name, core.age()),
                *(core.outbox.bytes_sent, core.engine.bytes_received),
            )
        connection = self._connections.pop(core, None)
        if connection is not None:
            self._tell(
                WebSocketEvent(
                    kind="close",
                    connection=connection,
                    remote=core.transport.remote,
                    duration=core.age(),
                    closed=state.reason,
                    sent=state.sent,
                    received=state.received,
                    error=state.cause,
                )
            )

    def rejected(
        self, transport: Transport, status_code: int, request: Any = None
    ) -> None:
        """A request is answered with another status than 101.

        :param transport: the connection to the client
        :param status_code: that status
        :param request: the request, if it was a valid one

        """
        if request is not None and _access.isEnabledFor(logging.INFO):
            _access.info(
                "%s: the request for %s is rejected with status %d",
                *(name_of(transport.remote), printable(request.path.partition("?")[0])),
                status_code,
            )
        if self._on_event is not None:
            self._tell(
                WebSocketEvent(
                    kind="reject",
                    request=request,
                    remote=transport.remote,
                    status_code=status_code,
                )
            )

    def failed(self, error: Exception, transport: Transport | None = None) -> None:
        """A handshake came to nothing.

        :param error: why
        :param transport: the connection to a client

        """
        if self._on_event is not None:
            self._tell(
                WebSocketEvent(
                    kind="fail",
                    error=error,
                    remote=None if transport is None else transport.remote,
                    status_code=getattr(error, "status_code", None),
                )
            )

    def full(self, limit: str) -> None:
        """A server has reached a limit.

        :param limit: the name of the option

        """
        if self._on_event is not None:
            self._tell(WebSocketEvent(kind="full", limit=limit))

    def stopping(self) -> None:
        """A server accepts no more clients."""
        if self._on_event is not None:
            self._tell(WebSocketEvent(kind="stop"))

    def stopped(self) -> None:
        """A server has ended."""
        if self._on_event is not None:
            self._tell(WebSocketEvent(kind="stopped"))

    def _tell(self, event: WebSocketEvent) -> None:
        assert self._on_event is not None
        try:
            self._on_event(event)
        except Exception:
            if _throttles[event.kind].allows():
                _logger.exception(
                    'on_event raised when it was told of "%s"; it goes on', event.kind
                )


_silent: Final = Observer(None)  # it keeps nothing, so all can have the same


def observer_of(settings: ConnectionSettings) -> Observer:
    """Return an observer for what these settings are of."""
    return _silent if settings.on_event is None else Observer(settings.on_event)
