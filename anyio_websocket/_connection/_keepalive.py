"""The keepalive: which connections to ping now, and which peers seem to be gone.

Theory of operation
-------------------
All connections of one background task have the same interval and the same timeout. So
the connections that are to be pinged form a queue in the order of their times, and so
do those that were pinged and wait for a sign of life. No connection has a timer of its
own, and nothing is sorted.

A peer need not answer with its Pong. Any byte from it counts, and so does any byte that
it takes of a frame that waits to be sent: on a slow link a large frame may be under way
for longer than ``ping_timeout``, in either direction. And a peer is not judged while we
do not listen: if the inbox is full because the application is slow, nothing is read,
and the Pong may be in the socket's buffer. So a peer is gone if what it sends was
noticed when the Ping was sent, is noticed now, and nothing came in between.

A peer that leaves while our inbox is full must be noticed as well, because an
application that never reads would keep the connection for ever. So a connection whose
inbox is full is pinged on, and its socket is asked whether the peer has closed or was
reset, and whether its machine still acknowledges what we send (``_hang_up``). A living
peer's does.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Final

from anyio.lowlevel import checkpoint

from .._settings import ConnectionSettings
from .._transport import clock_of_loop
from ._watched import Watched

# Seconds. What is due sooner waits for the next run, so that ten thousand connections
# do not wake their background task ten thousand times.
MIN_RUN_INTERVAL: Final = 0.1
PINGS_IN_A_ROW: Final = 64  # at 10 us each; then other tasks run


class Keepalive:
    """The keepalive of the connections of one background task.

    :param settings: how often to ping, and how long to wait for a sign of life

    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._interval = settings.ping_interval
        self._timeout = settings.ping_timeout
        # Dictionaries, because a connection is removed from any place of the queue.
        self._to_ping: dict[Watched, float] = {}  # when
        # When to judge it, and whether it was noticed when the Ping was sent.
        self._awaiting_reply: dict[Watched, tuple[float, bool]] = {}
        self._last_run = -math.inf
        self._clock = clock_of_loop()

    def add(self, connection: Watched) -> None:
        """Keep a connection alive from now on."""
        if self._interval is not None:
            self._to_ping[connection] = self._clock() + self._interval

    def remove(self, connection: Watched) -> None:
        """Forget a connection."""
        self._to_ping.pop(connection, None)
        self._awaiting_reply.pop(connection, None)

    def next_run(self) -> float:
        """Return when to call `run` next; ``math.inf`` means never."""
        ping = next(iter(self._to_ping.values()), math.inf)
        judge, _ = next(iter(self._awaiting_reply.values()), (math.inf, False))
        return max(min(ping, judge), self._last_run + MIN_RUN_INTERVAL)

    async def run(
        self,
    ) -> tuple[list[Watched], list[Watched], list[tuple[Watched, Exception]]]:
        """Ping and judge the connections whose time has come.

        :return: those whose peer seems to be gone, those that are not read from and
            whose socket says that the peer has left, and those that failed
        """
        left: list[Watched] = []
        failed: list[tuple[Watched, Exception]] = []
        now = self._last_run = self._clock()
        to_ping = takewhile(lambda item: item[1] <= now, self._to_ping.items())
        for count, (connection, _) in enumerate(list(to_ping), 1):
            if count % PINGS_IN_A_ROW == 0:
                await checkpoint()
            if self._to_ping.pop(connection, None) is None:
                continue  # it was closed meanwhile
            self.add(connection)
            try:
                if connection.has_left(None):
                    left.append(connection)
                elif connection not in self._awaiting_reply or connection.is_alive():
                    connection.send_keepalive()
                    self._await_reply(connection)
                elif not connection.is_being_read():
                    connection.send_keepalive()
            except Exception as exc:
                failed.append((connection, exc))
        dead: list[Watched] = []
        to_judge = takewhile(
            lambda item: item[1][0] <= now, self._awaiting_reply.items()
        )
        for connection, (_, was_read) in list(to_judge):
            del self._awaiting_reply[connection]
            try:
                if connection.is_alive():
                    continue
                if was_read and connection.is_being_read():
                    dead.append(connection)
                elif connection.has_left(self._timeout):
                    left.append(connection)
                else:
                    self._await_reply(connection)
            except Exception as exc:
                failed.append((connection, exc))
        return dead, left, failed

    def _await_reply(self, connection: Watched) -> None:
        if self._timeout is not None:
            self._awaiting_reply.pop(connection, None)  # so that it goes to the end
            self._awaiting_reply[connection] = (
                self._clock() + self._timeout,
                connection.is_being_read(),
            )
