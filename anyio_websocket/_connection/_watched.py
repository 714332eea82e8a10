"""What its parts and the background task know of a connection as a whole.

`ConnectionCore` is the one implementation. It imports the parts, so they cannot import
it; through this interface they call it back.
"""

from __future__ import annotations

from typing import Any, Protocol

from ._totals import Backlog, Totals


class Watched(Protocol):
    """A connection, as its callers below see it.

    `fail` never raises. What another method raises, such as a lack of memory, must end
    this connection and no other. So its caller passes it to `fail`.
    """

    #: whether the background task watches the connection, or reads from it; set by the
    #: background task. The reader looks at it after each read, so it is an attribute:
    #: to read one takes a fifth of a call
    on_watchlist: bool

    #: whether a task of the background task reads from the connection, or closes it;
    #: set by the background task
    is_read_in_background: bool

    # -- for Reader ------------------------------------------------------------

    def on_unread(self) -> None:
        """Have the connection read when something comes: no task reads from it now."""
        ...

    def look_later(self) -> None:
        """Look soon whether a task still cares for what was received."""
        ...

    # -- for BackgroundTask ----------------------------------------------------

    async def read_in_background(self) -> bool:
        """Read until that is not needed, or close the connection if it ended.

        :return: whether the connection is open and no task reads from it now
        """
        ...

    async def close(self, code: int, text: str) -> None:
        """Close with a closing handshake, unless the connection ended already."""
        ...

    async def abort(self) -> None:
        """Close the stream at once, because the background task was cancelled."""
        ...

    async def fail(self, error: Exception) -> None:
        """Log what a job of this connection raised, and close the stream at once."""
        ...

    # -- for Keepalive ---------------------------------------------------------

    def send_keepalive(self) -> None:
        """Send a Ping, without waiting."""
        ...

    def is_alive(self) -> bool:
        """Return whether the peer was active since the last Ping, or has closed."""
        ...

    def is_being_read(self) -> bool:
        """Return whether what the peer sends now is noticed."""
        ...

    def has_left(self, seconds: float | None) -> bool:
        """Say whether the peer has left while nothing is read, as far as is known.

        :param seconds: see `Transport.has_left`
        """
        ...

    async def close_left(self) -> None:
        """Close the stream of a peer that has left, after what it sent was read."""
        ...

    async def close_if_dead(self) -> None:
        """Close the stream, unless the peer turns out to be active after all."""
        ...

    # -- for CloseState --------------------------------------------------------

    def on_closing(self) -> None:
        """Wake every task that waits for something of the connection."""
        ...

    def before_lost(self) -> None:
        """Read without waiting, and decode what was received: the stream is lost."""
        ...

    async def before_stream_lost(self) -> None:
        """Do the same over a stream that can only be read by waiting."""
        ...

    def before_abort(self) -> None:
        """Write what was collected, without waiting: its senders have returned."""
        ...

    def on_closed(self) -> None:
        """Let go of the connection, whose transport is closed."""
        ...

    # -- for the numbers of a server -------------------------------------------

    @property
    def latency(self) -> float | None:
        """Seconds from the last answered Ping to its Pong."""
        ...

    def add_to(self, totals: Totals) -> None:
        """Add what this connection has counted."""
        ...

    def add_backlog_to(self, backlog: Backlog) -> None:
        """Add what waits in this connection now."""
        ...


class Observes(Protocol):
    """Whoever wants to know that a connection is closed."""

    def closed(self, core: Any, /) -> None:
        """A connection is closed, and so is its stream; never raises.

        :param core: the connection, a `Watched`

        """
        ...
