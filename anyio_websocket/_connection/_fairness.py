"""The fairness budget: how much one connection does before other tasks run.

A message that is there already is returned, and a message that the network takes at
once is sent, without going through the event loop. So a task could go on for ever, and
would neither let other tasks run nor see its own cancellation. When `LIMIT` is reached,
the task that reads or sends next goes through a checkpoint.
"""

from __future__ import annotations

from typing import Final

# Events, or sends. At 1 to 10 us each, other tasks wait for a millisecond at most.
LIMIT: Final = 100


class FairnessBudget:
    """What one connection has done since other tasks ran; shared by both directions.

    The reader and the outbox add to the attributes and compare them with `LIMIT`
    themselves: a call takes a twentieth of the time of a message of 125 bytes.

    Events and sends are not added up, because an echo of a burst would then stop in the
    middle of it, and its replies would leave in two writes instead of one.

    """

    __slots__ = ("events", "sends")

    def __init__(self) -> None:
        #: messages and control frames that the reader has decoded and handed out
        self.events: int = 0
        #: messages that were sent without waiting
        self.sends: int = 0

    def renew(self) -> None:
        """Start again; the caller goes through a checkpoint next."""
        self.events = self.sends = 0
