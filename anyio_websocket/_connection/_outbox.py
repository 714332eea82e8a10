"""Sending: frames are written whole, one after the other, in the order of the calls.

What comes in are the application's messages and Pings, and the Pongs and Closes with
which the reader replies to the peer. Bytes go out to the transport.

Theory of operation
-------------------
The task that sends also writes. As long as the network takes everything at once, which
is nearly always, no task waits and nothing is stored. If the network does not take
everything, the sender waits for it and holds a fair lock meanwhile; other senders wait
for the lock in the order of their calls. A frame is made only when its sender may
write, so a sender that is cancelled before leaves no trace, neither on the wire nor in
a compressor.

**Batches.** An application mostly replies at once to messages that arrived together.
While the reader has more messages that can be returned without waiting, it sets
``more_expected``, and what is sent is collected, provided that the application keeps
up: it has replied within a millisecond each (`BURST_GAP`), told by a clock, to the last
`QUICK_REPLIES` of them. The batch is written as soon as the reader has no more, or 128
KiB are together, or anything else is written, and in any case in the scheduler's next
pass. So many small replies share a system call. A reply that took longer is written at
once with all that was collected, and ends the series. Everything else is with the
kernel, or behind bytes that it did not take, when ``send()`` returns, because the
application may compute for long after it.

**Pongs and Closes** are sent by the task that reads, and reading must never wait for
writing: two peers that both wait for the other to read would wait for ever. So a Pong
or a Close that cannot be written at once is only stored. A job of the background task
writes it, unless a task that holds the lock does so first: a Pong goes before the next
message, a Close after the frame that is being written. If several Pongs are pending,
the last one is enough (RFC 6455 section 5.5.3), so a peer that floods Pings and reads
nothing makes us store one Pong.

**Cancellation.** If a sender is cancelled in the middle of its frame, the job of the
background task sends the remaining bytes, provided that the transport knows which they
are (our own sockets do). If it does not, no frame can follow, and the connection is
aborted (1006).

**What the reader tells the outbox** is a call where it happens once per read or less
(`note_received`, `end_batch`). ``more_expected`` changes with each message, so it is an
attribute that the reader sets: a call would take a twentieth of the time of a message
of 125 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, TypeVar

from anyio import CancelScope, Lock
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._errors import ConnectionClosed
from .._protocol import Frame
from .._transport import Transport, TransportLost
from ._background import BackgroundTask
from ._close_state import CloseState
from ._fairness import LIMIT, FairnessBudget

MAX_BATCH: Final = 131_072  # bytes that are collected before they are written
# Seconds. A reply that follows the one before later than this is not held back, and a
# send that follows a receive later than this looks for a cancellation.
BURST_GAP: Final = 0.001
QUICK_REPLIES: Final = 3  # after which an application is taken to keep up

_T = TypeVar("_T")


class Outbox:
    """The sending side of one connection.

    :param transport: where the bytes go
    :param state: says whether anything may still be sent
    :param background: runs the jobs that write what no other task writes
    :param fairness: counts the sends that did not wait

    """

    __slots__ = (
        "_background",
        "_batch",
        "_batch_is_scheduled",
        "_batch_size",
        "_close",
        "_fairness",
        "_has_job",
        "_lock",
        "_ping",
        "_pong",
        "_state",
        "_time",
        "_to_prove",
        "_transport",
        "more_expected",
        "sends_in_a_row",
    )

    def __init__(
        self,
        transport: Transport,
        state: CloseState,
        background: BackgroundTask,
        fairness: FairnessBudget,
    ) -> None:
        self._transport = transport
        self._state = state
        self._background = background
        self._fairness = fairness
        self._lock: Lock | None = None  # made when a sender has to wait
        self._ping = b""  # the keepalive's; at most one is pending
        self._pong = b""  # at most one is pending
        self._close = b""  # at most one is ever sent
        self._has_job = False  # whether a job of the background task will flush
        self._batch: list[bytes] = []  # empty while a task holds the lock
        self._batch_is_scheduled = False  # whether the next pass writes it
        self._batch_size = 0  # bytes
        self._time = 0.0  # of the last receive or reply
        self._to_prove = QUICK_REPLIES  # replies still, until some may be held back
        #: messages sent since something was received, the handshake included
        self.sends_in_a_row: int = 1
        #: whether more will probably be sent at once; set by the reader
        self.more_expected: bool = False

    async def send(self, frame: Callable[[_T], Frame], payload: _T) -> None:
        """Make a frame of a payload when no other task writes, and write it.

        :param frame: makes the frame
        :param payload: what goes into it
        :raises ConnectionClosed: if the connection is closing, or is lost meanwhile

        """
        # The last chance to be cancelled without leaving a trace. A reply within a
        # millisecond of its message needs no check, because its task has just waited
        # for the message: a check takes a twentieth of an echo of 16 bytes. Later in
        # a burst it comes when the fairness budget is spent, as for the reader, and
        # then with the lock held, because another task may send meanwhile. But over a
        # transport on which every write waits, the sender would be cancelled during
        # the write, and that costs the connection.
        fairness = self._fairness
        is_spent = fairness.sends >= LIMIT
        is_quick = may_hold = False
        if self.more_expected or not self.sends_in_a_row:
            now = monotonic()
            if is_quick := now - self._time < BURST_GAP:
                if self._to_prove:
                    self._to_prove -= 1
                else:
                    may_hold = self.more_expected
            else:
                self._to_prove = QUICK_REPLIES
            self._time = now
        if not is_spent and not (is_quick and self._transport.survives_cancel):
            await checkpoint_if_cancelled()
        is_locked = self._lock is not None and self._lock.locked()
        if is_spent or is_locked or self._transport.unsent:
            await self._send_with_lock(frame, payload)
            return
        fairness.sends += 1
        self.sends_in_a_row += 1
        if self._state.reason is not None:
            await self._state.raise_closed()
        try:
            data = frame(payload)
            if may_hold and not isinstance(data, tuple):
                # Not in a method, as a call would be a twentieth of 125 bytes.
                size = self._batch_size + len(data)
                if size <= MAX_BATCH and (
                    self._batch_is_scheduled or self._schedule_batch()
                ):
                    self._batch.append(data)
                    self._batch_size = size
                    return
            first, second = data if isinstance(data, tuple) else (data, b"")
            if self._batch or self._pong or self._ping:
                is_written = self._write(first, second)
            else:  # nearly always, and it saves a call
                is_written = self._transport.write(first, second)
            if is_written:
                return
            lock = self._get_lock()
            lock.acquire_nowait()
            try:
                await self._drain_or_fail()
            finally:
                self._unlock(lock)
        except TransportLost as exc:
            self._state.write_failed(exc.__cause__)
            await self._state.raise_closed()
        except Exception as exc:
            self._state.sending_failed(exc)
            raise

    # -- for the reader --------------------------------------------------------

    def note_received(self) -> None:
        """Record that something was received: what is sent next may be a reply."""
        self.sends_in_a_row = 0
        self._time = monotonic()

    def end_batch(self) -> None:
        """Write what was collected: no more is expected for now."""
        self.more_expected = False
        if self._batch:
            self._write_pending()

    @property
    def has_pong(self) -> bool:
        """Whether a Pong is pending."""
        return bool(self._pong)

    def send_pong(self, frame: bytes) -> None:
        """Write a Pong as soon as possible, instead of one that is pending."""
        self._pong = frame
        self._write_soon()

    # -- for the keepalive and for closing -------------------------------------

    def send_ping(self, frame: bytes) -> None:
        """Write a Ping of the keepalive as soon as possible."""
        self._ping = frame
        self._write_soon()

    def send_close(self, frame: bytes) -> None:
        """Write a Close as soon as possible, and nothing after it."""
        self._close = frame
        self._write_soon()

    def queue_close(self, frame: bytes) -> None:
        """Write a Close with the next `flush`."""
        self._close = frame

    def write_last(self) -> None:
        """Write what is pending before the stream is closed; never raises.

        The tasks that sent the batch have returned, so it must not be lost because the
        application or the server ends. A Close is pending if its closing handshake was
        cancelled. There is one attempt, which does not wait.
        """
        if (self._batch or self._close) and not self._transport.unsent:
            with suppress(TransportLost):
                self._write(self._close)

    async def flush(self) -> None:
        """Wait until everything that is pending is written.

        :raises TransportLost: if the stream is lost

        """
        if self._is_locked() or self._has_pending() or self._transport.unsent:
            async with self._get_lock():
                if not self._state.closed:
                    await self._drain_or_fail()

    # -- without waiting -------------------------------------------------------

    def _write(self, data: bytes = b"", payload: bytes = b"") -> bool:
        """Write what is pending, and then some data; return whether all was taken."""
        if self._batch or self._pong or self._ping:
            data = b"".join([*self._batch, self._ping, self._pong, data])
            self._batch.clear()
            self._batch_size = 0
            self._ping = self._pong = b""
        return self._transport.write(data, payload)

    def _schedule_batch(self) -> bool:
        """Have the batch written in the next pass, if the transport can."""
        self._batch_is_scheduled = self._transport.call_soon(self._in_next_pass)
        return self._batch_is_scheduled

    def _in_next_pass(self) -> None:
        self._batch_is_scheduled = False
        self.end_batch()

    def _write_pending(self) -> None:
        """Write what is pending, or have a job write the rest; never raises."""
        if self._state.stream_lost or self._state.closed:
            self._batch.clear()
            self._batch_size = 0
            return
        try:
            complete = self._write(self._close)
            self._close = b""
        except TransportLost as exc:
            self._state.write_failed(exc.__cause__)
        else:
            if not complete:
                self._flush_in_background()

    def _write_soon(self) -> None:
        transport = self._transport
        if transport.survives_cancel and not (transport.unsent or self._is_locked()):
            self._write_pending()
        else:
            self._flush_in_background()

    # -- with waiting ----------------------------------------------------------

    async def _send_with_lock(self, frame: Callable[[_T], Frame], payload: _T) -> None:
        lock = self._get_lock()
        await lock.acquire()
        try:
            await self._drain_or_fail()
            if self._fairness.sends >= LIMIT:
                await checkpoint()
            else:
                await checkpoint_if_cancelled()
            if self._state.reason is not None:
                await self._state.raise_closed()
            data = frame(payload)
            first, second = data if isinstance(data, tuple) else (data, b"")
            if not self._write(first, second):
                await self._drain_or_fail()
        except TransportLost as exc:
            self._state.write_failed(exc.__cause__)
            await self._state.raise_closed()
        except ConnectionClosed:
            raise
        except Exception as exc:
            self._state.sending_failed(exc)
            raise
        finally:
            self._unlock(lock)

    def _has_pending(self) -> bool:
        return bool(self._batch or self._ping or self._pong or self._close)

    def _is_locked(self) -> bool:
        return self._lock is not None and self._lock.locked()

    def _get_lock(self) -> Lock:
        if self._lock is None:
            self._lock = Lock(fast_acquire=True)
        return self._lock

    def _unlock(self, lock: Lock) -> None:
        self._fairness.sends = 0  # the sender has waited
        lock.release()
        if self._ping or self._pong or self._close or self._transport.unsent:
            self._flush_in_background()

    async def _drain(self) -> None:
        """Write what is pending, with the lock held."""
        while True:
            try:
                if self._transport.unsent:
                    await self._transport.flush()
            except TransportLost:
                raise
            except BaseException:  # cancelled
                if not self._transport.survives_cancel:
                    # There is no way to know how much was sent.
                    self._state.connection_lost(
                        "sending was cancelled in the middle of a frame"
                    )
                    await self._state.abort()
                raise
            if not self._has_pending():
                return
            data, self._close = self._close, b""
            self._write(data)

    def _flush_in_background(self) -> None:
        if not (self._has_job or self._state.stream_lost or self._state.closed):
            self._has_job = True
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
                self._has_job = False

    async def _drain_or_fail(self) -> None:
        """Do the same, and record it if that fails.

        What the peer sent before is read first. Over a stream that takes a moment, in
        which the lock keeps other senders from writing.
        """
        try:
            await self._drain()
        except TransportLost as exc:
            try:
                if not self._transport.survives_cancel:
                    await self._state.read_stream_to_end()
            finally:
                self._state.write_failed(exc.__cause__)
            raise
