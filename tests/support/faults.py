"""What may be wrong with a stream: it is slow, short, or its n-th operation fails.

In: streams in memory. Out: the same, spoilt; and how many operations they had.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple

import anyio

from anyio_websocket.testing import MemoryStream


class Manner(NamedTuple):
    """How a stream behaves all the time, right though it is."""

    name: str
    capacity: int = 2000  # bytes on the way in one direction
    max_receive: int = 65536  # bytes
    delays: tuple[float, ...] = ()  # seconds, in turn; of every operation

    def apply(self, *streams: MemoryStream) -> None:
        """Have streams behave so."""
        for stream in streams:
            stream.narrow(self.capacity, self.max_receive)


PLAIN: Final = Manner("plain")
# Heads come in pieces, and every write takes several.
SHORT: Final = Manner("short", capacity=50, max_receive=5)
# So that operations of both sides overlap in every way, and yet each scenario ends well
# within its timeouts.
SLOW: Final = Manner("slow", delays=(0.0, 0.03, 0.0, 0.11, 0.01))


class BlackHole(Exception):
    """Not raised: the operation just never comes back."""


class Ended(Exception):
    """Not raised: there is nothing more to receive, wherever the peer was in saying it.

    The peer can still hear us, and is told that we can't hear it.

    """


class Reset(Exception):
    """Not raised: both ends are broken at once."""


# The first ones all look alike to us: whatever a stream raises is a loss.
ERRORS: Final[list[Callable[[], Exception]]] = [
    lambda: OSError(5, "input/output error"),
    lambda: ssl.SSLError(1, "bad record"),
    anyio.BrokenResourceError,
    lambda: anyio.BusyResourceError("sending to"),
    lambda: RuntimeError("unable to perform operation; the handler is closed"),
    Reset,
]
FAULTS: Final = [*ERRORS, Ended, BlackHole]


class Faulty:
    """Counts the operations of a stream, delays each, and spoils one.

    :param stream: whose
    :param at: which, from 0; ``None`` for none
    :param fault: what happens then
    :param manner: how long each takes

    """

    def __init__(
        self,
        stream: MemoryStream,
        at: int | None = None,
        fault: Callable[[], Exception] = BlackHole,
        manner: Manner = PLAIN,
    ) -> None:
        self.count = 0
        self._stream = stream
        self._at = at
        self._fault = fault
        self._delays = itertools.cycle(manner.delays or (0,))
        stream.before_receive = stream.before_send = self
        stream.before_eof = stream.before_close = self

    async def __call__(self) -> None:
        self.count += 1
        is_spoilt = self.count - 1 == self._at
        if (delay := next(self._delays)) > 0:
            await anyio.sleep(delay)
        if is_spoilt:
            await self._spoil(self._fault())

    async def _spoil(self, error: Exception) -> None:
        stream = self._stream
        if isinstance(error, Reset):
            stream.reset()
        elif isinstance(error, Ended):
            stream.end()
        elif isinstance(error, BlackHole):
            while not stream.closed:
                await anyio.sleep(0.1)
            raise anyio.ClosedResourceError
        else:
            raise error
