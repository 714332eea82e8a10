"""Who may write: one task at a time, and no message while one is sent in fragments.

The lock is held for a frame, by a task that has to wait for the peer. Other tasks wait
for it in the order of their calls.

RFC 6455 section 5.4: between the fragments of a message only control frames may be
sent. So the lock, which is held for a frame, does not suffice. A task that sends
fragments takes the turn for as long as its message lasts, which may be long: it waits
for what it is to send. Tasks that send whole messages wait for the turn then, in the
order of their calls. Control frames, and the fragments themselves, need only the lock.

While no message is sent in fragments there is no turn, and nobody asks for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec

from anyio import Lock

from .._transport import Transport
from ._pending import Pending

_P = ParamSpec("_P")


class Turns(Pending):
    """The part of `Outbox` that keeps the lock and the turn."""

    __slots__ = ()

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._lock: Lock | None = None  # made when a sender has to wait
        # Most connections send no message in fragments, and have none.
        self._turn: Lock | None = None

    def _is_locked(self) -> bool:
        return self._lock is not None and self._lock.locked()

    def _get_lock(self) -> Lock:
        if self._lock is None:
            self._lock = Lock(fast_acquire=True)
        return self._lock

    async def in_turn(
        self, send: Callable[_P, Awaitable[None]], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """Send a message while no other one may be sent.

        :param send: is called when it is its turn

        """
        lock = self._turn = self._turn or Lock()
        try:
            async with lock:
                await send(*args, **kwargs)
        finally:
            if not lock.locked():  # nobody waits for it either
                self._turn = None
