"""A message that is sent while it is being made: its parts come from an iterable.

Parts come in, and fragments of `FRAGMENT_SIZE` or more go out (RFC 6455 section 5.4).

Theory of operation
-------------------
Small parts are joined, because peers count fragments: some refuse a message of more
than 4096 of them. So no more is kept than one part and `FRAGMENT_SIZE`. A message that
is shorter than that in all is sent whole.

A message that was begun cannot be taken back, and nothing else can be sent before its
end. So if the iterable raises, or the task is cancelled, the connection is closed with
code 1011, and the peer drops what it has of the message. If nothing was sent yet, the
connection goes on.
"""

from __future__ import annotations

import codecs
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Set,
)
from typing import Final, TypeGuard, cast

from anyio.lowlevel import checkpoint

from .._errors import ConnectionClosed
from .._protocol import Engine, Frame
from ._close_state import CloseState
from ._outbox import Outbox
from ._payloads import Buffer, payload_of

FRAGMENT_SIZE: Final = 16_384  # bytes or characters
# Parts after which other tasks run, if no fragment was sent meanwhile: they may be
# empty, and without an end. At 1 us each, other tasks wait for a millisecond.
PARTS_PER_TURN: Final = 1000

Parts = Iterable[str | Buffer] | AsyncIterable[str | Buffer]


def is_in_parts(message: object) -> TypeGuard[Parts]:
    """Say whether a user passed the parts of a message instead of a message.

    The parts have an order, which those of a set have not.

    """
    return isinstance(message, Iterable | AsyncIterable) and not isinstance(
        message, str | bytes | bytearray | memoryview | Mapping | Set
    )


class SentFragments:
    """One message that is sent in fragments.

    :param outbox: sends them
    :param engine: frames them
    :param state: says whether anything may be sent
    :param give_up: closes the connection if the message cannot be finished
    :param text: whether it is a text message; ``None`` goes by the first part
    :param compress: whether to compress it; ``None`` goes by the first fragment

    """

    def __init__(
        self,
        outbox: Outbox,
        engine: Engine,
        state: CloseState,
        give_up: Callable[[], None],
        *,
        text: bool | None,
        compress: bool | None,
    ) -> None:
        self._outbox = outbox
        self._engine = engine
        self._state = state
        self._give_up = give_up
        self._text = text
        self._compress = compress
        self._kind: type[str] | type[bytes] | None = None if text is None else bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")() if text else None
        self._parts: list[str | bytes] = []  # for the next fragment
        self._size = 0  # of these
        self._turn = 0  # parts since other tasks ran
        self._frame: Callable[[str | bytes, bool], Frame] | None = None
        self._is_half = False  # whether fragments may have left, but not the last

    async def send(self, parts: Parts) -> None:
        """Send the message, when it is its turn; see `WebSocketConnection`."""
        await self._outbox.in_turn(self._send_parts, parts)

    async def _send_parts(self, parts: Parts) -> None:
        if self._state.reason is not None:
            await self._state.raise_closed(nothing_sent=True)
        try:
            if isinstance(parts, AsyncIterable):
                async for part in parts:
                    if (job := self._add(part)) is not None:
                        await job
            else:
                for part in parts:
                    if (job := self._add(part)) is not None:
                        await job
            await self._finish()
        finally:
            if self._is_half:
                self._give_up()
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()  # nobody else has it, as a rule

    def _add(self, part: str | Buffer) -> Awaitable[None] | None:
        """Add a part; return what to wait for before the next one, if anything."""
        payload = payload_of(part, None if self._text is None else False)
        if self._decoder is not None:
            assert isinstance(payload, bytes)
            payload = self._decoder.decode(payload)
        elif self._kind is None:
            self._kind = type(payload)
        elif type(payload) is not self._kind:
            raise ValueError(
                "the parts of a message must be all texts or all bytes; text=True "
                "sends all of them as text, text=False as bytes"
            )
        if payload:  # there may be any number of parts with nothing in them
            self._parts.append(payload)
            self._size += len(payload)
        self._turn += 1
        if self._size >= FRAGMENT_SIZE:
            self._turn = 0
            return self._send_fragment()
        if self._turn >= PARTS_PER_TURN:
            self._turn = 0
            return checkpoint()
        return None

    async def _finish(self) -> None:
        if self._decoder is not None:
            self._decoder.decode(b"", True)  # raises in the middle of a character
        if self._frame is not None:
            await self._send_fragment(is_last=True)
            return
        engine, compress = self._engine, self._compress
        frame = engine.frame if compress is None else engine.framer(compress)
        await self._outbox.send(frame, self._joined())

    async def _send_fragment(self, *, is_last: bool = False) -> None:
        def frame(piece: str | bytes) -> Frame:
            if self._frame is None:
                self._frame = self._engine.fragmenter(self._compress)
            self._is_half = not is_last  # even if sending it is cancelled
            if self._is_half:
                self._outbox.mid_message = True
            return self._frame(piece, is_last)

        was_begun = self._is_half
        try:
            await self._outbox.send(frame, self._joined())
        except ConnectionClosed as exc:
            exc.nothing_sent = exc.nothing_sent and not was_begun
            raise
        finally:
            if not self._is_half:  # it was begun, so its last fragment was made
                self._outbox.end_message()

    def _joined(self) -> str | bytes:
        parts, self._parts, self._size = self._parts, [], 0
        if len(parts) == 1:
            return parts[0]
        if self._decoder is not None or self._kind is str:
            return "".join(cast("list[str]", parts))
        return b"".join(cast("list[bytes]", parts))
