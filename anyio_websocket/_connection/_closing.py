"""How a connection is closed: the closing handshake, then the end of the stream.

`Closing.run` is the only way in which a connection is closed in order, whichever side
began. It runs in ``aclose()``, or in the background task if the application does not
come back after the peer's Close. Whether the connection is over, and why, is stored in
``_close_state``.

Theory of operation
-------------------
There are two phases, and each has a time limit of its own.

**The closing handshake** (RFC 6455 section 7.1.2): our Close is written, and the peer's
Close is read. It may take ``disconnect_timeout`` seconds. Only this phase can time out
in the sense of `DisconnectionTimeout`. If it does, the stream is closed at once.

**The end of the stream**: a stream that is closed while received bytes are unread is
reset by TCP, and the reset can overtake our Close and destroy it. So we half-close
where we can, and read until the peer has closed too. That takes ``LINGER_TIMEOUT``
seconds at most, and never longer than what is left of ``disconnect_timeout``. It is no
error if the peer does not close in time, because both sides have sent their Close.

A server closes first (RFC 6455 section 7.1.1), and a client waits for that, unless the
client gave up on a peer that broke the protocol. After such a mistake there is no Close
of the peer's to wait for, but the second phase still is needed: our Close says what was
wrong, and must not be destroyed by a reset.

If the task that runs this is cancelled, or the stream is lost, the stream is closed at
once. It is closed in any case.
"""

from __future__ import annotations

from anyio import current_time, move_on_after
from anyio.lowlevel import checkpoint

from .._errors import CloseReason
from .._protocol import Close, Engine, Paused
from .._settings import LINGER_TIMEOUT, ConnectionSettings
from .._transport import Transport, TransportLost
from ._close_state import CloseState
from ._fairness import LIMIT
from ._outbox import Outbox
from ._reader import Reader
from ._unread import Unread


class Closing:
    """Closes one connection.

    :param transport: is closed in the end
    :param engine: frames our Close, and finds the peer's
    :param outbox: writes our Close
    :param reader: has to stop reading first
    :param unread: reads what was received already when the stream is lost
    :param state: where everything about the end is stored
    :param settings: the timeout, and how much to read at once
    :param is_client: a server closes the stream first, a client waits for that

    """

    __slots__ = (
        "_engine",
        "_is_client",
        "_outbox",
        "_reader",
        "_settings",
        "_state",
        "_transport",
        "_unread",
    )

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        outbox: Outbox,
        reader: Reader,
        unread: Unread,
        state: CloseState,
        settings: ConnectionSettings,
        *,
        is_client: bool,
    ) -> None:
        self._transport = transport
        self._engine = engine
        self._outbox = outbox
        self._reader = reader
        self._unread = unread
        self._state = state
        self._settings = settings
        self._is_client = is_client

    async def close(self, code: int, text: str) -> None:
        """Begin to close, unless the connection ended already; then close it.

        :param code: a close code that may be sent
        :param text: a reason that fits into a Close; ``""`` sends no reason

        """
        if self._state.reason is None:
            self._outbox.queue_close(self._engine.frame_close(code, text))
            self._state.begin(CloseReason(code, text or None), by_us=True)
        await self.run()

    async def run(self) -> None:
        """Close a connection that ended, or wait until another task has closed it."""
        state = self._state
        try:
            if not state.claim():
                await state.wait_closed()
            elif not state.stream_lost:
                await self._run()
        finally:
            await state.abort()

    async def abort(self, text: str) -> None:
        """Close the stream without a closing handshake; the close code is 1006.

        :param text: why, for the application

        """
        self._state.connection_lost(text)
        await self._state.abort()

    async def abort_with_close(self, code: int, reason: str, text: str) -> None:
        """Like `abort`, but try to write a Close first, without waiting.

        :param code: the code of that Close
        :param reason: the reason of that Close

        """
        self._state.sent = CloseReason(code, reason)
        self._outbox.send_close(self._engine.frame_close(code, reason))
        await self.abort(text)

    # -- the two phases --------------------------------------------------------

    async def _run(self) -> None:
        state = self._state
        try:
            ended = False
            seconds = self._settings.disconnect_seconds
            # If the peer closes first, all was done when its Close was read. A scope
            # takes 10 us, and a connection 350.
            if not self._is_handshake_done():
                with move_on_after(seconds) as handshake:
                    ended = await self._closing_handshake()
                if handshake.cancelled_caught:
                    state.timed_out = True
                    return
                seconds = handshake.deadline - current_time()
            with self._transport.linger(min(LINGER_TIMEOUT, seconds)):
                if not ended:
                    await self._end_of_stream()
                await self._transport.aclose()
                state.transport_closed()
        except TransportLost as exc:
            state.connection_lost(cause=exc.__cause__)
            if self._engine.close_received is None and not self._engine.failed:
                # The peer's Close may be unread: RFC 6455 section 7.1.5.
                await self._unread.receive_last()
                await self._find_close()

    def _is_handshake_done(self) -> bool:
        engine = self._engine
        return (
            (engine.close_received is not None or engine.failed)
            and not self._reader.reading
            and self._outbox.is_idle()
        )

    async def _closing_handshake(self) -> bool:
        """Write our Close and read the peer's.

        :return: whether the stream ended instead
        :raises TransportLost: if the stream is lost meanwhile
        """
        engine, transport = self._engine, self._transport
        await self._outbox.flush()
        await self._reader.wait_idle()
        await self._find_close()  # it may have been received before we closed
        while engine.close_received is None and not engine.failed:
            data = await transport.receive(self._settings.receive_buffer_size)
            if not data:
                return True
            engine.receive_data(data)
            await self._find_close()
        return False

    async def _find_close(self) -> None:
        """Decode what was received: once we close, only the peer's Close counts."""
        events = 0
        while (event := self._engine.next_event()) is not None:
            if isinstance(event, Close):
                reason = CloseReason(event.code, event.reason or None)
                self._state.close_received(reason)
            events += 1
            if events % LIMIT == 0 or event is Paused.PAUSED:
                await checkpoint()

    async def _end_of_stream(self) -> None:
        """Half-close if we close first and the stream can, and read to the end.

        :raises TransportLost: if the stream is lost meanwhile
        """
        closes_first = self._engine.failed or not self._is_client
        if closes_first:
            half_closed = await self._transport.send_eof()
            if not (half_closed or self._engine.failed):
                return  # the peer waits for us, and only sees that all is closed
        while await self._transport.receive(self._settings.receive_buffer_size):
            pass  # RFC 6455 section 1.4: what follows a Close is discarded
