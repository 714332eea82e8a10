"""Receiving: the task that waits for something reads it; there is no reader task.

Bytes come in from the transport. Messages go out to the application, Pings are
answered, Pongs are matched with our Pings, and a Close begins the end.

Theory of operation
-------------------
A task that waits in ``get_message()`` or ``ping()`` reads from the transport itself.
Only one task at a time can be in ``receive()``, and ``reading`` is true then. It deals
with everything that it finds: it returns its own message, puts others into the inbox
and wakes a task that waits for one, answers a Ping, records a Pong, and begins the end
at a Close. When it leaves, it wakes one of the waiting tasks, which reads on
(``_pass_on``), so a message costs no switch to another task and back.

While no task of the application reads, the inbox is filled by others (see ``_core``).
Over a stream that is a task that reads (``read_until_relieved``), until it has handed a
message to a task that waited, which then reads on.

Decoding is lazy: the engine is asked for an event only when there is a place for it. So
the inbox bounds the memory that they take, and a full inbox stops the reading and,
through TCP, the peer. A task that takes the first message of many may have the next
ones decoded with it (``_ahead``), as many as there are free slots in the inbox, because
the call to the engine and back takes longer than a short message.

Other tasks wait while one reads (``_waiting_tasks``).

Events that are received already are handed out without going through the event loop.
When the fairness budget is spent, the task goes through a checkpoint. A codec that has
done enough work for a turn pauses, which spends the budget as well. Receiving does not
renew it, because not every ``receive()`` waits. As long as more messages can be
returned at once, the outbox collects the replies, which then leave together.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from anyio import current_time
from anyio.lowlevel import checkpoint

from .._protocol import Close, Engine, Failure, Paused, Ping, Pong
from .._settings import ConnectionSettings
from .._transport import Transport, TransportLost
from ._close_state import CloseState
from ._fairness import LIMIT, LONG_TURN, MAX_STRETCH, FairnessBudget, last_yield
from ._inbox import INBOX_SIZE, Inbox, Message
from ._outbox import Outbox
from ._peer_end import end_by_peer
from ._pings import PingInFlight, Pings
from ._waiting_tasks import WaitingTasks
from ._watched import Watched

# Messages. Of 125 bytes, 16 at a time take 50 ns each for the call, and 64 take 15.
DECODED_AT_ONCE: Final = 64
# Events, at 1 to 2 us each, that are decoded at once when the stream is lost.
LAST_EVENTS: Final = 2000
# Bytes. After such a read, or one of all that was asked for, the next may not wait.
FULL_READ: Final = 65_536


class Reader(WaitingTasks):
    """The receiving side of one connection.

    :param transport: where the bytes come from
    :param engine: makes events of them
    :param outbox: sends our Pongs and the reply to a Close
    :param state: where the end is recorded
    :param fairness: counts the events that were handed out
    :param connection: is told when no task reads
    :param settings: the bounds of the inbox, and how much to read at once

    """

    __slots__ = (
        "_ahead",
        "_connection",
        "_decode_limit",
        "_engine",
        "_fairness",
        "_handed_over",
        "_inbox",
        "_last_yield",
        "_outbox",
        "_receive_size",
        "_state",
        "_transport",
        "_undecoded",
        "_was_full",
        "has_received",
        "pings",
        "reading",
        "reads_begun",
    )

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        outbox: Outbox,
        state: CloseState,
        fairness: FairnessBudget,
        connection: Watched,
        settings: ConnectionSettings,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._engine = engine
        self._outbox = outbox
        self._state = state
        self._fairness = fairness
        self._last_yield = last_yield()
        self._connection: Watched | None = connection
        self._receive_size = settings.receive_buffer_size
        self._inbox = Inbox(
            settings.message_queue_size, max(settings.max_message_size, INBOX_SIZE)
        )
        self.pings: Pings = Pings()
        #: whether a task is in receive(), and how many times one was
        self.reading: bool = False
        self.reads_begun: int = 0
        #: whether a message was received, for clients that connect again
        self.has_received: bool = False
        # Messages that come after those in the inbox, which has a free slot for each.
        self._ahead: list[Message] | tuple[()] = ()
        # What is decoded at once for a task that takes the first of it.
        self._decode_limit = 1 + int(
            min(self._inbox.free_slots(0), DECODED_AT_ONCE - 1)
        )
        # Whether the engine may have more events. It has some at the start, if the peer
        # sent something right after the handshake.
        self._undecoded = engine.has_more()
        self._handed_over = False  # whether a waiting task was given a message
        self._was_full = False  # whether the last read was

    # -- for the application ---------------------------------------------------

    def take(self, is_next: bool = False, /) -> Message | None:
        """Return the next message if that takes no waiting, otherwise ``None``.

        That is a plain call and no coroutine, which saves a tenth of the CPU time of a
        message of 125 bytes in a burst.

        :param is_next: whether it is for a task that waited in line
        """
        inbox = self._inbox
        if not (self._ahead or self._undecoded or inbox.messages):
            return None
        if self._fairness.events >= LIMIT:
            return None
        if (self._receivers or self._woken) and not is_next:
            return None
        outbox = self._outbox
        # A task that has sent something since it took a message looked at the clock.
        if outbox.checked_since_receive:
            outbox.checked_since_receive = False
        elif monotonic() - self._last_yield.time >= MAX_STRETCH:
            return None
        if inbox.messages:
            self._fairness.events += 1
            message: Message | None = inbox.pop()
        elif self._ahead:
            self._fairness.events += 1
            message = self._ahead.pop(0)
        else:
            message = self._decode(self._decode_limit)
            if message is None:
                return None
            if self._undecoded:
                self._on_left()
        # Not by bool(), which takes a fiftieth of the time of such a message.
        if self._ahead or self._undecoded or inbox.messages:
            outbox.more_expected = True
        else:
            outbox.more_expected = False
        if self._others:
            self._pass_on()
        return message

    async def message(self) -> Message:
        """Wait for the next message, which `take` did not return.

        :raises ConnectionClosed: if there is none, and none will come

        """
        try:
            if self._receivers or self._woken:
                await self._wait_in_line()
                if (message := self.take(True)) is not None:
                    return message
            while True:
                if (
                    self._ahead
                    or self._inbox.messages
                    or (self._undecoded and not self._state.by_us)
                ):
                    # The budget is spent, or the task has computed for long.
                    await self._fairness.give_way(self._outbox)
                    self._outbox.checked_since_receive = True
                else:
                    if self._state.reason is not None:
                        await self._state.raise_closed()
                    self._outbox.end_batch()
                    if self.reading:
                        await self._wait_in_line()
                    elif self._was_full and self._last_yield.is_long_ago():
                        # receive() may return without waiting
                        await self._fairness.give_way(self._outbox)
                    else:
                        await self.receive()
                if (message := self.take(True)) is not None:
                    return message
        except BaseException:  # cancelled
            if self._undecoded:
                self._on_left()
            raise
        finally:
            if self._receivers or self._others:
                self._pass_on()

    async def pong(self, ping: PingInFlight) -> None:
        """Return when a Ping is answered.

        :raises ConnectionClosed: if the connection ends before
        """
        await self._read_until(ping.is_answered)
        if not ping.answered:
            await self._state.raise_closed()

    # -- for the background task and for closing -------------------------------

    async def read_until_relieved(self) -> None:
        """Read until a task of the application does, or until the end."""
        self._handed_over = False
        await self._read_until(self._is_relieved)

    def feed(self, data: bytes) -> None:
        """Take bytes that were received."""
        self._transport.peer_active = True
        self._outbox.reply_due = True
        self._last_yield.time = monotonic()
        try:
            self._engine.receive_data(data)
        except BaseException as exc:
            self._fail(exc)
            raise
        self._undecoded = True

    def decode_now(self) -> bool:
        """Decode, while no task reads; return whether all is done and more may come."""
        if self._undecoded:
            self._fairness.renew()  # other tasks run, or this would not
            self._fill_inbox()
            if self._fairness.events <= LIMIT:  # otherwise the codec paused
                self._undecoded = self._undecoded and self._engine.has_more()
            self._fairness.renew()  # a message counts again when it is taken
        return not self._undecoded and self._state.reason is None and not self.is_full()

    async def catch_up(self) -> None:
        """Decode all that was received, unless another task reads."""
        await self._read_until(self._has_caught_up)

    def is_full(self) -> bool:
        """Say whether nothing is read, because the inbox is full."""
        return not (self.reading or self._has_free_slot())

    def on_closing(self) -> None:
        """Wake every waiting task and stop reading: the connection is closing."""
        if self._state.by_us:
            self._inbox.clear()
            self._ahead = ()
        if self.reading:
            self._transport.interrupt()
        self._wake_all()

    async def receive(self) -> int:
        """Be the only task that reads, receive once, and return how many bytes."""
        self.reads_begun += 1
        self.reading = True
        try:
            data = await self._transport.receive(self._receive_size)
        except TransportLost as exc:
            self.reading = False
            self._state.connection_lost(cause=exc.__cause__)
        else:
            self.reading = False
            if data:
                self.feed(data)
                size = len(data)
                self._was_full = size >= FULL_READ or size == self._receive_size
                return size
            elif data is not None:  # None: it is closing, and that interrupted us
                self._state.connection_lost()
        finally:
            self.reading = False
            connection = self._connection
            if connection is not None and not connection.on_watchlist:
                connection.on_unread()
        return 0

    def decode_last(self) -> None:
        """Decode what was received, up to a Close or the bounds of the inbox.

        The caller cannot let other tasks run. So after `LAST_EVENTS` the rest is left
        to `message`, as what does not fit into the inbox is.
        """
        self._undecoded = True
        left = LAST_EVENTS
        while (
            left > 0
            and self._undecoded
            and self._state.reason is None
            and self._has_free_slot()
        ):
            self._fairness.events = 0
            self._fill_inbox()
            left -= self._fairness.events

    async def wait_idle(self) -> None:
        """Wait until no task reads, once the connection is closing."""
        while self.reading:
            await self._wait_beside()

    def detach(self) -> None:
        """Forget the connection, which is closed."""
        self._connection = None

    # -- inside ----------------------------------------------------------------

    async def _read_until(self, done: Callable[[], bool]) -> None:
        try:
            while not done() and self._state.reason is None:
                if self.reading or not self._has_free_slot():
                    await self._wait_beside()
                    continue
                if self._fairness.gives_way:  # another task, which goes on then
                    await checkpoint()
                    continue
                self._fill_inbox()
                if self._fairness.events >= LIMIT:
                    await self._fairness.give_way(self._outbox)
                elif (
                    self._has_free_slot() and not done() and self._state.reason is None
                ):
                    await self.receive()
        finally:
            self._pass_on()
            if self._undecoded:
                self._on_left()

    def _has_caught_up(self) -> bool:
        return self.reading or not (self._undecoded or self.is_full())

    def _is_relieved(self) -> bool:
        return self._handed_over or self.reading

    def _has_free_slot(self) -> bool:
        return self._inbox.free_slots(len(self._receivers)) > len(self._ahead)

    def _fill_inbox(self) -> None:
        """Deliver what was received, as far as the inbox has free slots."""
        message: Message | None
        while True:
            while self._ahead:
                self._fairness.events += 1
                self._deliver(self._ahead.pop(0))
            free = self._inbox.free_slots(len(self._receivers))
            if free < 1 or not self._undecoded:
                return
            left = LIMIT - self._fairness.events
            message = self._decode(int(min(free, DECODED_AT_ONCE, left)))
            if message is None:
                return
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        try:
            self._inbox.put(message)
        except BaseException as exc:
            self._fail(exc)
            raise
        if self._receivers:
            self._wake_receiver()
            self._handed_over = True

    def _decode(self, most: int) -> Message | None:
        """Return the next message received; handle the control frames before it.

        :param most: messages for which there is a place; others go to ``_ahead``
        """
        fairness = self._fairness
        try:
            while fairness.events < LIMIT and not self._state.by_us:
                found = self._engine.take_messages(most)
                if found:
                    self.has_received = True
                    fairness.events += 1
                    self._undecoded = self._engine.has_more()
                    message = found.pop(0)
                    if found:
                        self._ahead = found
                    return message
                event = self._engine.next_event()
                if event is None:
                    self._undecoded = False
                    return None
                fairness.events += 1
                kind = event.__class__
                if kind is str or kind is bytes:
                    self.has_received = True
                    self._undecoded = self._engine.has_more()
                    return event  # type: ignore[return-value]
                self._handle_control(event)
        except BaseException as exc:
            self._fail(exc)
            raise
        return None

    def _fail(self, error: BaseException) -> None:
        """Give out no more: an exception came between the bytes and their messages."""
        self._engine.fail()
        self._ahead = ()
        self._state.receiving_failed(error)

    def _handle_control(self, event: object) -> None:
        if isinstance(event, Ping):
            self._outbox.send_pong(self._engine.frame_pong(event.payload))
            self._fairness.events = LIMIT  # see give_way
        elif event is Paused.PAUSED:
            self._fairness.events = LONG_TURN
        elif isinstance(event, Pong):
            if self.pings.answer(event.payload, current_time()):
                self._wake_others()
        else:
            assert isinstance(event, Close | Failure)
            end_by_peer(event, self._engine, self._outbox, self._state)

    def _on_left(self) -> None:
        if self._connection:
            self._connection.look_later()

    def _pass_on(self) -> None:
        """Wake a waiting task, if there is a message for it or no task reads."""
        if self._receivers and (
            not self.reading or self._inbox.messages or self._ahead
        ):
            self._wake_receiver()
        elif not self.reading:
            self._wake_other()
