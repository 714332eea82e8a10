"""`TimedOutbox`: an outbox that measures for how long its peer made it wait.

It is a class of its own, so that a connection whose user does not want to know looks at
no clock for it.
"""

from __future__ import annotations

from time import monotonic

from .._transport import Transport
from ._background import BackgroundTask
from ._close_state import CloseState
from ._fairness import FairnessBudget
from ._outbox import Outbox


class TimedOutbox(Outbox):
    """An `Outbox` that counts the seconds in which the stream took nothing at once."""

    __slots__ = ("_waited", "_waits_since")

    def __init__(
        self,
        transport: Transport,
        state: CloseState,
        background: BackgroundTask,
        fairness: FairnessBudget,
    ) -> None:
        super().__init__(transport, state, background, fairness)
        self._waited = 0.0
        self._waits_since: float | None = None  # while it does

    @property
    def send_wait_seconds(self) -> float:
        waits_since = self._waits_since
        if waits_since is None:
            return self._waited
        return self._waited + monotonic() - waits_since

    async def _drain(self, *, with_queue: bool) -> None:
        # One task at a time, because it holds the lock.
        self._waits_since = monotonic()
        try:
            await super()._drain(with_queue=with_queue)
        finally:
            self._waited = self.send_wait_seconds
            self._waits_since = None
