"""Whether the connection is over, and why: the single owner of the answer.

In: whoever sees the end begin, first one wins. Out: the reason, the exception, and a
wake-up for everybody who waits.

Theory of operation
-------------------
A connection ends in two steps, and each happens once.

``begin()`` is the moment from which nothing more can be asked of it: the application
called ``aclose()``, the peer's Close was read, the peer broke the protocol, or the
stream was lost. ``reason`` is set then, and the owner wakes every waiting task;
each of them finds the reason and leaves. The race "both sides close at once" is
settled here: the one exception to "first wins" is the peer's Close that answers ours,
which replaces our own words (RFC 6455 section 7.1.5 makes the received code *the*
close code), and a lost stream never replaces anything.

``finish()`` is the moment in which the transport is closed. Only one task leads from
the one to the other (``lead()`` says who); the rest wait in ``wait()``. A leader that
is cancelled closes the transport at once, so the second step cannot be missed.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

from anyio import Event
from anyio.lowlevel import checkpoint_if_cancelled

from .._errors import CloseReason, ConnectionClosed
from .._transport import Transport


class Owner(Protocol):
    """Whose end it is."""

    def on_closing(self) -> None:
        """Wake every task that waits for something of the connection."""

    def on_closed(self) -> None:
        """Let go of the connection, whose transport is closed."""


class Closing:
    """The end of one connection.

    :param transport: what is to be closed in the end
    :param owner: is told of both steps, and forgotten then

    """

    __slots__ = (
        "_claimed",
        "_event",
        "_owner",
        "_transport",
        "by_us",
        "cause",
        "finished",
        "reason",
        "stream_lost",
        "timed_out",
    )

    def __init__(self, transport: Transport, owner: Owner) -> None:
        self._transport = transport
        self._owner: Owner | None = owner
        self._event: Event | None = None
        self._claimed = False
        #: why the connection ended; ``None`` while it is open
        self.reason: CloseReason | None = None
        #: the error of the network, where that was why
        self.cause: BaseException | None = None
        #: whether the application ended it: then what was received is dropped
        self.by_us: bool = False
        #: whether the stream is of no more use
        self.stream_lost: bool = False
        #: whether the transport is closed
        self.finished: bool = False
        #: whether the peer did not finish its part in time
        self.timed_out: bool = False

    def begin(
        self,
        reason: CloseReason,
        *,
        by_us: bool = False,
        cause: BaseException | None = None,
    ) -> None:
        """Note that the connection ends; only the first call counts."""
        if self.reason is None:
            self.reason = reason
            self.by_us = by_us
            self.cause = cause
            if cause is not None:
                cause.__traceback__ = None  # its frames hold what holds the cause
            assert self._owner is not None  # nothing ends before it begins to
            self._owner.on_closing()

    def received(self, reason: CloseReason) -> None:
        """Note the peer's Close, be it the first word or the answer to ours."""
        if self.by_us:
            self.reason = reason
        else:
            self.begin(reason)

    def connection_lost(
        self, text: str | None = None, cause: BaseException | None = None
    ) -> None:
        """Note that the stream is gone, or of no more use."""
        self.stream_lost = True
        self.begin(CloseReason(1006, text), cause=cause)

    async def raise_closed(self) -> NoReturn:
        """Raise for whoever asks something of the ended connection.

        :raises ConnectionClosed: unless the caller is cancelled: a cancelled nursery
            ends both the connection and the tasks that use it, and they shall see
            their cancellation whichever of them runs first

        """
        await checkpoint_if_cancelled()
        raise ConnectionClosed(self.reason) from self.cause

    def claim(self) -> bool:
        """Say whether the caller is the one who brings the end about."""
        if self._claimed:
            return False
        self._claimed = True
        return True

    async def abort(self) -> None:
        """Close the transport without waiting for the peer."""
        if not self.finished:
            await self._transport.abort()
            self.finish()

    def finish(self) -> None:
        """Note that the transport is closed."""
        if not self.finished:
            self.finished = True
            owner, self._owner = self._owner, None  # see ConnectionCore.on_closed
            assert owner is not None
            owner.on_closed()
            if self._event is not None:
                self._event.set()

    async def wait(self) -> None:
        """Wait until the transport is closed."""
        if not self.finished:
            if self._event is None:
                self._event = Event()
            await self._event.wait()
