"""What is to be written: one frame after the other, whole, in order.

In: messages and pings of the application; pongs and Closes that answer the peer. Out:
bytes to the transport.

Theory of operation
-------------------
Whoever sends writes, in turn: a fair lock makes the order that of the calls. A frame
is made only by the task that holds the lock, so a sender that gives up while it waits
leaves no trace, neither on the wire nor in a compressor.

Answers to the peer come from whoever reads, and reading must never wait for writing:
two peers that both wait for the other to read would wait for ever. So an answer is
only noted (``pong``, ``answer_close``), and a job of the attendant's writes it, unless
a task that holds the lock comes first: a pong goes out before the next message, a
Close after the frame that is being written. Of several pongs that wait the last one is
enough (RFC 6455 section 5.5.3), so a peer that floods pings and reads nothing makes us
keep one pong.

A write that is cancelled in the middle leaves a part of a frame on the stream, after
which no frame can follow: the connection is aborted (1006), on every backend, whatever
the stream made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CancelScope, Lock
from anyio.lowlevel import checkpoint_if_cancelled

from ._attendant import Attendant
from ._closing import Closing
from ._transport import Transport, TransportLost

_T = TypeVar("_T")


class Outbox:
    """The sending side of one connection.

    :param transport: where the bytes go
    :param closing: says whether anything may still be sent
    :param attendant: writes answers while nobody else writes

    """

    __slots__ = (
        "_answering",
        "_attendant",
        "_close",
        "_closing",
        "_lock",
        "_pong",
        "_transport",
    )

    def __init__(
        self, transport: Transport, closing: Closing, attendant: Attendant
    ) -> None:
        self._transport = transport
        self._closing = closing
        self._attendant = attendant
        self._lock = Lock(fast_acquire=True)
        self._pong = b""  # at most one waits
        self._close = b""  # at most one is ever sent
        self._answering = False

    async def send(self, frame: Callable[[_T], bytes], payload: _T) -> None:
        """Frame a payload when its turn comes, and write it.

        :param frame: makes the frame; called while nobody else writes
        :param payload: what goes into it
        :raises ConnectionClosed: if the connection is closing, or is lost meanwhile

        """
        async with self._lock:
            try:
                # Last chance to leave without a trace.
                await checkpoint_if_cancelled()
                if self._closing.reason is not None:
                    await self._closing.refuse()
                await self._write(frame(payload))
            finally:
                if self._pong or self._close:
                    self._answer_soon()

    @property
    def has_pong(self) -> bool:
        """Whether a pong waits to be written."""
        return bool(self._pong)

    def pong(self, frame: bytes) -> None:
        """Write a pong as soon as may be, instead of one that still waits."""
        self._pong = frame
        self._answer_soon()

    def answer_close(self, frame: bytes) -> None:
        """Write a Close as soon as may be, and nothing after it."""
        self._close = frame
        self._answer_soon()

    def note_close(self, frame: bytes) -> None:
        """Write a Close with the next `flush`."""
        self._close = frame

    async def flush(self) -> None:
        """Wait until everything that was asked for is written.

        :raises TransportLost: if the stream is lost

        """
        async with self._lock:
            if not self._closing.finished:
                await self._write_answers()

    def _answer_soon(self) -> None:
        if not self._answering and not self._closing.finished:
            self._answering = True
            self._attendant.start_soon(self._answer)

    async def _answer(self) -> None:
        # Shielded, for a frame cut short is worse than a late end: the transport is
        # closed within the close timeout, which ends the write.
        with CancelScope(shield=True):
            try:
                await self.flush()
            except TransportLost as exc:
                self._closing.lost(cause=exc.__cause__)
            finally:
                self._answering = False

    async def _write(self, frame: bytes) -> None:
        if self._pong:  # asked for before the message was
            frame = self._pong + frame
            self._pong = b""
        try:
            await self._send_whole(frame)
            await self._write_answers()
        except TransportLost as exc:
            self._closing.lost(cause=exc.__cause__)
            await self._closing.refuse()

    async def _write_answers(self) -> None:
        while data := self._pong + self._close:
            self._pong = self._close = b""
            await self._send_whole(data)

    async def _send_whole(self, data: bytes) -> None:
        try:
            await self._transport.send(data)
        except TransportLost:
            raise
        except BaseException:  # cancelled, with who knows how much of it written
            self._closing.lost("sending was cancelled in the middle of a frame")
            await self._closing.abort()
            raise
