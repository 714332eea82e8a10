"""Reading, by whoever waits: there is no reader task.

In: bytes of the transport. Out: messages, answered pings, the beginning of the end.

Theory of operation
-------------------
A task that waits in ``get_message()`` or ``ping()`` reads from the transport itself.
It holds the baton while it is inside ``receive`` (``_is_taken``). What it
finds it deals out: its own message it takes along, another one goes to the inbox and
wakes a waiting task, a Ping is answered, a Pong noted, a Close begins the end. When it
leaves, it wakes one of those who wait, who takes the baton up (``_pass_on``). So a
message costs no switch to another task and back, and a connection no task of its own.

While nobody waits, the attendant puts somebody there (``serve``), who fills the inbox
as long as it has room and hands the baton over as soon as somebody else waits.

Decoding is lazy: an event is asked of the engine only when there is a place for it. So
the inbox bounds what exists as objects, and a full inbox stops the reading and, through
TCP, the peer. A task that takes its message out of many may have the next ones decoded
along with it (``_ahead``), as many as have a place in the inbox, for the way to the
engine and back takes longer than a short message.

Two kinds of tasks wait without the baton. ``_receivers`` want a message and are woken
one by one, first come first served. ``_others`` (a ping that waits for its pong, the
attendant's reader, a closing task) are few and re-check what they wait for whenever
they are woken.

Events that are at hand are dealt out without going round the event loop. After
``TURN`` of them the task gives the others a turn, so that a burst of tiny frames on one
connection holds up nobody, and so that a cancellation is seen. It counts on while it
receives, for not every ``receive()`` waits. As long as more is at hand, the outbox is
told to hold answers back, which then leave together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from anyio import CancelScope, Event, current_time
from anyio.lowlevel import checkpoint

from .._errors import CloseReason
from .._options import LINGER_TIMEOUT
from .._protocol import Close, Engine, Failure, Ping, Pong, close_reason_to_send
from .._transport import Transport, TransportLost
from ._background import BackgroundTask, Member
from ._closing import Closing
from ._inbox import Inbox, Message
from ._outbox import Outbox
from ._pings import PingInFlight, Pings

TURN: Final = 100  # events; at 1 to 10 us each, others wait for a millisecond at most
BATCH: Final = 16  # messages that are decoded at once
# passes of the scheduler; to start writing takes one, a write one or two (TLS)
PASSES_FOR_A_PONG: Final = 4


class _Nobody:
    """Whom no attendant is to look after."""

    on_watchlist = True


_NOBODY: Final = cast(Member, _Nobody())


class Reader:
    """The receiving side of one connection.

    :param transport: where the bytes come from
    :param engine: makes events of them
    :param inbox: where messages wait
    :param pings: the pings that wait for their pongs
    :param outbox: where answers go
    :param closing: where the end is noted
    :param attendant: told when nobody reads
    :param member: what the attendant shall look after then
    :param receive_size: bytes to ask for at once, ``None`` for the stream's choice

    """

    __slots__ = (
        "_ahead",
        "_at_hand",
        "_background",
        "_batch",
        "_closing",
        "_engine",
        "_handed_over",
        "_inbox",
        "_member",
        "_others",
        "_outbox",
        "_pings",
        "_receive_size",
        "_receivers",
        "_transport",
        "_turn",
        "reading",
        "reads_begun",
    )

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        inbox: Inbox,
        pings: Pings,
        outbox: Outbox,
        closing: Closing,
        background: BackgroundTask,
        member: Member,
        receive_size: int | None,
    ) -> None:
        self._transport = transport
        self._engine = engine
        self._inbox = inbox
        self._pings = pings
        self._outbox = outbox
        self._closing = closing
        self._background = background
        self._member = member
        self._receive_size = receive_size
        #: whether a task is in receive()
        self.reading: bool = False
        #: how many times one was
        self.reads_begun: int = 0
        # Lists: a deque takes a room for 64 at once, and few tasks ever wait here.
        self._receivers: list[Event] = []
        self._others: list[Event] = []
        # Messages that come behind those in the inbox; no more than would fit in there.
        self._ahead: list[Message] | tuple[()] = ()
        # What is decoded at once for a task that takes the first: for the others there
        # is room in the inbox.
        self._batch = 1 + int(min(inbox.free_slots(0), BATCH - 1))
        # Whether the engine may have more to say; it may, of what came with the
        # handshake.
        self._at_hand = True
        self._turn = 0  # events dealt out since somebody else had a turn
        self._handed_over = False  # a waiting task was given a message

    # -- for the application ---------------------------------------------------

    async def message(self) -> Message:
        """Return the next message.

        :raises ConnectionClosed: if there is none and never will be

        """
        inbox = self._inbox
        try:
            while True:
                if self._turn >= TURN:
                    await self._give_way()
                message: Message | None = None
                if inbox.messages:
                    self._turn += 1
                    message = inbox.pop()
                elif self._ahead:
                    self._turn += 1
                    message = self._ahead.pop(0)
                elif self._at_hand:
                    message = self._decode(self._batch)
                if message is not None:
                    self._outbox.hold = bool(
                        self._ahead or self._at_hand or inbox.messages
                    )
                    return message
                if self._turn >= TURN:
                    continue  # more may be at hand
                if self._closing.reason is not None:
                    await self._closing.raise_closed()
                self._outbox.release()
                if self.reading:
                    await _park(self._receivers)
                else:
                    await self._receive()
        finally:
            if self._receivers or self._others:
                self._pass_on()

    async def pong(self, ping: PingInFlight) -> None:
        """Return when a ping is answered.

        :raises ConnectionClosed: if it never will be

        """
        await self._read_until(ping.is_answered)
        if not ping.answered:
            await self._closing.raise_closed()

    # -- for the attendant and for closing -------------------------------------

    async def read_until_relieved(self) -> bool:
        """Read for the application until one of its tasks does, or until the end.

        :return: whether somebody else reads now
        """
        self._handed_over = False
        await self._read_until(self._is_relieved)
        return self.reading

    def on_closing(self) -> None:
        """The end has begun: let every waiting task see it, and nobody read on."""
        if self._closing.by_us:
            self._inbox.clear()
            self._ahead = ()
        if self.reading:
            self._transport.interrupt()
        for queue in (self._receivers, self._others):
            while queue:
                queue.pop(0).set()

    async def finish(self, budget: CancelScope, *, is_client: bool) -> None:
        """Read what has to be read before the transport may be closed.

        To be called by the leader of the closing, after our Close is written.

        :param budget: the scope it is called in; its deadline is moved forward once
            there is nothing more to wait for but the end of the stream
        :raises TransportLost: if the stream is lost meanwhile

        """
        while self.reading:
            await _park(self._others)
        engine = self._engine
        await (
            self._discard_messages()
        )  # its Close may be at hand, behind what nobody asked for
        while engine.close_received is None and not engine.failed:
            data = await self._transport.receive(self._receive_size)
            if not data:
                return
            engine.receive_data(data)
            await self._discard_messages()
        # A FIN of ours, for a stream closed with unread bytes is reset, and the reset
        # can overtake our Close. A server says it first (RFC 6455 section 7.1.1); a
        # client waits for the server's, unless it gave the server up.
        half_closed = False
        if engine.failed or not is_client:
            half_closed = await self._transport.send_eof()
        if half_closed or is_client or engine.failed:
            budget.deadline = min(budget.deadline, current_time() + LINGER_TIMEOUT)
            while await self._transport.receive(self._receive_size):
                pass  # RFC 6455 section 1.4: what follows a Close is discarded

    def detach(self) -> None:
        """Forget what the attendant looks after: it is closed."""
        self._member = _NOBODY

    # -- inside ----------------------------------------------------------------

    async def _read_until(self, done: Callable[[], bool]) -> None:
        try:
            while not done() and self._closing.reason is None:
                if self.reading or not self._has_room():
                    await _park(self._others)
                    continue
                self._fill_inbox()
                if self._turn >= TURN:
                    await self._give_way()
                elif self._has_room() and not done() and self._closing.reason is None:
                    await self._receive()
        finally:
            self._pass_on()

    def _is_relieved(self) -> bool:
        return self._handed_over or self.reading

    def _has_room(self) -> bool:
        return self._inbox.free_slots(len(self._receivers)) > len(self._ahead)

    def _fill_inbox(self) -> None:
        """Deal out what is at hand as far as the inbox has room."""
        message: Message | None
        while True:
            while self._ahead:
                self._turn += 1
                self._deliver(self._ahead.pop(0))
            room = self._inbox.free_slots(len(self._receivers))
            if room < 1 or not self._at_hand:
                return
            message = self._decode(int(min(room, BATCH, TURN - self._turn)))
            if message is None:
                return
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        self._inbox.put(message)
        if self._receivers:
            self._receivers.pop(0).set()
            self._handed_over = True

    def _decode(self, most: int) -> Message | None:
        """Return the next message at hand; deal with what comes before it.

        :param most: messages for which there is room, this one among them; those
            behind it are ahead then
        """
        while self._turn < TURN and not self._closing.by_us:
            found = self._engine.take_messages(most)
            if found:
                self._turn += 1
                self._at_hand = self._engine.has_more()
                message = found.pop(0)
                if found:
                    self._ahead = found
                return message
            event = self._engine.next_event()
            if event is None:
                self._at_hand = False
                return None
            self._turn += 1
            kind = event.__class__
            if kind is str or kind is bytes:
                self._at_hand = self._engine.has_more()
                return event  # type: ignore[return-value]
            self._control(event)
        return None

    def _control(self, event: object) -> None:
        if isinstance(event, Ping):
            self._outbox.pong(self._engine.frame_pong(event.payload))
            self._turn = TURN  # see _give_way
        elif isinstance(event, Pong):
            if self._pings.answer(event.payload, current_time()):
                while self._others:
                    self._others.pop(0).set()
        elif isinstance(event, Close):
            # First the reason, for to answer may fail, and then it would be 1006.
            self._closing.received(CloseReason(event.code, event.reason or None))
            self._outbox.send_close(self._engine.frame_close(event.code, event.reason))
        else:  # nothing of the peer's counts any more
            assert isinstance(event, Failure)
            reason = close_reason_to_send(event.reason)
            self._closing.begin(CloseReason(event.code, reason))
            self._outbox.send_close(self._engine.frame_close(event.code, reason))

    async def _receive(self) -> None:
        """Take the baton and receive once."""
        self.reads_begun += 1
        self.reading = True
        try:
            data = await self._transport.receive(self._receive_size)
        except TransportLost as exc:
            self.reading = False
            self._closing.connection_lost(cause=exc.__cause__)
        else:
            self.reading = False
            if data:
                self._transport.peer_active = True
                self._outbox.burst = 0
                self._engine.receive_data(data)
                self._at_hand = True
            elif data is not None:  # None: the end has begun and woken us
                self._closing.connection_lost()
        finally:
            self.reading = False
            if not self._member.on_watchlist:
                self._background.watch(self._member)

    async def _discard_messages(self) -> None:
        """Decode what is at hand: once we close, only the peer's Close counts."""
        turn = 0
        while (event := self._engine.next_event()) is not None:
            if isinstance(event, Close):
                self._closing.received(CloseReason(event.code, event.reason or None))
            turn += 1
            if turn % TURN == 0:
                await checkpoint()

    def _pass_on(self) -> None:
        """Wake one of those who wait, for there is a message or the baton to take."""
        if self._receivers and (
            not self.reading or self._inbox.messages or self._ahead
        ):
            self._receivers.pop(0).set()
        elif self._others and not self.reading:
            self._others.pop(0).set()

    async def _give_way(self) -> None:
        self._turn = self._outbox.turn = 0
        await checkpoint()
        # A pong that still waits when the next Ping is decoded is replaced. So a Ping
        # ends the turn, and the pong is given some passes to leave; it stays longer
        # only if the peer does not read. A peer that does gets a pong for each.
        for _ in range(PASSES_FOR_A_PONG):
            if not self._outbox.has_pong:
                break
            await checkpoint()


async def _park(queue: list[Event]) -> None:
    event = Event()
    queue.append(event)
    try:
        await event.wait()
    finally:
        if not event.is_set():  # cancelled
            queue.remove(event)
