"""Whether a connection is over, and why: the facts, each stored only here.

Every part of a connection reports to this module what it saw of the end, and asks it
whether there still is a connection. What is done about the end is in ``_closing``,
which uses the parts; the parts use this module. That is why these are two modules.

Theory of operation
-------------------
A connection ends in two steps, and each of them happens once.

1. ``begin()``: from now on nothing more can be asked of the connection. The application
   called ``aclose()``, the peer's Close was read, the peer broke the protocol, or the
   stream was lost. ``reason`` is set, and every waiting task wakes up, finds the reason
   and raises `ConnectionClosed`.
2. ``transport_closed()``: the transport is closed. ``closed`` is set, and the tasks in
   ``wait_closed()`` return.

===============  =======================================  ===========================
fact             is set                                   by
===============  =======================================  ===========================
``reason``       with the first step                      the part that sees it first
``by_us``        with it, if ``aclose()`` came first      ``Closing.close``
``sent``         with our Close                           the part that makes it
``received``     with the peer's Close                    ``close_received``
``stream_lost``  if the stream failed or cannot be used   any part, at any time
``failed_here``  with the first step, if a bug caused it  this module
``_claimed``     when a task starts on the second step    ``Closing.run``
``ended_loop``   when an ``async for`` ends quietly       ``__anext__``
``timed_out``    if the closing handshake took too long   ``Closing.run``
``closed``       with the second step                     ``Closing.run``, `abort`
===============  =======================================  ===========================

The first reason wins, with one exception, which settles the race in which both sides
close at once: the peer's Close replaces the code and text that we sent before, because
RFC 6455 section 7.1.5 makes the received code *the* close code. A lost stream never
replaces anything.

Only one task leads the connection from the first step to the second (``claim()`` says
which); the others wait for it. If that task is cancelled, it closes the transport at
once, so the second step is never missed.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final, NoReturn

from anyio import Event
from anyio.lowlevel import checkpoint_if_cancelled

from .._errors import CloseReason, ConnectionClosed, cause_in_words
from .._protocol import name_of
from .._transport import Transport
from ._watched import Watched

_logger = logging.getLogger("anyio_websocket")

_LOST: Final = CloseReason(1006, None)


class CloseState:
    """The facts about the end of one connection.

    :param transport: is closed by the second step
    :param connection: is told of both steps, and forgotten with the second

    """

    __slots__ = (
        "_claimed",
        "_connection",
        "_event",
        "_replaced",
        "_transport",
        "by_us",
        "cause",
        "closed",
        "ended_loop",
        "failed_here",
        "reason",
        "received",
        "sent",
        "stream_lost",
        "timed_out",
    )

    def __init__(self, transport: Transport, connection: Watched) -> None:
        self._transport = transport
        self._connection: Watched | None = connection
        self._event: Event | None = None
        self._claimed = False
        self._replaced: CloseReason | None = None  # the reason before the peer's
        #: why the connection ended; ``None`` while it is open
        self.reason: CloseReason | None = None
        #: our Close, even if it could not be written
        self.sent: CloseReason | None = None
        #: the peer's Close
        self.received: CloseReason | None = None
        #: the network's error or a callback's, if that is why the connection ended
        self.cause: BaseException | None = None
        #: whether the application closed first: received messages are dropped then
        self.by_us: bool = False
        #: whether the stream can no longer be used
        self.stream_lost: bool = False
        #: whether it ended because this side failed, and would fail again
        self.failed_here: bool = False
        #: whether the transport is closed
        self.closed: bool = False
        #: what ended an ``async for`` over the messages, which does not show it
        self.ended_loop: ConnectionClosed | None = None
        #: whether the closing handshake was not done within ``disconnect_timeout``
        self.timed_out: bool = False

    # -- the first step --------------------------------------------------------

    def begin(
        self,
        reason: CloseReason,
        *,
        by_us: bool = False,
        cause: BaseException | None = None,
    ) -> None:
        """Record that the connection ends; only the first call counts."""
        if self.reason is None:
            self.reason = reason
            self.by_us = by_us
            if by_us:
                self.sent = reason
            self.cause = cause
            if cause is not None:
                # The traceback's frames refer to the objects that refer to the cause.
                cause.__traceback__ = None
            assert self._connection is not None  # the second step follows the first
            self._connection.on_closing()

    def close_received(self, reason: CloseReason) -> None:
        """Record the peer's Close, whether it came first or is the reply to ours.

        It may also be found in bytes that were received before the stream was lost, but
        could be decoded only later, because the inbox was full.
        """
        self.received = reason
        if self.by_us or (self.stream_lost and self.reason == _LOST):
            self._replaced = self.reason
            self.reason = reason
            self.cause = None
        else:
            self.begin(reason)

    def write_failed(self, cause: BaseException | None) -> None:
        """Record that nothing can be sent any more.

        What the peer sent before may still be unread, and a Close may be in it. So
        first what can be read without waiting is read and decoded.
        """
        self.stream_lost = True
        try:
            if self.reason is None:
                assert self._connection is not None
                self._connection.before_lost()
        finally:
            self.connection_lost(cause=cause)

    def sending_failed(self, error: Exception) -> None:
        """Record that a message could not be framed or written, and must end this.

        Memory was short, or an extension raised. A part of the message may be on its
        way, or in a compressor, so the next one could be taken for something else.
        """
        self._fail_here(f"sending failed: {_name(error)}")

    def receiving_failed(self, error: BaseException) -> None:
        """Record that received bytes could not be decoded. The causes are the same."""
        self._fail_here(f"receiving failed: {_name(error)}")

    def callback_failed(self, name: str, error: Exception) -> None:
        """Record that a function of the application raised, which must end this."""
        self._fail_here(f"{name} raised {_name(error)}", error)

    def _fail_here(self, text: str, cause: BaseException | None = None) -> None:
        if self.reason is None:
            self.failed_here = True
        self.connection_lost(text, cause)

    async def read_unread_of_stream(self) -> None:
        """Read what a stream still has, after writing failed; see `Unread`."""
        self.stream_lost = True
        if self._connection is not None:
            await self._connection.before_stream_lost()

    def connection_lost(
        self, text: str | None = None, cause: BaseException | None = None
    ) -> None:
        """Record that the stream is lost, or can no longer be used."""
        self.stream_lost = True
        self.begin(CloseReason(1006, text), cause=cause)

    async def raise_closed(self, *, nothing_sent: bool = False) -> NoReturn:
        """Raise what a call on an ended connection raises.

        :param nothing_sent: whether no byte of the caller's message has left
        :raises ConnectionClosed: unless the caller is cancelled. A cancelled nursery
            ends both the connection and the tasks that use it, and these tasks must
            see their cancellation, whichever of them runs first

        """
        await checkpoint_if_cancelled()
        error = ConnectionClosed(self.reason).with_facts(
            self.sent,
            self.received,
            peer_first=not self.by_us,
            detail=self._detail(),
            failed_here=self.failed_here,
        )
        error.nothing_sent = nothing_sent
        try:
            raise error from self.cause
        finally:
            del error  # a cycle: its traceback refers to this frame

    def _detail(self) -> str:
        """Say in an error what the Closes do not tell."""
        if self.reason == _LOST:
            return cause_in_words(self.cause)
        if self.by_us and self.received is None:
            if self.timed_out:
                return "the peer did not reply within disconnect_timeout"
            if self.stream_lost:
                return "the stream was lost before the peer replied"
        return ""

    def is_own(self, exc: ConnectionClosed) -> bool:
        """Say whether an exception reports the end of this connection.

        It does if its reason *is* one of this connection. Another connection may have
        ended for an equal reason.
        """
        if exc.reason is None:
            return False
        return exc.reason is self.reason or exc.reason is self._replaced

    # -- the second step -------------------------------------------------------

    def claim(self) -> bool:
        """Return whether the caller is the one that has to close the transport."""
        if self._claimed:
            return False
        self._claimed = True
        return True

    def is_cared_for(self) -> bool:
        """Return whether a task closes the transport already, or has."""
        return self._claimed or self.closed

    def transport_closed(self) -> None:
        """Record that the transport is closed."""
        if not self.closed:
            self.closed = True
            # See ConnectionCore.on_closed.
            connection, self._connection = self._connection, None
            assert connection is not None
            if self._event is not None:
                self._event.set()
            connection.on_closed()

    async def abort(self) -> None:
        """Close the transport, without waiting for the peer."""
        if not self.closed:
            assert self._connection is not None
            try:
                self._connection.before_abort()
            finally:
                try:
                    await self._transport.abort()
                finally:
                    self.transport_closed()

    async def fail(self, error: Exception) -> None:
        """Log an exception that no caller can be given, and abort this connection.

        It is a bug, a lack of memory, or an extension that raises. Others must not
        suffer from it, so nothing that happens here is raised either.
        """
        _logger.error(
            "%s: the connection is aborted, because it failed in the background",
            name_of(self._transport.remote),
            exc_info=error,
        )
        with suppress(Exception):
            self._fail_here(f"it failed in the background: {_name(error)}")
        with suppress(Exception):
            await self.abort()

    async def wait_closed(self) -> None:
        """Wait until the transport is closed."""
        if not self.closed:
            if self._event is None:
                self._event = Event()
            await self._event.wait()


def _name(error: BaseException) -> str:
    return type(error).__name__
