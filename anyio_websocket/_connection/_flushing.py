"""Writing what is pending: with the lock held, by a task that waits or by a job.

A task that sends waits for its own frame, and for what goes before it. Nobody waits for
a Pong, a Close and a broadcast: a job of the background task writes them if that cannot
be done at once. Whoever releases the lock has the job started if something came
meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any

from anyio import CancelScope, Lock

from .._transport import SocketTransport, TransportLost
from ._fairness import FairnessBudget
from ._queued_messages import QueuedMessages


class Flushing(QueuedMessages):
    """The part of `Outbox` that waits until what is pending is written."""

    __slots__ = ()
    # Of the classes above, said again for pyright's --verifytypes.
    bytes_sent: int
    has_job: bool
    _fairness: FairnessBudget  # set by `Outbox`

    def is_idle(self) -> bool:
        """Return whether nothing is pending, and no task writes."""
        return not (
            self._is_locked()
            or self._has_pending()
            or self._transport.unsent
            or (self._queue and not self.mid_message)
        )

    async def flush(self) -> None:
        """Wait until everything that is pending is written.

        :raises TransportLost: if the stream is lost

        """
        if not self.is_idle():
            lock = self._get_lock()
            await lock.acquire()
            try:
                if not self._state.closed:
                    await self._drain_or_fail(with_queue=True)
            finally:
                self._unlock(lock)

    def sent_in_part(
        self, frame: bytes, sent: int, error: int
    ) -> Coroutine[Any, Any, None]:
        """Go on with a message of which `sends_quickly` could not send all.

        :param frame: the whole of it
        :param sent: bytes of it
        :param error: the number of the operating system's error; 0 for none
        :return: what its sender must await

        """
        try:
            if error:
                self._state.write_failed(OSError(error, os.strerror(error)))
                return self._state.raise_closed(nothing_sent=True)
            assert isinstance(self._transport, SocketTransport)
            self._transport.keep_rest(frame, sent)
            self.bytes_sent += len(frame)
            lock = self._get_lock()
            lock.acquire_nowait()
            return self._finish_write(lock)
        except Exception as exc:
            self._state.sending_failed(exc)
            raise

    async def _finish_write(self, lock: Lock) -> None:
        try:
            await self._drain_or_fail()
            self._fairness.sends = 0  # the task has waited
        except TransportLost:
            await self._state.raise_closed()
        except Exception as exc:
            self._state.sending_failed(exc)
            raise
        finally:
            self._unlock(lock)

    def _unlock(self, lock: Lock) -> None:
        lock.release()
        self._write_queue_if_free()
        if self._ping or self._pong or self._close:
            self._flush_in_background()

    async def _drain(self, *, with_queue: bool) -> None:
        """Write what is pending, with the lock held."""
        if with_queue:
            self._write_queue()
        while True:
            if self._transport.unsent:
                await self._background.writes.flush(self._transport, self._state)
            if not self._has_pending():
                return
            self._write_with_close()

    def _flush_in_background(self) -> None:
        if not (self.has_job or self._state.stream_lost or self._state.closed):
            self.has_job = True
            self._background.start_soon(self._flush_job, self._state.fail)

    async def _flush_job(self) -> None:
        # Shielded, because a frame that is cut short is worse than a late end: the
        # transport is closed within the close timeout, which ends the write.
        with CancelScope(shield=True):
            try:
                await self.flush()
            except TransportLost:
                pass  # it is recorded
            finally:
                self.has_job = False
                self._write_queue_if_free()

    async def _drain_or_fail(self, *, with_queue: bool = False) -> None:
        """Write what is pending, with the lock held. If the stream is lost, record it.

        What the peer sent before is read first. Over a stream that takes a moment, in
        which the lock keeps other senders from writing.
        """
        try:
            await self._drain(with_queue=with_queue)
        except TransportLost as exc:
            try:
                if not self._transport.survives_cancel:
                    await self._state.read_unread_of_stream()
            finally:
                self._state.write_failed(exc.__cause__)
            raise
