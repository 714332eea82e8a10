"""`ServerStatistics`: the numbers of a server at one moment."""

from __future__ import annotations

from copy import copy

from .._connection import BackgroundTask, Backlog, ConnectionStatistics, Totals
from .._record import record


@record(kw_only=True)
class ServerStatistics(ConnectionStatistics):
    """The numbers of a server, as `WebSocketServer.statistics` returns them.

    What `ConnectionStatistics` has is for all connections together. Counts have those
    in them that are closed, so they only go up. ``queued_messages``, ``queued_bytes``
    and ``unsent_bytes`` are of those that are open now, and ``latency`` is their mean.
    ``opened_at`` is when the server began to serve.

    """

    connections: int
    """Connections that are open now, those that are being closed included."""

    pending_handshakes: int
    """Clients that are in their handshake now, TLS included, until their request is
    accepted or rejected; see ``max_pending_handshakes``."""

    accepted: int
    """Requests that became connections."""

    rejected: int
    """Requests that got another status than 101: by a handler, because they were not
    valid, because of their origin, because the handler raised (500), or because the
    server stopped (503). What an ``http_handler`` answers does not count."""

    failed: int
    """Handshakes that ended without a whole response: TLS failed, the client has
    disconnected, took longer than ``connect_timeout``, had to make room for others, or
    the server stopped too soon to answer. Clients that ``max_connections_per_address``
    refuses are not counted."""


def statistics_of(
    background: BackgroundTask | None,
    is_counting: bool,
    opened_at: float,
    pending_handshakes: int,
) -> ServerStatistics:
    """Add up the numbers of a server's connections.

    :param background: has the connections that are open, and the sums of the others;
        ``None`` if the server was not started yet
    :param is_counting: whether messages are counted
    :param opened_at: when the server began to serve
    :param pending_handshakes: clients in their handshake

    """
    source = Totals() if background is None else background.totals
    with source.lock:
        totals = copy(source)
        connections = () if background is None else background.connections
    backlog = Backlog()
    latencies: list[float] = []
    for connection in connections:
        connection.add_to(totals)
        connection.add_backlog_to(backlog)
        if (latency := connection.latency) is not None:
            latencies.append(latency)
    messages = totals.messages
    return ServerStatistics(
        messages_sent=messages.sent if is_counting else None,
        messages_received=messages.received if is_counting else None,
        bytes_sent=totals.bytes_sent,
        bytes_received=totals.bytes_received,
        pings_sent=totals.pings_sent,
        queued_messages=backlog.queued_messages,
        queued_bytes=backlog.queued_bytes,
        unsent_bytes=backlog.unsent_bytes,
        send_wait_seconds=totals.send_wait_seconds if is_counting else None,
        latency=sum(latencies) / len(latencies) if latencies else None,
        opened_at=opened_at,
        connections=len(connections),
        pending_handshakes=pending_handshakes,
        accepted=totals.accepted,
        rejected=totals.rejected,
        failed=totals.failed,
    )
