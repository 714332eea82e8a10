"""What was received becomes messages: the part of `Reader` that waits for nothing.

See ``_reader`` for how it is used.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from .._protocol import Close, Engine, Failure, Part, Paused, Ping, Pong
from .._settings import ConnectionSettings
from .._transport import Transport, current_time
from ._close_state import CloseState
from ._fairness import LIMIT, LONG_TURN, FairnessBudget, last_yield
from ._inbox import INBOX_SIZE, Inbox, Message
from ._outbox import Outbox
from ._peer_end import end_by_peer
from ._pings import Pings
from ._totals import Backlog
from ._waiting_tasks import WaitingTasks
from ._watched import Watched

# Messages. Of 125 bytes, 16 at a time take 50 ns each for the call, and 64 take 15.
DECODED_AT_ONCE: Final = 64
# Events, at 1 to 2 us each, that are decoded at once when the stream is lost.
LAST_EVENTS: Final = 2000


class Decoding(WaitingTasks):
    """Decodes what was received, into the inbox or for the task that asks.

    :param transport: where the bytes come from
    :param engine: makes events of them
    :param outbox: sends our Pongs and the reply to a Close
    :param state: where the end is recorded
    :param fairness: counts the events that were handed out
    :param connection: is told when no task reads
    :param settings: the bounds of the inbox, and how much to read at once

    """

    __slots__ = (
        "_decode_limit",
        "_engine",
        "_handed_over",
        "_transport",
        "has_received",
        "pings",
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
        self._inbox = Inbox(
            settings.message_queue_size, max(settings.max_message_size, INBOX_SIZE)
        )
        self.pings: Pings = Pings()
        #: whether a task is in receive()
        self.reading: bool = False
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

    def take_received(self, data: bytes) -> Message | None:
        """Take bytes that were received, and return the message that they begin with.

        That is what `feed`, and then `Reader.take`, would do for a task that waited for
        a message. A message that comes alone takes half the calls in this way.

        :return: ``None`` if something else is next
        """
        if (
            self._undecoded
            or self._ahead
            or self._inbox.messages
            or self._fairness.events >= LIMIT
            or self._state.reason is not None
        ):
            self.feed(data)
            return None
        outbox = self._outbox
        self._transport.peer_active = True
        outbox.reply_due = True
        outbox.checked_since_receive = False
        self._last_yield.time = monotonic()
        try:
            found, self._undecoded = self._engine.take_received(
                data, self._decode_limit
            )
        except BaseException as exc:
            self._fail(exc)
            raise
        if not found:
            return None
        self._fairness.events += 1
        self.has_received = True
        message = found.pop(0)
        if found:
            self._ahead = found
        outbox.more_expected = self._undecoded or bool(found)
        return message

    def decode_now(self) -> bool:
        """Decode, while no task reads; return whether all is done and more may come."""
        if self._undecoded:
            self._fairness.renew()  # other tasks run, or this would not
            self._fill_inbox()
            if self._fairness.events <= LIMIT:  # otherwise the codec paused
                self._undecoded = self._undecoded and self._engine.has_more()
            self._fairness.renew()  # a message counts again when it is taken
        return not self._undecoded and self._state.reason is None and not self.is_full()

    def is_full(self) -> bool:
        """Say whether nothing is read, because the inbox is full."""
        return not (self.reading or self._has_free_slot())

    def add_backlog_to(self, backlog: Backlog) -> None:
        """Add the received messages that wait to be fetched."""
        self._inbox.add_to(backlog, self._ahead)

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

    # -- inside ----------------------------------------------------------------

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
                if kind is str or kind is bytes or kind is Part:
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
