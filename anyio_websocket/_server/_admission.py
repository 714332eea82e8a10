"""How many clients a server has at once, and how many of them may be in the handshake.

Theory of operation
-------------------
A server that is full stops accepting. New clients then wait in the listening socket's
backlog; when that is full too, their TCP stacks retry. The client that has waited
longest gets the next free slot. Clients that are connected already are not affected.

A 503 instead would protect less. It takes a socket, a task and above all a TLS
handshake for each client, and this is the work that is to be limited. The client would
also retry at once.

For each client this costs two counters and two comparisons. There is no lock, and an
event only while an acceptor waits.
"""

from __future__ import annotations

import logging
import math
from typing import Final

from anyio import Event

from ._log import LogThrottle

_logger = logging.getLogger("anyio_websocket")

# Seconds between two warnings. A server may be full for hours, and each client that
# disconnects makes it not full for a moment.
LOG_INTERVAL: Final = 60.0


class Admission:
    """Gives out the slots of a server.

    A client takes a slot with `admit`, calls `handshake_done` once its request is
    accepted or rejected, or will never be, and then, when it is gone, `release`.

    :param max_connections: clients that may have a slot at once; ``None`` for no limit
    :param max_pending_handshakes: how many of them may be in the opening handshake, TLS
        included; ``None`` for no limit

    """

    def __init__(
        self, max_connections: int | None, max_pending_handshakes: int | None
    ) -> None:
        self._max_connections = _bound(max_connections)
        self._max_pending = _bound(max_pending_handshakes)
        self._connections = 0
        self._pending = 0
        self._slot_free: Event | None = None
        self._log = LogThrottle(LOG_INTERVAL)

    async def wait_for_slot(self) -> None:
        """Wait until there is a free slot, without taking it."""
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
        """Take a slot for a client, after waiting for a free one."""
        await self.wait_for_slot()
        self._connections += 1
        self._pending += 1

    def handshake_done(self) -> None:
        """Note that the handshake of a client with a slot is over."""
        self._pending -= 1
        self._wake()

    def release(self) -> None:
        """Give back the slot of a client whose handshake is over."""
        self._connections -= 1
        self._wake()

    def _wake(self) -> None:
        if self._slot_free is not None:
            self._slot_free.set()
            self._slot_free = None


def _bound(value: int | None) -> float:
    return math.inf if value is None else value
