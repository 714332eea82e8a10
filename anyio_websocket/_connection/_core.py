"""One open connection from the inside: its parts, and how they are put together.

`open_core` takes what a handshake leaves (a transport, the agreed extensions) and makes
the parts of a connection. Each has a module, its own state and its own theory of
operation: ``_reader`` (receiving), ``_outbox`` (sending), ``_pings``, ``_inbox``,
``_close_state`` (is it over, and why) and ``_closing`` (what is done about it).
The parts know only the ones before them, in the order in which `ConnectionCore` makes
them.

A `WebSocketConnection` shows to users what is in here.

**While no task reads.** The transport calls `ConnectionCore.on_readable` when something
has come and no task is in ``receive()``. This receives and decodes at once, in the
callback of the event loop: to fill the inbox, to answer a Ping and to note a Close
takes no task. It handles a few reads and as many events as the fairness budget allows.
Only if something is left then, because the inbox is full, more was received than other
tasks should wait for, or the connection has ended, a task of the background task goes
on. Meanwhile the transport does not call.

Bytes that were received together with a message may be left undecoded by a task that
took the message and does not come back. No event loop says so. So whoever leaves some
calls ``look_later()``, and the transport calls as if something had come. The task that
goes through a checkpoint within a burst is not taken for one that has gone.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from anyio import current_time
from anyio.lowlevel import checkpoint

from .._errors import CloseReason
from .._protocol import Engine, Extensions, frame_unmasked, open_engine
from .._settings import ConnectionSettings, PingCallbacks
from .._transport import SocketTransport, Transport
from ._background import BackgroundTask
from ._close_state import CloseState
from ._closing import Closing
from ._fairness import FairnessBudget
from ._observed_reader import ObservedReader
from ._outbox import Outbox
from ._pings import Pings
from ._reader import Reader
from ._sent_fragments import Parts, SentFragments
from ._timed_outbox import TimedOutbox
from ._totals import Backlog, Totals
from ._unread import Unread


class ConnectionCore:
    """One open connection.

    For its parts and the background task it is a `Watched`, for its transport a
    `Watcher`.

    :param transport: where its bytes travel
    :param engine: its protocol, after the handshake
    :param background: reads while the application does not
    :param settings: its limits
    :param is_client: which side this is
    :param callbacks: who wants to know of Pings and Pongs; ``None`` for nobody

    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_began",
        "_fairness",
        "_is_called_back",
        "_settings",
        "close_state",
        "engine",
        "is_client",
        "is_read_in_background",
        "number",
        "on_watchlist",
        "opened_at",
        "outbox",
        "reader",
        "transport",
    )

    numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        background: BackgroundTask,
        settings: ConnectionSettings,
        *,
        is_client: bool,
        callbacks: PingCallbacks | None = None,
    ) -> None:
        self._background = background
        self._settings = settings
        self.transport: Transport = transport
        self.engine: Engine = engine
        self.is_client: bool = is_client
        self.number: int = next(self.numbers)
        #: of `time.time`
        self.opened_at: float = time.time()
        self._began = time.monotonic()
        #: see `Watched`
        self.on_watchlist: bool = False
        self.is_read_in_background: bool = False
        self._is_called_back = False  # by the transport, while no task reads
        self._fairness = fairness = FairnessBudget()
        self.close_state: CloseState = CloseState(transport, self)
        outbox = TimedOutbox if settings.count_messages else Outbox
        self.outbox: Outbox = outbox(transport, self.close_state, background, fairness)
        if type(transport) is SocketTransport:
            if engine.frame_message is frame_unmasked:
                self.outbox.direct = transport
            elif (keys := engine.mask_keys) is not None:
                self.outbox.masked = (transport, keys)
        parts = (transport, engine, self.outbox, self.close_state, fairness, self)
        self.reader: Reader = (
            Reader(*parts, settings)
            if callbacks is None
            else ObservedReader(*parts, settings, callbacks, background)
        )
        background.add(self)
        self.on_unread()
        if engine.has_more():  # something came with the handshake
            self.look_later()

    @property
    def name(self) -> str:
        """What users and the log call the connection."""
        return f"{'client' if self.is_client else 'server'}-{self.number}"

    def age(self) -> float:
        """Return for how many seconds the connection has existed."""
        return time.monotonic() - self._began

    @property
    def pings(self) -> Pings:
        """Our Pings that wait for their Pongs."""
        return self.reader.pings

    @property
    def _closing(self) -> Closing:
        # Made when it is used, because most connections are idle, and 88 bytes are one
        # percent of what one takes. All that is remembered is in the close state.
        return Closing(
            self.transport,
            self.engine,
            self.outbox,
            self.reader,
            self._unread,
            self.close_state,
            self._settings,
            is_client=self.is_client,
        )

    @property
    def _unread(self) -> Unread:
        return Unread(self.transport, self.engine, self.reader, self.close_state)

    async def close(self, code: int, text: str) -> None:
        """Close with a closing handshake, unless the connection ended already.

        Returns when the stream is closed, whichever task closes it.

        :param code: a close code that may be sent
        :param text: a reason that fits into a Close; ``""`` sends no reason

        """
        try:
            await self._closing.close(code, text)
        except Exception as exc:  # an extension that cannot frame our Close, a bug
            await self.fail(exc)

    async def send_in_fragments(
        self, parts: Parts, *, text: bool | None, compress: bool | None
    ) -> None:
        """Send a message of which the parts are still being made."""
        message = SentFragments(
            self.outbox,
            self.engine,
            self.close_state,
            self._give_up_message,
            text=text,
            compress=compress,
        )
        await message.send(parts)

    def _give_up_message(self) -> None:
        """Close the connection, because it must not be used after half a message."""
        if self.close_state.reason is None:
            reason = CloseReason(1011, "a message could not be finished")
            self.close_state.begin(reason, by_us=True)
            job = partial(self._close_after, reason)
            self._background.start_soon(job, self.fail)

    async def _close_after(self, reason: CloseReason) -> None:
        frame = self.engine.frame_close(reason.code, reason.reason or "")
        self.outbox.send_close(frame)
        await self._closing.run()

    async def fail(self, error: Exception) -> None:
        """Log an exception that no caller can be given, and close the stream."""
        await self.close_state.fail(error)

    async def abort(self) -> None:
        """Close the stream at once."""
        await self._closing.abort("aborted, because its nursery or task was cancelled")

    # -- for broadcasts --------------------------------------------------------

    def end_slow(self) -> None:
        """End the connection of a peer that is too slow, without waiting.

        A Close could not be written, because the peer does not take what goes before.
        """
        waiting = self.outbox.unsent_bytes()
        self.outbox.drop_queue()
        self.close_state.connection_lost(
            f"the peer is too slow: {waiting} bytes waited to be sent to it"
        )
        self._background.start_soon(self.close_state.abort, self.fail)

    # -- for the background task -----------------------------------------------

    async def read_in_background(self) -> bool:
        reader, state = self.reader, self.close_state
        if self._is_called_back:
            await reader.catch_up()
            while not (
                reader.reading or state.reason is not None or self._unread.read_now()
            ):
                await checkpoint()
                await reader.catch_up()
        else:
            await reader.read_until_relieved()
        if state.reason is not None:
            await self._closing.run()
            return False
        return not reader.reading

    # -- for the keepalive -----------------------------------------------------

    def send_keepalive(self) -> None:
        if self.close_state.reason is None:
            payload = os.urandom(8)
            self.pings.add_keepalive(payload, current_time())
            self.transport.peer_active = False
            self.outbox.send_ping(self.engine.frame_ping(payload))

    def is_alive(self) -> bool:
        return self.transport.peer_active or self.close_state.reason is not None

    def is_being_read(self) -> bool:
        reader = self.reader
        return reader.reading or (self._is_called_back and not reader.is_full())

    def has_left(self, seconds: float | None) -> bool:
        return (
            self.close_state.reason is None
            and self.reader.is_full()
            and self.transport.has_left(seconds)
        )

    async def close_left(self) -> None:
        if not self.transport.survives_cancel:
            await self._unread.drain_stream()
        self.close_state.write_failed(None)
        await self._closing.run()

    async def close_if_dead(self) -> None:
        # If something held up the event loop, bytes of the peer may be in the socket,
        # and the task that reads them wakes up in the same pass as this one.
        for _ in range(2):
            await checkpoint()
        if self._is_called_back:
            self.on_readable()
        if not self.is_alive():
            await self._closing.abort_with_close(
                1011,
                "keepalive ping timeout",
                "the peer showed no sign of life within "
                f"{self._settings.ping_timeout} seconds of a ping",
            )

    # -- for the numbers -------------------------------------------------------

    @property
    def latency(self) -> float | None:
        return self.pings.latency

    def add_to(self, totals: Totals) -> None:
        outbox = self.outbox
        totals.bytes_sent += outbox.bytes_sent
        totals.bytes_received += self.engine.bytes_received
        totals.pings_sent += outbox.pings_sent
        totals.send_wait_seconds += outbox.send_wait_seconds or 0.0

    def add_backlog_to(self, backlog: Backlog) -> None:
        self.reader.add_backlog_to(backlog)
        if not self.close_state.closed:
            backlog.unsent_bytes += self.outbox.unsent_bytes()

    # -- for the reader and the close state ------------------------------------

    def on_unread(self) -> None:
        self.on_watchlist = True
        self._is_called_back = self.transport.watch(self)
        if not self._is_called_back:
            self._background.watch(self)

    def look_later(self) -> None:
        self.transport.look_soon()

    def on_closing(self) -> None:
        self.outbox.direct = self.outbox.masked = None
        self.reader.on_closing()
        if not self.close_state.by_us:
            self.transport.call_soon(self._close_if_nobody_does)

    def before_lost(self) -> None:
        if self.transport.survives_cancel:
            self._unread.drain()

    async def before_stream_lost(self) -> None:
        await self._unread.drain_stream()

    def before_abort(self) -> None:
        self.outbox.write_last()

    def on_closed(self) -> None:
        totals = self._background.totals
        with totals.lock:
            self._background.remove(self)
            self.add_to(totals)
        # From here on no part refers to the connection, so that it is freed when its
        # last user drops it, with its buffers and the memory of zlib and TLS. The
        # garbage collector would free it too, but it counts objects, not their size.
        self.reader.detach()
        observer = self._background.observer
        if observer is not None:
            observer.closed(self)

    # -- for the transport, which calls back while no task reads ---------------

    def on_unwatched(self) -> None:
        self.on_unread()

    def on_readable(self) -> bool:
        reader = self.reader
        if self.is_read_in_background or self.close_state.reason is not None:
            return False
        if reader.reading:
            # That task was woken for another reason, and has not run yet. It will not
            # read this, and will say that it is gone.
            self.on_watchlist = False
            return False
        if self._fairness.gives_way:
            self.look_later()
            return True
        return self._read_now()

    def _close_if_nobody_does(self) -> None:
        if not (self.is_read_in_background or self.close_state.is_cared_for()):
            self._background.read(self)

    def _read_now(self) -> bool:
        """Read and decode what is there; have a task do what is left.

        :return: whether nothing is left
        """
        try:
            if self._unread.read_now():
                return True
        except Exception as exc:  # see `fail`; the event loop must not see it
            self._background.start_soon(partial(self.fail, exc), self.fail)
            return False
        self._background.read(self)
        return False


def open_core(
    transport: Transport,
    extensions: Extensions,
    background: BackgroundTask,
    settings: ConnectionSettings,
    *,
    is_client: bool,
    trailing: bytes = b"",
    callbacks: PingCallbacks | None = None,
) -> ConnectionCore:
    """Make a connection whose handshake is done.

    :param transport: where its bytes travel
    :param extensions: what was agreed on
    :param background: reads while the application does not
    :param settings: its limits
    :param is_client: which side this is
    :param trailing: bytes that came right after the peer's part of the handshake
    :param callbacks: who wants to know of Pings and Pongs; ``None`` for nobody

    """
    engine = open_engine(
        extensions,
        is_client=is_client,
        max_message_size=settings.max_message_size,
        decode_text=settings.decode_text,
        trailing=trailing,
        message_counts=background.totals.messages if settings.count_messages else None,
    )
    return ConnectionCore(
        transport,
        engine,
        background,
        settings,
        is_client=is_client,
        callbacks=callbacks,
    )
