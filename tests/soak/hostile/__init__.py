"""Peers that mean no good: for each row of the contract, those who play it.

In: nothing. Out: ``ATTACKS``, by clients on a server, and ``TRAPS``, by servers for a
client; both by the name of their row.
"""

from __future__ import annotations

from . import closing, frames, handshakes, messages, plain_http, rooms, unread
from .script import ATTACKS, Attack, BrokenPromise
from .traps import TRAPS, Trap, fall_into, serve_traps

__all__ = [
    "ATTACKS",
    "TRAPS",
    "Attack",
    "BrokenPromise",
    "Trap",
    "closing",
    "fall_into",
    "frames",
    "handshakes",
    "messages",
    "plain_http",
    "rooms",
    "serve_traps",
    "unread",
]
