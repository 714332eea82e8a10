"""How many clients a server has at once, and how many of them may be in the handshake.

Theory of operation
-------------------
A server that is full stops accepting. New clients then wait in the listening socket's
backlog; when that is full too, their TCP stacks retry. The client that has waited
longest gets the next free slot. Clients that are connected already are not affected.

A 503 instead would protect less. It takes a socket, a task and above all a TLS
handshake for each client, and this is the work that is to be limited. The client would
also retry at once.

**Making room.** A client that connects and sends nothing holds its slot until
``connect_timeout``, and one that holds thousands of connections would keep all
others out. So if a client waits, and no slot is free, a client is dropped that does not
do its part of the handshake: it has not sent a whole valid request, or does not read
the response. The oldest is dropped, and only if it has had `GRACE` seconds. Its slot is
free at that moment, not when its task has ended.

The oldest, because it has had the most time, and because this protects a client for
certain while fewer clients come than there are slots; OpenSSH's way, to drop at random,
protects none for certain. There is a grace period, because otherwise an attacker that
reconnects at once could displace every client that needs a round trip. It also bounds
the work that this makes.

For each client this costs two counters, two comparisons and an entry of a dictionary
while it is in the handshake. There is no lock, and an event only while an acceptor
waits.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from anyio import CancelScope, Event, current_time, move_on_after

from .._endpoint import Endpoint
from .._log import LogThrottle
from ._addresses import AddressLimit, Source

_logger = logging.getLogger("anyio_websocket")

# Seconds until a client can be dropped. After it was accepted, TLS 1.3 takes one round
# trip, which is less than this nearly everywhere. And a server with 1000 slots can
# replace 4000 clients a second; behind 2000 others a client waits half a second.
GRACE: Final = 0.25

# Seconds between two warnings. A server may be full for hours, and each client that
# disconnects makes it not full for a moment.
LOG_INTERVAL: Final = 60.0


class Slot:
    """A client's slot, which `Admission.admit` gives out.

    Call `handshake_done` once the request is accepted or rejected, or will never be,
    and `release` when the client has disconnected. Further calls of either do nothing.

    """

    __slots__ = ("_admission", "is_pending", "is_taken", "source")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        #: whether the client counts as connected; set by `Admission`
        self.is_taken: bool = True
        #: whether it counts as in its handshake; set by `Admission`
        self.is_pending: bool = True
        #: its address, if that is limited; set by `Admission`
        self.source: Source | None = None

    def allow_drop(self, scope: CancelScope, now: float) -> None:
        """Let the client be dropped if others need the slot, after `GRACE` seconds.

        :param scope: cancelled if it is dropped
        :param now: the time of the event loop

        """
        self._admission.allow_drop(self, scope, now)

    def forbid_drop(self) -> None:
        """Let the client not be dropped any more."""
        self._admission.forbid_drop(self)

    def handshake_done(self) -> None:
        """Note that the handshake is over."""
        self._admission.handshake_done(self)

    def release(self) -> None:
        """Give the slot back."""
        self._admission.release(self)


class Admission:
    """Gives out the slots of a server.

    :param max_connections: clients that may have a slot at once; ``None`` for no limit
    :param max_pending_handshakes: how many of them may be in the opening handshake, TLS
        included; ``None`` for no limit
    :param max_per_address: how many of them may come from one address; ``None`` for no
        limit
    :param on_full: called with the name of the limit whenever that is logged

    """

    def __init__(
        self,
        max_connections: int | None,
        max_pending_handshakes: int | None,
        max_per_address: int | None,
        on_full: Callable[[str], object],
    ) -> None:
        self._max_connections = _bound(max_connections)
        self._max_pending = _bound(max_pending_handshakes)
        self._addresses = (
            None if max_per_address is None else AddressLimit(max_per_address, on_full)
        )
        self._connections = 0
        self._pending = 0
        # Clients that can be dropped, oldest first: from when on, and how.
        self._droppable: dict[Slot, tuple[float, CancelScope]] = {}
        self._changed: Event | None = None
        self._on_full = on_full
        self._log = LogThrottle(LOG_INTERVAL, current_time)

    @property
    def pending_handshakes(self) -> int:
        """How many clients are in their handshake."""
        return self._pending

    async def wait_for_slot(self) -> None:
        """Wait until a client can be admitted, at once or soon, without taking a slot.

        Nobody is dropped before there is a client that needs the slot.
        """
        while self._is_full() and not self._droppable:
            self._warn("clients have to wait")
            await self._wait_for_change(math.inf)

    async def admit(self, remote: Callable[[], Endpoint | str] | None = None) -> Slot:
        """Take a slot for a client: wait for a free one, or for one to drop.

        :param remote: returns the client's address, if that is limited; ``None`` for a
            client without one
        :raises TooManyError: if its address has enough slots

        """
        source: Source | None = None
        if self._addresses is not None and remote is not None:
            source = self._addresses.enter(remote())
        try:
            await self._wait_for_free_slot()
        except BaseException:
            self._leave(source)
            raise
        slot = self._take()
        slot.source = source
        return slot

    async def _wait_for_free_slot(self) -> None:
        while self._is_full():
            slot = next(iter(self._droppable), None)
            if slot is None:
                self._warn("clients have to wait")
                await self._wait_for_change(math.inf)
                continue
            time, scope = self._droppable[slot]
            seconds = time - current_time()
            if seconds > 0:
                await self._wait_for_change(seconds)
            else:
                self._warn("clients without a complete request are dropped")
                scope.cancel()
                self.release(slot)

    def admit_now(self) -> Slot | None:
        """Take a slot for a client that is still to be accepted, if one is free."""
        return None if self._is_full() else self._take()

    def enter(self, slot: Slot, remote: Endpoint | str) -> None:
        """Count the address of a client for which `admit_now` took a slot.

        :raises TooManyError: if its address has enough slots; release the slot then

        """
        if self._addresses is not None:
            slot.source = self._addresses.enter(remote)

    def _leave(self, source: Source | None) -> None:
        if self._addresses is not None and source is not None:
            self._addresses.leave(source)

    def allow_drop(self, slot: Slot, scope: CancelScope, now: float) -> None:
        """See `Slot.allow_drop`."""
        self._droppable[slot] = now + GRACE, scope
        self._wake()

    def forbid_drop(self, slot: Slot) -> None:
        """See `Slot.forbid_drop`."""
        self._droppable.pop(slot, None)

    def handshake_done(self, slot: Slot) -> None:
        """See `Slot.handshake_done`."""
        self.forbid_drop(slot)
        if slot.is_pending:
            slot.is_pending = False
            self._pending -= 1
            self._wake()

    def release(self, slot: Slot) -> None:
        """See `Slot.release`."""
        self.handshake_done(slot)
        if slot.is_taken:
            slot.is_taken = False
            self._leave(slot.source)
            self._connections -= 1
            self._wake()

    def _take(self) -> Slot:
        self._connections += 1
        self._pending += 1
        return Slot(self)

    def _is_full(self) -> bool:
        return (
            self._connections >= self._max_connections
            or self._pending >= self._max_pending
        )

    def _warn(self, what: str) -> None:
        if not self._log.allows():
            return
        if self._connections >= self._max_connections:
            count, of, limit = (
                self._connections,
                "connections are open",
                "max_connections",
            )
        else:
            count, of = self._pending, "handshakes are pending"
            limit = "max_pending_handshakes"
        _logger.warning("%s: %d %s, as many as %s allows", what, count, of, limit)
        self._on_full(limit)

    async def _wait_for_change(self, seconds: float) -> None:
        if self._changed is None:
            self._changed = Event()
        with move_on_after(seconds):
            await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


def _bound(value: int | None) -> float:
    return math.inf if value is None else value
