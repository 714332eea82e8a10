"""The server's log: how often the same thing is logged."""

from __future__ import annotations

import math
from collections.abc import Callable

from anyio import current_time


class LogThrottle:
    """Limits how often the same thing is logged.

    :param interval: seconds that must pass between two log records
    :param clock: returns the time in seconds; the default is the event loop's clock, so
        what several event loops share needs another

    """

    def __init__(
        self, interval: float, clock: Callable[[], float] = current_time
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._next = -math.inf

    def allows(self) -> bool:
        """Say whether it may be logged now; if so, this counts as logged."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True
