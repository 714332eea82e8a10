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

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, ClassVar, Final

from anyio.lowlevel import checkpoint

from .._protocol import REST_AT_ONCE, Engine
from .._settings import ConnectionSettings
from .._transport import RECEIVE_SIZE, SocketTransport, Transport, TransportLost
from ._close_state import CloseState
from ._decoding import Decoding
from ._fairness import LIMIT, MAX_STRETCH, FairnessBudget
from ._inbox import Message
from ._outbox import Outbox
from ._pings import PingInFlight
from ._reader_fields import ReaderFields
from ._waiting_tasks import Gate
from ._watched import Watched

# Bytes. After such a read, or one of all that was asked for, the next may not wait. It
# is more than a message of 64 KiB with its header: what follows that is awaited in C.
FULL_READ: Final = 66_048


class Reader(Decoding):
    """The receiving side of one connection; see `Decoding` for the parameters."""

    __slots__ = ("_is_read_beside",)

    reading: bool  # of `Decoding`, said again for pyright's --verifytypes

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
        super().__init__(
            transport, engine, outbox, state, fairness, connection, settings
        )
        # What receives in C, if the transport is a socket on asyncio.
        self._future = transport.future if type(transport) is SocketTransport else None
        self._receive_size = settings.receive_buffer_size
        if self._future is not None:  # it has no default
            self._receive_size = self._receive_size or RECEIVE_SIZE
        # Whether the task in receive() wants something else than a message.
        self._is_read_beside = False
        #: how many times a task was in receive()
        self.reads_begun: int = 0
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

    #: what `get_message` calls. In C it does what `take` does for a message that was
    #: decoded with the one before it, and otherwise calls it
    take_next: ClassVar[Callable[[Any], Message | None]] = vars(ReaderFields).get(
        "take_next", take
    )

    async def message(
        self, is_next: bool = False, has_read: bool = False, /
    ) -> Message:
        """Wait for the next message, which `take` did not return.

        :param is_next: whether no other task can be before this one
        :param has_read: whether this task has just received something
        :raises ConnectionClosed: if there is none, and none will come

        """
        try:
            if has_read or ((self._receivers or self._woken) and not is_next):
                if not has_read:
                    await self._wait_in_line(self._gate)
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
                    elif self._was_full and self._receive_rest():
                        pass  # a large message has more of its payload, or all of it
                    elif (data := await self.receive()) and (
                        message := self.take_received(data)
                    ) is not None:
                        if self._undecoded:
                            self._on_left()
                        return message
                if (message := self.take(True)) is not None:
                    return message
        except BaseException:  # cancelled
            if self._undecoded:
                self._on_left()
            raise
        finally:
            if self._receivers or self._others:
                self._pass_on()

    #: what `get_message` calls. In C it does what `message` does for a message that
    #: comes alone, and otherwise calls it
    next_message: ClassVar[Callable[[Any], Coroutine[Any, Any, Message]]] = vars(
        ReaderFields
    ).get("next_message", message)

    async def begin_fragments(self) -> None:
        """Wait until the next message is for this task, and have it come in parts.

        From now on `take` and `message` return what is next to the caller only, and
        only with ``is_next``: `Part` objects up to the last one of the message, or the
        whole message, if it was decoded before.

        :raises ConnectionClosed: if `aclose` was called

        """
        while self._gate is not None:
            self._gate.check_owner()
            await self._gate.opened.wait()
        if self._state.by_us:
            await self._state.raise_closed()
        self._gate = Gate()
        self._woken += 1
        try:
            await self._let_others_pass()
        except BaseException:  # cancelled
            self._open_gate()
            raise
        finally:
            self._pass_on()
        if not (self._inbox.messages or self._ahead):
            self._engine.begin_parts()
            self._undecoded = True  # a part of the message may be there already

    def end_fragments(self, *, skip: bool) -> None:
        """Have whole messages come again, to any task.

        :param skip: whether some of the message was taken. The rest is dropped then;
            otherwise the message comes whole

        """
        parts = self._inbox.pop_parts()
        if skip:
            self._engine.skip_parts()
        else:
            payload = b"".join(part.payload() for part in parts)
            if parts and parts[-1].is_last:
                is_text = isinstance(parts[0].data, str)
                self._inbox.put_first(payload.decode() if is_text else payload)
            else:
                self._engine.join_parts(payload)
        self._open_gate()
        self._pass_on()
        if self._undecoded:
            self._on_left()

    async def _let_others_pass(self) -> None:
        """Wait until no task waits that asked for a message before the gate was there.

        :raises ConnectionClosed: if `aclose` is called

        """
        while True:
            if self._state.by_us:
                # aclose() has woken every task that waited, and nobody will again.
                await self._state.raise_closed()
            if self._fairness.gives_way:  # perhaps one of these tasks
                await checkpoint()
            elif (
                self._receivers
                or self._woken > 1  # the owner of the gate counts as one
                or (self.reading and not self._is_read_beside)
            ):
                await self._wait_beside()
            else:
                return

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

    async def catch_up(self) -> None:
        """Decode all that was received, unless another task reads."""
        await self._read_until(self._has_caught_up)

    def on_closing(self) -> None:
        """Wake every waiting task and stop reading: the connection is closing."""
        if self._state.by_us:
            self._inbox.clear()
            self._ahead = ()
            self._open_gate()
        if self.reading:
            self._transport.interrupt()
        self._wake_all()

    async def receive(self) -> bytes:
        """Be the only task that reads, and receive once.

        :return: what came, which the caller takes at once; nothing at the end, or if
            the connection is closing
        """
        self.reads_begun += 1
        self.reading = True
        try:
            data = await self._transport.receive(self._receive_size)
        except TransportLost as exc:
            self._lost(exc)
        else:
            self.reading = False
            if data:
                size = len(data)
                self._was_full = size >= FULL_READ or size == (
                    self._receive_size or RECEIVE_SIZE
                )
                return data
            self._lost(data)
        finally:
            self.reading = False
            connection = self._connection
            if connection is not None and not connection.on_watchlist:
                connection.on_unread()
        return b""

    def _receive_rest(self) -> bool:
        """Receive more of a large message without waiting; say if anything came."""
        try:
            size = self._engine.receive_rest(self._transport.receive_into)
        except TransportLost as exc:
            self._lost(exc)
            return True
        except BaseException as exc:
            self._fail(exc)
            raise
        self._was_full = size == REST_AT_ONCE
        if size:
            self._transport.peer_active = True
            self._undecoded = True
        return size > 0

    async def wait_idle(self) -> None:
        """Wait until no task reads, once the connection is closing."""
        while self.reading:
            await self._wait_beside()

    def detach(self) -> None:
        """Forget the connection, which is closed."""
        self._connection = None

    # -- for `next_message` in C -----------------------------------------------

    def _go_on(self) -> Coroutine[Any, Any, Message]:
        """Wait on as `message` does once it has received something."""
        return self.message(True, True)

    def _gave_up(self) -> None:
        """Do what `message` does when it is cancelled."""
        if self._undecoded:
            self._on_left()
        if self._receivers or self._others:
            self._pass_on()

    # -- inside ----------------------------------------------------------------

    def _lost(self, outcome: bytes | TransportLost | None) -> None:
        """Record what `receive` got instead of bytes."""
        self.reading = False
        if isinstance(outcome, TransportLost):
            self._state.connection_lost(cause=outcome.__cause__)
        elif outcome is not None:  # None: it is closing, and that interrupted us
            self._state.connection_lost()

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
                    self._is_read_beside = True
                    try:
                        data = await self.receive()
                    finally:
                        self._is_read_beside = False
                    if data:
                        self.feed(data)
        finally:
            self._pass_on()
            if self._undecoded:
                self._on_left()

    def _has_caught_up(self) -> bool:
        return self.reading or not (self._undecoded or self.is_full())

    def _is_relieved(self) -> bool:
        return self._handed_over or self.reading

    def _on_left(self) -> None:
        if self._connection:
            self._connection.look_later()

    def _pass_on(self) -> None:
        """Wake a waiting task, if there is a message for it or no task reads."""
        if self._receivers and (
            not self.reading or self._inbox.messages or self._ahead
        ):
            self._wake_receiver()
        elif self._gate is not None:
            self._wake_others()  # its owner may be among them
        elif not self.reading:
            self._wake_other()
