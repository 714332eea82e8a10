"""The server's log: how often the same thing is logged, and how a client is named."""

from __future__ import annotations

import math
from collections.abc import Callable

from anyio import current_time

from .._protocol import printable
from .._transport import Transport


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


def name_of(transport: Transport) -> str:
    """Name a client for the log.

    The client chooses the path of its UNIX socket, which may have line breaks in it.
    """
    name = str(transport.remote)
    return name if name.isascii() and name.isprintable() else printable(name)
