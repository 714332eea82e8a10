"""Writes that have to wait for the peer: for how long, and if they are cancelled.

Theory of operation
-------------------
A write waits until the peer has taken what was sent before. If the peer is silent
meanwhile, the keepalive ends the connection. But a peer that goes on sending and reads
nothing would keep the task that sends, and its message, for ever. So a job of the
background task looks at each transport on which a write waits, a few times within
``send_timeout``, until none waits any more. If from the first of these looks to the
last the peer took nothing, the connection is lost. A peer that takes a byte between two
of them is left alone.

It is a job and not a timeout around the write, because over a stream that the
application passed in, a write cannot be cancelled and then gone on with. So a timeout
could not be extended when it is found that the peer took something. For the same reason
a write that is cancelled there ends the connection: nothing can follow half a frame.

A write that does not have to wait costs nothing of all this. Over such a stream each
write may have to, so there is a job while a connection sends now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from anyio import move_on_after

from .._transport import Transport, TransportLost
from ._close_state import CloseState

# Looks within the timeout. So it is up to a quarter too long.
LOOKS: Final = 4

_Job = Callable[[], Coroutine[Any, Any, None]]
_OnError = Callable[[Exception], Coroutine[Any, Any, None]]


class WaitingWrites:
    """The writes of a background task's connections that have to wait.

    :param start_soon: has the background task run a job
    :param seconds: for how long a peer may take nothing; ``None`` for no limit

    """

    __slots__ = ("_seconds", "_start_soon", "_watched")

    def __init__(
        self, start_soon: Callable[[_Job, _OnError], None], seconds: float | None
    ) -> None:
        self._start_soon = start_soon
        self._seconds = math.inf if seconds is None else seconds
        self._watched: set[Transport] = set()

    async def flush(self, transport: Transport, state: CloseState) -> None:
        """Wait until a transport has sent what is unsent.

        :param transport: the transport
        :param state: of its connection
        :raises TransportLost: if the stream is lost, or is closed because the peer took
            nothing for too long

        """
        if transport not in self._watched and self._seconds != math.inf:
            self._watched.add(transport)
            self._start_soon(partial(self._watch, transport, state), state.fail)
        try:
            await transport.flush()
        except TransportLost:
            raise
        except BaseException:  # cancelled
            if not transport.survives_cancel:
                # There is no way to know how much was sent.
                state.connection_lost("sending was cancelled in the middle of a frame")
                await state.abort()
            raise

    async def _watch(self, transport: Transport, state: CloseState) -> None:
        try:
            if await self._takes_nothing(transport, state):
                # What the peer sent before is read first: see row E13.
                if not transport.survives_cancel:
                    await state.read_unread_of_stream()
                text = f"the peer took nothing for {self._seconds:g} seconds"
                state.write_failed(TimeoutError(f"{text} (send_timeout)"))
                await state.abort()
        finally:
            self._watched.discard(transport)

    async def _takes_nothing(self, transport: Transport, state: CloseState) -> bool:
        """Return when the peer has taken nothing for too long, or nothing waits."""
        before: object = None
        same = 0
        while (progress := transport.progress()) is not None:
            same = same + 1 if progress == before else 0
            if same == LOOKS:
                return True
            before = progress
            with move_on_after(self._seconds / LOOKS):
                await state.wait_closed()
                break
        return False
