"""How often the same thing is logged."""

from __future__ import annotations

import math
from collections.abc import Callable


class LogThrottle:
    """Limits how often the same thing is logged.

    :param interval: seconds that must pass between two log records
    :param clock: returns the time in seconds: `anyio.current_time`, or
        `time.monotonic` for what several event loops share

    """

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
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
