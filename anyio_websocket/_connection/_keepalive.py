"""Keepalive: who is to be pinged now, and who shows no life.

In: open connections, and the time. Out: pings, and the connections whose peer is gone.

Theory of operation
-------------------
All connections of one attendant have the same two numbers. So those that are to be
pinged form a queue in the order of their times, and so do those that were pinged and
are to be judged: there is no timer for each, and nothing is sorted.

A peer is not judged by its Pong. Whatever comes from it counts, and so does whatever
it takes of a frame that waits to be sent: on a slow link a large frame may be under
way for longer than a Pong may take, in either direction. And nobody is judged who was
not listened to: while the inbox is full because the application is slow, nothing is
read, and the Pong may lie in the socket. So a peer is gone if somebody was reading when
it was asked, somebody is reading now, and nothing came in between.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Final, Protocol

from anyio import current_time
from anyio.lowlevel import checkpoint

from .._options import ConnectionSettings

# seconds; what is due sooner waits for the next round, so that ten thousand connections
# do not wake their attendant ten thousand times
ROUND: Final = 0.1
TURN: Final = 64  # pings; at 10 us each


class Peer(Protocol):
    """A connection, as the keepalive sees it. None of this ever raises."""

    def send_keepalive(self) -> None:
        """Send a ping without waiting."""

    def is_alive(self) -> bool:
        """Say whether the peer was heard since it was asked, or has said good-bye."""
        ...

    def is_being_read(self) -> bool:
        """Say whether somebody reads now."""
        ...

    async def close_if_dead(self) -> None:
        """End if there is still no sign of life."""
        ...


class Keepalive:
    """The keepalive of the connections of one attendant.

    :param options: how often to ping, and how long to wait

    """

    def __init__(self, options: ConnectionSettings) -> None:
        self._interval = options.ping_interval
        self._timeout = options.ping_timeout
        # Dictionaries, for who leaves may stand in the middle of the queue.
        self._to_ping: dict[Peer, float] = {}  # when
        self._awaiting_reply: dict[
            Peer, tuple[float, bool]
        ] = {}  # and: was it listened to
        self._last = -math.inf  # when the last round was

    def join(self, peer: Peer) -> None:
        """Keep a connection alive from now on."""
        if self._interval is not None:
            self._to_ping[peer] = current_time() + self._interval

    def leave(self, peer: Peer) -> None:
        """Do so no longer."""
        self._to_ping.pop(peer, None)
        self._awaiting_reply.pop(peer, None)

    def next_run(self) -> float:
        """Say when the next round is to be; ``math.inf`` for never."""
        ping = next(iter(self._to_ping.values()), math.inf)
        judge, _ = next(iter(self._awaiting_reply.values()), (math.inf, False))
        return max(min(ping, judge), self._last + ROUND)

    async def run(self) -> list[Peer]:
        """Ping and judge those whose time has come.

        :return: who seems to be gone
        """
        now = self._last = current_time()
        gone: list[Peer] = []
        to_ping = takewhile(lambda item: item[1] <= now, self._to_ping.items())
        for count, (peer, _) in enumerate(list(to_ping), 1):
            if count % TURN == 0:
                await checkpoint()
            if self._to_ping.pop(peer, None) is None:
                continue  # it was closed meanwhile
            self.join(peer)
            if peer not in self._awaiting_reply or peer.is_alive():
                peer.send_keepalive()
                self._await_reply(peer)
        to_judge = takewhile(
            lambda item: item[1][0] <= now, self._awaiting_reply.items()
        )
        for peer, (_, listened) in list(to_judge):
            del self._awaiting_reply[peer]
            if peer.is_alive():
                continue
            if listened and peer.is_being_read():
                gone.append(peer)
            else:
                self._await_reply(peer)
        return gone

    def _await_reply(self, peer: Peer) -> None:
        if self._timeout is not None:
            self._awaiting_reply.pop(peer, None)  # so that it is the last
            self._awaiting_reply[peer] = (
                current_time() + self._timeout,
                peer.is_being_read(),
            )
