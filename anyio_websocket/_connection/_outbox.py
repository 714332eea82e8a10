"""What is to be written: one frame after the other, whole, in order.

In: messages and pings of the application; pongs and Closes that answer the peer. Out:
bytes to the transport.

Theory of operation
-------------------
Whoever sends writes. As long as the network takes everything at once, which is nearly
always, that is all there is to it: nobody waits, and nothing is kept. What it does not
take the sender waits for, holding a fair lock; whoever comes then waits in turn. A
frame is made only by the task whose turn it is, so a sender that gives up before leaves
no trace, neither on the wire nor in a compressor.

Messages that arrived together are mostly answered together. While the reader has more
of them at hand, ``hold`` says so, and what is sent is held back: until the reader has
none left, or 128 KiB are together, or anything else is written, and in any case no
longer than until the scheduler's next pass. So many small answers share a system call,
and one alone is not delayed. The same is done with who sends a third message without
having received any: more may follow before the next pass. If none does, then not here,
and the guess is not made again for a while.

Answers to the peer come from whoever reads, and reading must never wait for writing:
two peers that both wait for the other to read would wait for ever. So an answer that
cannot be written at once is only noted (``pong``, ``answer_close``), and a job of the
attendant's writes it, unless a task that holds the lock comes first: a pong goes out
before the next message, a Close after the frame that is being written. Of several
pongs that wait the last one is enough (RFC 6455 section 5.5.3), so a peer that floods
pings and reads nothing makes us keep one pong.

A sender that is cancelled in the middle of its frame leaves the rest to that same job,
where the transport knows what the rest is (our own sockets do). Where it does not,
no frame can follow: the connection is aborted (1006).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from anyio import CancelScope, Lock
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from .._protocol import Frame
from .._transport import Transport, TransportLost
from ._background import BackgroundTask
from ._closing import Closing

TURN: Final = 100  # sends that did not wait; then the other tasks have a turn
HELD: Final = 131_072  # bytes that are held back at the most
# sends in a row that are no burst yet; the handshake counts for one
ALONE: Final = 2
NO_GUESS: Final = 16  # sends for which a wrong guess is remembered

_T = TypeVar("_T")


class Outbox:
    """The sending side of one connection.

    :param transport: where the bytes go
    :param closing: says whether anything may still be sent
    :param attendant: writes answers while nobody else writes

    """

    __slots__ = (
        "_answering",
        "_background",
        "_close",
        "_closing",
        "_held",
        "_held_size",
        "_is_due",
        "_lock",
        "_ping",
        "_pong",
        "_transport",
        "burst",
        "hold",
        "turn",
    )

    def __init__(
        self, transport: Transport, closing: Closing, background: BackgroundTask
    ) -> None:
        self._transport = transport
        self._closing = closing
        self._background = background
        self._lock: Lock | None = None  # for those who have to wait; none did so far
        self._ping = b""  # at most one of the keepalive's waits
        self._pong = b""  # at most one waits
        self._close = b""  # at most one is ever sent
        self._answering = False
        self._held: list[bytes] = []  # only while nobody writes
        self._is_due = False  # whether it is written in the next pass
        self._held_size = 0  # bytes
        #: sends since somebody else had a turn
        self.turn: int = 0
        #: sends since something was received, the handshake among them
        self.burst: int = 1
        #: whether there will soon be more to send
        self.hold: bool = False

    async def send(self, frame: Callable[[_T], Frame], payload: _T) -> None:
        """Frame a payload when its turn comes, and write it.

        :param frame: makes the frame; called while nobody else writes
        :param payload: what goes into it
        :raises ConnectionClosed: if the connection is closing, or is lost meanwhile

        """
        # Last chance to leave without a trace. In a burst it comes once a turn, as it
        # does for the reader; and then in turn, for somebody may send meanwhile. An
        # answer needs none, as its task has just waited for the question: to look would
        # be a twentieth of an echo of 16 bytes. But where every write waits it would be
        # cancelled in there, and that costs the connection.
        is_turn = self.turn >= TURN
        is_alone = self.burst != 0 and self.burst <= ALONE and not self.hold
        if not is_turn and (is_alone or not self._transport.survives_cancel):
            await checkpoint_if_cancelled()
        is_locked = self._lock is not None and self._lock.locked()
        if is_turn or is_locked or self._transport.unsent:
            await self._send_in_turn(frame, payload)
            return
        self.turn += 1
        self.burst += 1
        if self._closing.reason is not None:
            await self._closing.raise_closed()
        data = frame(payload)
        try:
            if not isinstance(data, tuple) and (self.hold or self.burst > ALONE):
                # Here and not in a call, which would be a twentieth of 125 bytes.
                size = self._held_size + len(data)
                if size <= HELD and (self._is_due or self._make_due()):
                    self._held.append(data)
                    self._held_size = size
                    return
            head, rest = data if isinstance(data, tuple) else (data, b"")
            if self._write(head, rest):
                return
            lock = self._the_lock()
            lock.acquire_nowait()
            try:
                await self._drain()
            finally:
                self._release(lock)
        except TransportLost as exc:
            self._closing.connection_lost(cause=exc.__cause__)
            await self._closing.raise_closed()

    def release(self) -> None:
        """There is nothing more to send for now: write what was held back."""
        self.hold = False
        if self._held:
            self._write_or_leave()

    @property
    def has_pong(self) -> bool:
        """Whether a pong waits to be written."""
        return bool(self._pong)

    def ping(self, frame: bytes) -> None:
        """Write a ping of the keepalive's as soon as may be."""
        self._ping = frame
        self._answer()

    def pong(self, frame: bytes) -> None:
        """Write a pong as soon as may be, instead of one that still waits."""
        self._pong = frame
        self._answer()

    def send_close(self, frame: bytes) -> None:
        """Write a Close as soon as may be, and nothing after it."""
        self._close = frame
        self._answer()

    def queue_close(self, frame: bytes) -> None:
        """Write a Close with the next `flush`."""
        self._close = frame

    async def flush(self) -> None:
        """Wait until everything that was asked for is written.

        :raises TransportLost: if the stream is lost

        """
        if self._is_locked() or self._has_more() or self._transport.unsent:
            async with self._the_lock():
                if not self._closing.finished:
                    await self._drain()

    # -- without waiting -------------------------------------------------------

    def _write(self, data: bytes = b"", payload: bytes = b"") -> bool:
        """Write what waits, and then some data; say whether all of it is written."""
        if self._held or self._pong or self._ping:
            data = b"".join([*self._held, self._ping, self._pong, data])
            self._held.clear()
            self._held_size = 0
            self._ping = self._pong = b""
        return self._transport.write(data, payload)

    def _make_due(self) -> bool:
        """See to it that what is held back is written in the next pass, if possible."""
        self._is_due = self._transport.call_soon(self._in_next_pass)
        return self._is_due

    def _in_next_pass(self) -> None:
        self._is_due = False
        if len(self._held) == 1 and not self.hold:
            self.burst = -NO_GUESS
        self.release()

    def _write_or_leave(self) -> None:
        """Write what waits, or leave it to a job; never raises."""
        if self._closing.finished:
            self._held.clear()
            self._held_size = 0
            return
        try:
            complete = self._write(self._close)
            self._close = b""
        except TransportLost as exc:
            self._closing.connection_lost(cause=exc.__cause__)
        else:
            if not complete:
                self._answer_soon()

    def _answer(self) -> None:
        transport = self._transport
        if transport.survives_cancel and not (transport.unsent or self._is_locked()):
            self._write_or_leave()
        else:
            self._answer_soon()

    # -- with waiting ----------------------------------------------------------

    async def _send_in_turn(self, frame: Callable[[_T], Frame], payload: _T) -> None:
        lock = self._the_lock()
        await lock.acquire()
        try:
            await self._drain()
            if self.turn >= TURN:
                await checkpoint()
            else:
                await checkpoint_if_cancelled()
            if self._closing.reason is not None:
                await self._closing.raise_closed()
            data = frame(payload)
            head, rest = data if isinstance(data, tuple) else (data, b"")
            if not self._write(head, rest):
                await self._drain()
        except TransportLost as exc:
            self._closing.connection_lost(cause=exc.__cause__)
            await self._closing.raise_closed()
        finally:
            self._release(lock)

    def _has_more(self) -> bool:
        return bool(self._held or self._ping or self._pong or self._close)

    def _is_locked(self) -> bool:
        return self._lock is not None and self._lock.locked()

    def _the_lock(self) -> Lock:
        if self._lock is None:
            self._lock = Lock(fast_acquire=True)
        return self._lock

    def _release(self, lock: Lock) -> None:
        self.turn = 0
        lock.release()
        if self._ping or self._pong or self._close or self._transport.unsent:
            self._answer_soon()

    async def _drain(self) -> None:
        """Write what waits, holding the lock."""
        while True:
            try:
                if self._transport.unsent:
                    await self._transport.flush()
            except TransportLost:
                raise
            except BaseException:  # cancelled
                if not self._transport.survives_cancel:  # who knows how much is written
                    self._closing.connection_lost(
                        "sending was cancelled in the middle of a frame"
                    )
                    await self._closing.abort()
                raise
            if not self._has_more():
                return
            data, self._close = self._close, b""
            self._write(data)

    def _answer_soon(self) -> None:
        if not self._answering and not self._closing.finished:
            self._answering = True
            self._background.start_soon(self._answer_now)

    async def _answer_now(self) -> None:
        # Shielded, for a frame cut short is worse than a late end: the transport is
        # closed within the close timeout, which ends the write.
        with CancelScope(shield=True):
            try:
                await self.flush()
            except TransportLost as exc:
                self._closing.connection_lost(cause=exc.__cause__)
            finally:
                self._answering = False
