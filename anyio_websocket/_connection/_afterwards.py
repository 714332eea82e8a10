"""What a client that reconnects asks of a connection when its session is over.

Users have no use for these facts: they see the same in their own calls.
"""

from __future__ import annotations

from .._errors import ConnectionClosed
from ._connection import WebSocketConnection


def was_of_use(connection: WebSocketConnection) -> bool:
    """Say whether the peer sent a message, or answered a Ping.

    A handshake says little: a server may be broken in such a way that it accepts
    connections and drops them at once.
    """
    core = connection._core  # pyright: ignore[reportPrivateUsage]
    return core.reader.has_received or core.pings.latency is not None


def what_ended_the_loop(connection: WebSocketConnection) -> ConnectionClosed | None:
    """Return what an ``async for`` over the messages ended with, if one did.

    The loop does not raise it. But a session that is only such a loop returns then,
    and its caller has to know whether it is done, or whether the server went away.
    """
    return connection._core.close_state.ended_loop  # pyright: ignore[reportPrivateUsage]


def has_unread(connection: WebSocketConnection) -> bool:
    """Say whether there are messages that nobody has fetched, or bytes of such."""
    reader = connection._core.reader  # pyright: ignore[reportPrivateUsage]
    return bool(reader._ahead or reader._undecoded or reader._inbox.messages)  # pyright: ignore[reportPrivateUsage]
