"""The fairness budget: how much one connection does before other tasks run.

A message that was received already is returned, and a message that the network takes at
once is sent, without going through the event loop. So a task could go on for ever, and
would neither let other tasks run nor see its own cancellation. When `LIMIT` is reached,
the task that reads or sends next goes through a checkpoint.

What an event costs is up to the peer: a few bytes may decompress to a megabyte, or be
one of a hundred thousand fragments. So the codec counts its own work (``TURN`` in
``_protocol._codec``). After a millisecond or two it pauses, and that spends the budget.
A read needs no count, whether it brings an event or not: it waits, unless it came back
full, and then for eight in a row at the most (``_transport._adaptive_reads``).
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

from anyio.lowlevel import checkpoint

from ._pending import Pending
from ._send_kernels import BudgetFields, YieldFields

# Events, or sends. At 1 to 10 us each, other tasks wait for a millisecond at most.
LIMIT: Final = 100
# Events that a turn counts for in which the codec paused.
LONG_TURN: Final = 10 * LIMIT

# Passes of the scheduler. To start the job that writes takes one, and one more where a
# callback wants it; a write takes one or two (TLS).
PASSES_FOR_A_PONG: Final = 4

# Seconds that a task may go on without a checkpoint. A count does not bound that time:
# the application may compute between two calls.
MAX_STRETCH: Final = 0.001


class LastYield(YieldFields):
    """When a task last let others run, as far as the connections of a thread know.

    One for all connections of an event loop. If each had its own, a task that sends one
    message to each of a thousand connections would be taken for one that computed for
    a long time before each of them. What the application awaits elsewhere is not known,
    and makes the next call go through a checkpoint that was not necessary.
    """

    __slots__ = ()

    def __init__(self) -> None:
        #: of `time.monotonic`. The outbox and the reader set and compare it themselves
        #: where they do so for each message: a call takes a twentieth of one of 125
        #: bytes
        self.time: float = 0.0

    def note(self) -> None:
        """Record that the task has just let others run."""
        self.time = monotonic()

    def is_long_ago(self) -> bool:
        """Say whether the task that asks may have computed for long since then."""
        return monotonic() - self.time >= MAX_STRETCH


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.last_yield = LastYield()


_of_thread: Final = _OfThread()


def last_yield() -> LastYield:
    """Return what the connections of this thread share."""
    return _of_thread.last_yield


class FairnessBudget(BudgetFields):
    """What one connection has done since other tasks ran; shared by both directions.

    The reader and the outbox add to the attributes and compare them with `LIMIT`
    themselves: a call takes a twentieth of the time of a message of 125 bytes.

    Events and sends are not added up, because an echo of a burst would then stop in the
    middle of it, and its replies would leave in two writes instead of one.

    """

    __slots__ = ()

    def __init__(self) -> None:
        #: messages and control frames that the reader has decoded and handed out
        self.events: int = 0
        #: messages that were sent without waiting
        self.sends: int = 0
        #: tasks that let others run, and go on with what was received then
        self.gives_way: int = 0

    async def give_way(self, pending: Pending) -> None:
        """Let other tasks run, and renew the budget.

        A Pong that is still pending when the next Ping is decoded is replaced. So a
        Ping spends the budget, and its Pong is given some passes to leave. It stays
        longer only if the peer does not read: a peer that reads gets a Pong for each.

        :param pending: where the Pong is until it leaves

        """
        self.renew()
        self.gives_way += 1
        try:
            await checkpoint()
            last_yield().time = monotonic()
            for _ in range(PASSES_FOR_A_PONG):
                if not pending.has_pong:
                    break
                await checkpoint()
        finally:
            self.gives_way -= 1

    def renew(self) -> None:
        """Start again; the caller goes through a checkpoint next."""
        self.events = self.sends = 0
