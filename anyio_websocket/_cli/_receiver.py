"""The messages of a connection, written where they go as they come."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

from anyio import CancelScope, current_time

from .. import ConnectionClosed, WebSocketConnection
from ._opening import lost

Messages = list[str | bytes]


class Receiver:
    """Writes what is received until the connection ends.

    Messages that came while others were being written are written at once, so that
    many short ones do not cost a thread each. The connection bounds how many wait.

    :param connection: where messages come from
    :param write: writes some of them

    """

    def __init__(
        self,
        connection: WebSocketConnection,
        write: Callable[[Messages], Awaitable[object]],
    ) -> None:
        self._connection = connection
        self._write = write
        self._patience = math.inf
        self._waiting = CancelScope()
        #: why the peer closed the connection; ``None`` if it did not
        self.closed: str | None = None

    def end_after(self, seconds: float) -> None:
        """Let `run` return once nothing has been received for so long."""
        self._patience = seconds
        self._waiting.deadline = current_time() + seconds

    async def run(self) -> None:
        """Write messages until the connection ends, or see `end_after`.

        :raises Failure: if the connection ends, and not normally

        """
        try:
            while True:
                deadline = current_time() + self._patience
                messages: Messages = []
                with CancelScope(deadline=deadline) as self._waiting:
                    messages = await self._next()
                if not messages:
                    return
                await self._write(messages)
        except ConnectionClosed as exc:
            if not exc.clean:
                raise lost(exc) from exc
            self.closed = str(exc)

    async def _next(self) -> Messages:
        messages = [await self._connection.get_message()]
        # A message that is there is returned without waiting, even if cancelled.
        with CancelScope() as no_wait, suppress(ConnectionClosed):
            no_wait.cancel()
            while True:
                messages.append(await self._connection.get_message())
        return messages
