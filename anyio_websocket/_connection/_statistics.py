"""`ConnectionStatistics`: the numbers of one connection at one moment."""

from __future__ import annotations

from .._protocol import MessageCounts
from .._record import record
from ._core import ConnectionCore
from ._totals import Backlog, Totals


@record(kw_only=True)
class ConnectionStatistics:
    """The numbers of a connection, as `WebSocketConnection.statistics` returns them.

    Bytes are those of WebSocket frames as they travel: with their headers, and
    compressed where they are. The opening handshake and what TLS adds are not counted.

    Counts only go up, and stay known when the connection is closed.

    """

    messages_sent: int | None
    """Messages whose sending was begun; ``None`` without ``count_messages``. One that
    is sent in fragments counts with its last."""

    messages_received: int | None
    """Messages that were received whole, whether they were fetched or not; ``None``
    without ``count_messages``."""

    bytes_sent: int
    """Bytes that were given to the network; those in ``unsent_bytes`` may be among
    them."""

    bytes_received: int
    """Bytes that were received; what the peer sends after its Close does not count."""

    pings_sent: int
    """Pings that were sent, those of the keepalive and those of
    `WebSocketConnection.ping`."""

    queued_messages: int
    """Received messages that wait for the application to fetch them now. If it does not
    go down, the application is too slow; see ``message_queue_size``."""

    queued_bytes: int
    """The bytes of memory that these messages take now."""

    unsent_bytes: int
    """Bytes that wait in this process to be sent now, as they leave it (with TLS they
    are encrypted). If it does not go down, the peer is too slow."""

    send_wait_seconds: float | None
    """Seconds for which something waited to be sent because the peer or the network was
    slow, the present wait included; ``None`` without ``count_messages``."""

    latency: float | None
    """See `WebSocketConnection.latency`."""

    opened_at: float
    """When the connection was opened, as ``time.time()`` has it."""


def statistics_of(core: ConnectionCore) -> ConnectionStatistics:
    """Read the numbers of a connection."""
    totals, backlog = Totals(), Backlog()
    core.add_to(totals)
    core.add_backlog_to(backlog)
    counts: MessageCounts | None = core.engine.counts
    return ConnectionStatistics(
        messages_sent=None if counts is None else counts.sent,
        messages_received=None if counts is None else counts.received,
        bytes_sent=totals.bytes_sent,
        bytes_received=totals.bytes_received,
        pings_sent=totals.pings_sent,
        queued_messages=backlog.queued_messages,
        queued_bytes=backlog.queued_bytes,
        unsent_bytes=backlog.unsent_bytes,
        send_wait_seconds=None if counts is None else totals.send_wait_seconds,
        latency=core.pings.latency,
        opened_at=core.opened_at,
    )
