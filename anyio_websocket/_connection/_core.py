"""One open connection from the inside: five rooms, and the way that it ends.

In: an engine whose handshake is done, and its transport. Out: what a
``WebSocketConnection`` shows to users.

Theory of operation
-------------------
A link is the table at which five rooms sit, each with its own state and its own essay:
``_reader`` (receiving, by whoever waits), ``_outbox`` (sending, in turn), ``_pings``,
``_messages`` and ``_closing`` (is it over, and why). What happens here is the closing
handshake: ``finish`` is the one way on which every connection ends, whoever began it.
It is walked by ``aclose()``, or by the attendant if the application does not come back
after the peer's Close.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import ClassVar

from anyio import current_time, move_on_after
from anyio.lowlevel import checkpoint

from .._errors import CloseReason
from .._options import ConnectionSettings
from .._protocol import Engine, Extensions, open_engine
from .._transport import Transport, TransportLost
from ._background import BackgroundTask
from ._closing import Closing
from ._inbox import Inbox
from ._outbox import Outbox
from ._pings import Pings
from ._reader import Reader


class ConnectionCore:
    """One open connection.

    :param transport: where its bytes travel
    :param engine: its protocol, with the handshake done
    :param attendant: looks after it while the application does not
    :param options: its limits
    :param is_client: which side this is

    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_options",
        "closing",
        "engine",
        "is_client",
        "number",
        "on_watchlist",
        "outbox",
        "pings",
        "reader",
        "transport",
    )

    numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        background: BackgroundTask,
        options: ConnectionSettings,
        *,
        is_client: bool,
    ) -> None:
        self.transport: Transport = transport
        self.engine: Engine = engine
        self.is_client: bool = is_client
        self.number: int = next(self.numbers)
        #: whether the attendant keeps an eye on it; set by the attendant
        self.on_watchlist: bool = False
        self._background = background
        self._options = options
        self.closing: Closing = Closing(transport, self)
        self.outbox: Outbox = Outbox(transport, self.closing, background)
        self.pings: Pings = Pings()
        self.reader: Reader = Reader(
            transport,
            engine,
            Inbox(options.message_queue_size, options.max_message_size),
            self.pings,
            self.outbox,
            self.closing,
            background,
            self,
            options.receive_buffer_size,
        )
        background.join(self)

    async def close(self, code: int, text: str) -> None:
        """Begin the end, unless it has begun, and bring it about.

        :param code: a close code that may be sent
        :param text: a reason that fits into a Close, ``""`` for none

        """
        if self.closing.reason is None:
            self.outbox.queue_close(self.engine.frame_close(code, text))
            self.closing.begin(CloseReason(code, text or None), by_us=True)
        await self.finish()

    async def finish(self) -> None:
        """Bring the end about, or wait until somebody else has."""
        closing = self.closing
        try:
            if not closing.claim():
                await closing.wait()
                return
            if closing.stream_lost:
                return
            budget = move_on_after(self._options.disconnect_seconds)
            deadline = budget.deadline
            with budget:
                try:
                    await self.outbox.flush()
                    await self.reader.finish(budget, is_client=self.is_client)
                    await self.transport.aclose()
                    closing.finish()
                except TransportLost as exc:
                    closing.connection_lost(cause=exc.__cause__)
            in_time = budget.deadline != deadline  # it only waited for the stream's end
            closing.timed_out = budget.cancelled_caught and not in_time
        finally:
            await closing.abort()

    # -- for the attendant -----------------------------------------------------

    def reads_begun(self) -> int:
        """Say how many times somebody began to read."""
        return self.reader.reads_begun

    async def read_in_background(self) -> bool:
        """Do the application's part while it is elsewhere."""
        others_read = await self.reader.read_until_relieved()
        if self.closing.reason is not None:
            await self.finish()
            return False
        return not others_read

    def send_keepalive(self) -> None:
        """Send a ping of the keepalive's."""
        if self.closing.reason is None:
            payload = os.urandom(8)
            self.pings.renew(payload, current_time())
            self.transport.peer_active = False
            self.outbox.ping(self.engine.frame_ping(payload))

    def is_alive(self) -> bool:
        """Say whether the peer was heard since it was asked, or has said good-bye."""
        return self.transport.peer_active or self.closing.reason is not None

    def is_being_read(self) -> bool:
        """Say whether somebody reads now."""
        return self.reader.reading

    async def close_if_dead(self) -> None:
        """End if there is still no sign of the peer's life."""
        # If something held up the event loop, the sign may be in the socket, and who
        # reads it wakes up in the same pass as we.
        for _ in range(2):
            await checkpoint()
        if not self.is_alive():
            self.outbox.send_close(
                self.engine.frame_close(1011, "keepalive ping timeout")
            )
            self.closing.connection_lost(
                "the peer showed no sign of life within "
                f"{self._options.ping_timeout} seconds of a ping"
            )
            await self.closing.abort()

    async def abort(self) -> None:
        """End at once."""
        self.closing.connection_lost(
            "abandoned, as its nursery or its task was cancelled"
        )
        await self.closing.abort()

    # -- for closing -----------------------------------------------------------

    def on_closing(self) -> None:
        """Wake every task that waits for something of the connection."""
        self.reader.on_closing()

    def on_closed(self) -> None:
        """Let go of the connection, whose transport is closed."""
        self._background.leave(self)
        # Nobody down here shall know the link any longer: so it is freed with the
        # last who holds it, and its buffers, zlib's and TLS's with it. The garbage
        # collector would find it too, but counts objects, and not their size.
        self.reader.detach()


def open_core(
    transport: Transport,
    extensions: Extensions,
    background: BackgroundTask,
    options: ConnectionSettings,
    *,
    is_client: bool,
    trailing: bytes = b"",
) -> ConnectionCore:
    """Compose a connection whose handshake is done.

    :param transport: where its bytes travel
    :param extensions: what was agreed on
    :param attendant: looks after it while the application does not
    :param options: its limits
    :param is_client: which side this is
    :param trailing: what came right behind the peer's part of the handshake

    """
    engine = open_engine(
        extensions,
        is_client=is_client,
        max_message_size=options.max_message_size,
        trailing=trailing,
    )
    return ConnectionCore(transport, engine, background, options, is_client=is_client)
