"""How many clients may be there at once, and how many of them still shake hands.

In: a client that came, was answered, or has left. Out: when the next one may come.

Theory of operation
-------------------
A server that is full accepts no more. The kernel keeps who comes then, up to the
listener's backlog, and behind it TCP has them try again; a place that becomes free is
taken by who waited longest. To answer 503 instead would protect less: that takes a
socket, a task and above all a TLS handshake for each client, which is the very work
that is to be bounded, and the client would only come again. Clients that are there
do not notice.

It is two numbers and two comparisons for each client: no lock, and no event unless
somebody waits.
"""

from __future__ import annotations

import logging
import math
from typing import Final

from anyio import Event, current_time

from .._options import check

_logger = logging.getLogger("anyio_websocket")

# seconds; a server that is full may be so for hours, and with each client that leaves
# it is not for a moment
LOG_INTERVAL: Final = 60.0


class LogThrottle:
    """Says when the same thing may be logged again.

    :param interval: seconds from once to the next time at the least

    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = -math.inf

    def allows(self) -> bool:
        """Say whether it is to be logged now."""
        now = current_time()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True


class Admission:
    """Counts the clients of a server.

    :param max_connections: clients that may be there at once, ``None`` for any number
    :param max_pending_handshakes: how many of them may be without an answer yet,
        ``None`` for any number
    :raises ValueError: if a number is not above zero
    :raises TypeError: if a number is no int

    """

    def __init__(
        self, max_connections: int | None, max_pending_handshakes: int | None
    ) -> None:
        self._max_connections = _bound("max_connections", max_connections)
        self._max_pending = _bound("max_pending_handshakes", max_pending_handshakes)
        self._connections = 0
        self._pending = 0
        self._slot_free: Event | None = None
        self._log = LogThrottle(LOG_INTERVAL)

    async def wait_for_slot(self) -> None:
        """Wait until there is room for one more."""
        while (
            self._connections >= self._max_connections
            or self._pending >= self._max_pending
        ):
            if self._log.allows():
                connections = self._connections >= self._max_connections
                _logger.warning(
                    "clients have to wait: %d %s, as many as %s allows",
                    *(
                        (self._connections, "connections are open", "max_connections")
                        if connections
                        else (
                            self._pending,
                            "handshakes are pending",
                            "max_pending_handshakes",
                        )
                    ),
                )
            if self._slot_free is None:
                self._slot_free = Event()
            await self._slot_free.wait()

    async def admit(self) -> None:
        """Count a client in, once there is room for it."""
        await self.wait_for_slot()
        self._connections += 1
        self._pending += 1

    def handshake_done(self) -> None:
        """Note that a client's handshake is over."""
        self._pending -= 1
        self._wake()

    def release(self) -> None:
        """Count a client out, whose handshake is over."""
        self._connections -= 1
        self._wake()

    def _wake(self) -> None:
        if self._slot_free is not None:
            self._slot_free.set()
            self._slot_free = None


def _bound(name: str, value: int | None) -> float:
    if value is None:
        return math.inf
    check(name, value, kind=int)
    return value
