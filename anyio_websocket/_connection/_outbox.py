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
``more_expected``, and replies are collected, provided that the application keeps up: a
clock says that its thread let others run within the last millisecond (`MAX_STRETCH`),
at each of the last `QUICK_REPLIES` of them. The batch is written as soon as the reader
has no more, or 128 KiB are together, or anything else is written, and in any case in
the scheduler's next pass. So many small replies share a system call. A later reply is
written at once with all that was collected, and ends the series. Every other message is
in the kernel's send buffer when ``send()`` returns, or the sender waits, because the
application may compute for a long time after that. `send_all` sends many at once.

**Pongs and Closes** are sent by the task that reads, and reading must never wait for
writing: two peers that both wait for the other to read would wait for ever. So a Pong
or a Close that cannot be written at once is only stored. A job of the background task
writes it, unless a task that holds the lock does so first: a Pong goes before the next
message, a Close after the frame that is being written. If several Pongs are pending,
the last one is enough (RFC 6455 section 5.5.3), so a peer that floods Pings and reads
nothing makes us store one Pong.

**Checkpoints.** A task that may have computed for longer than a millisecond meets a
checkpoint at each call. It looks for a cancellation before the message is written.
After it, the task lets others run, so that the event loop sees deadlines.

**Cancellation.** If a sender is cancelled in the middle of its frame, the job of the
background task sends the remaining bytes, if the transport knows which they are (our
own sockets do); if not, the connection is aborted (``_waiting_writes``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence, Sized
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

from anyio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
)

from .._errors import ConnectionClosed
from .._protocol import Frame
from .._transport import Transport, TransportLost
from ._background import BackgroundTask
from ._close_state import CloseState
from ._fairness import LIMIT, MAX_STRETCH, FairnessBudget, LastYield, last_yield
from ._flushing import Flushing
from ._joined_frames import MAX_SIZE, join_frames

QUICK_REPLIES: Final = 3  # after which an application is taken to keep up

_T = TypeVar("_T", bound=Sized)
Rest = Coroutine[Any, Any, None] | None  # what is to be awaited


class Outbox(Flushing):
    """The sending side of one connection.

    :param transport: where the bytes go
    :param state: says whether anything may still be sent
    :param background: runs the jobs that write what no other task writes
    :param fairness: counts the sends that did not wait

    """

    __slots__ = ()
    # Of the classes above, said again for pyright's --verifytypes.
    bytes_sent: int
    has_job: bool

    def __init__(
        self,
        transport: Transport,
        state: CloseState,
        background: BackgroundTask,
        fairness: FairnessBudget,
    ) -> None:
        super().__init__(transport, state, background)
        self._fairness = fairness
        self._batch_is_scheduled = False  # whether the next pass writes it
        #: what the connections of this thread share
        self.last_yield: LastYield = last_yield()
        self._quick_replies_needed = QUICK_REPLIES  # until one may be held back
        #: whether a send looked at the clock since a message was taken, see `Reader`
        self.checked_since_receive: bool = False
        #: whether something was received since a message was sent; set by the reader
        self.reply_due: bool = False
        #: whether more will probably be sent at once. The reader sets it for each
        #: message, and a call would take a twentieth of the time of one of 125 bytes
        self.more_expected: bool = False

    def start_send(self, frame: Callable[[_T], Frame], payload: _T) -> Rest:
        """Send a message, as far as that takes no waiting.

        Within a millisecond of the last time that other tasks ran, a reply need not
        look for a cancellation. So it is a plain call and no coroutine, which saves a
        tenth of the CPU time of a message of 125 bytes in a burst.

        :param frame: makes the frame, when no other task writes
        :param payload: what goes into it
        :return: what the caller must await, because the message is not sent yet
        """
        transport = self._transport
        if (
            not (self.reply_due or self.more_expected)
            or monotonic() - self.last_yield.time >= MAX_STRETCH
            or self._fairness.sends >= LIMIT
            # Over a transport on which every write waits, the sender would be cancelled
            # during the write, and that costs the connection.
            or not transport.survives_cancel
            or transport.unsent
            or (self._lock is not None and self._lock.locked())
            or self._turn is not None
            or self._state.reason is not None
        ):
            if self._turn is not None:
                return self.in_turn(self.send, frame, payload)
            return self.send(frame, payload)
        self._fairness.sends += 1
        self.reply_due = False
        self.checked_since_receive = True
        try:
            data = frame(payload)
            if isinstance(data, tuple):
                return self._start_write(*data)
            if self._quick_replies_needed:
                self._quick_replies_needed -= 1
            elif self.more_expected:
                # Not in a method: a call takes a twentieth of such a message's time.
                size = self._batch_size + len(data)
                if size <= MAX_SIZE and (
                    self._batch_is_scheduled or self._schedule_batch()
                ):
                    self._batch.append(data)
                    self._batch_size = size
                    return None
            return self._start_write(data)
        except Exception as exc:
            self._state.sending_failed(exc)
            raise

    async def send_all(
        self, frame: Callable[[_T], Frame], payloads: Sequence[_T]
    ) -> None:
        """Send several messages, with as few writes as possible."""
        self.checked_since_receive = True
        is_late = self.last_yield.is_long_ago()
        await checkpoint_if_cancelled()
        if self._turn is not None:
            await self.in_turn(self._send_with_lock, frame, payloads)
        else:
            await self._send_with_lock(frame, payloads)
        if is_late:
            await self._yield()

    # -- for the reader --------------------------------------------------------

    def end_batch(self) -> None:
        """Write what was collected: no more is expected for now."""
        self.more_expected = False
        if self._batch:
            self._write_pending()

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
        if not self._transport.unsent:
            with suppress(Exception):
                self._write_queue()
                if self._batch or self._close:
                    self._write_with_close()
        self.drop_queue()

    # -- without waiting -------------------------------------------------------

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
            self._drop_batch()
            return
        try:
            complete = self._write_with_close()
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

    def _start_write(self, data: bytes, payload: bytes = b"") -> Rest:
        """Write a frame; return what must be awaited if not all of it was taken."""
        try:
            if self._batch or self._pong or self._ping:
                is_written = self._write(data, payload)
            else:  # nearly always, and it saves a call
                is_written = self._transport.write(data, payload)
                self.bytes_sent += len(data)
                if payload:  # a sum of both would take longer
                    self.bytes_sent += len(payload)
        except TransportLost as exc:
            self._state.write_failed(exc.__cause__)
            return self._state.raise_closed(nothing_sent=True)
        if is_written:
            return None
        lock = self._get_lock()
        lock.acquire_nowait()
        return self._finish_write(lock)

    async def send(self, frame: Callable[[_T], Frame], payload: _T) -> None:
        """Send what is not a quick reply, has to wait, or is not a message.

        Control frames, and the fragments of the message whose turn it is, come here.

        :param frame: makes the frame, when no other task writes
        :param payload: what goes into it
        :raises ConnectionClosed: if the connection is closing, or is lost meanwhile

        """
        self.checked_since_receive = True
        is_spent = self._fairness.sends >= LIMIT
        if is_late := self.last_yield.is_long_ago():
            self._quick_replies_needed = QUICK_REPLIES
        if not is_spent:
            # The last chance to be cancelled without leaving a trace. If the budget is
            # spent it comes with the lock held, because other tasks may send meanwhile.
            await checkpoint_if_cancelled()
        if is_spent or self._is_locked() or self._transport.unsent:
            await self._send_with_lock(frame, (payload,))
        else:
            if self._state.reason is not None:
                await self._state.raise_closed(nothing_sent=True)
            self._fairness.sends += 1
            self.reply_due = False
            try:
                data = frame(payload)
                first, second = data if isinstance(data, tuple) else (data, b"")
                rest = self._start_write(first, second)
            except Exception as exc:
                self._state.sending_failed(exc)
                raise
            if rest is not None:
                await rest
        if is_late:
            await self._yield()

    async def _send_with_lock(
        self, frame: Callable[[_T], Frame], payloads: Sequence[_T]
    ) -> None:
        nothing_sent = True
        lock = self._get_lock()
        try:
            await lock.acquire()
        except BaseException:  # cancelled, when it was its turn perhaps
            self._write_queue_if_free()
            raise
        try:
            await self._drain_or_fail(with_queue=True)
            if self._fairness.sends >= LIMIT:
                await self._let_others_run()
            else:
                await checkpoint_if_cancelled()
            self._fairness.sends += 1
            end = 0
            while end < len(payloads):
                if end:
                    await self._let_others_run()
                if self._state.reason is not None:
                    await self._state.raise_closed(nothing_sent=nothing_sent)
                data, payload, end = join_frames(frame, payloads, end)
                is_written = self._write(data, payload)
                nothing_sent = False
                if not is_written:
                    await self._drain_or_fail()
        except TransportLost as exc:
            self._state.write_failed(exc.__cause__)
            await self._state.raise_closed(nothing_sent=nothing_sent)
        except ConnectionClosed:
            raise
        except Exception as exc:
            self._state.sending_failed(exc)
            raise
        finally:
            self._unlock(lock)

    async def _let_others_run(self) -> None:
        await checkpoint()
        self._fairness.sends = 0
        self.last_yield.note()

    async def _yield(self) -> None:
        """Let other tasks run, so that the next call sees deadlines and cancellations.

        This comes after the message, so that the message does not wait for other tasks.
        It is shielded, because a caller that is cancelled here would conclude that
        nothing was sent.
        """
        await cancel_shielded_checkpoint()
        self.last_yield.note()
