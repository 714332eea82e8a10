"""permessage-deflate (RFC 7692): what both sides agree on, and the compressing.

In: settings; offers and answers as texts; payloads. Out: what was agreed; payloads.

Theory of operation
-------------------
What a user sets and what two sides agreed on are the same kind of thing, so both are a
``PerMessageDeflate``. Of its own window each side is the master: a setting binds it
whatever the peer says. The peer's window is memory of ours, so a limit of it binds the
peer. One that cannot limit its window (a client that does not say
``client_max_window_bits``, a server that knows no ``server_max_window_bits``) is made
to forget it between messages instead, and then costs its 32 KiB only while a message
is on its way; a connection that is idle, as most are, keeps to the memory that was
asked for.

Inflating is bounded: the caller says how many bytes it has room for, and gets at most
one more, in steps that fit into the memory that it has anyway. zlib is fed in steps
too, for it hands back a copy of what it has not used.

A message counts only if its data end where a flushed block ends; zlib does not tell,
and would pass a message that was cut short as complete. So an empty final block is
given to a copy of the stream: only at the end of a block does it end the stream. (The
copy costs 0.2 us with a window of 12 bits. RFC 7692 section 7.2.2 has the receiver add
only four bytes, which decode to something in many other places, too.)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ._codec import POLICY, ProtocolViolation

if TYPE_CHECKING:
    # zlib has no names for these at run time.
    from zlib import _Compress as Compressor  # pyright: ignore[reportPrivateUsage]
    from zlib import _Decompress as Decompressor  # pyright: ignore[reportPrivateUsage]

NAME: Final = "permessage-deflate"

_INVALID_DATA: Final = 1007

WINDOW_BITS: Final = 12  # 4 KiB; what websockets ships, after measurements of its own
MEM_LEVEL: Final = 5  # 16 KiB for the compressor's tables; likewise
LEVEL: Final = 6  # what zlib means by its default
# bytes; without a kept window a shorter message hardly shrinks (npm's ws has it so)
THRESHOLD: Final = 1024

_MAX_BITS: Final = 15  # RFC 7692 section 7.1.2: 32 KiB, deflate's own limit
# zlib cannot compress with a window of 8 bits, so we neither offer nor promise it. It
# inflates it with any window.
_MIN_BITS: Final = 9
_BITS: Final = {str(bits): bits for bits in range(8, 16)}  # no sign, no leading zero

_STEP: Final = 32768  # bytes that come out of zlib at once; its own first buffer
_INPUT: Final = 65536  # bytes that go into it at once
_FLUSH: Final = b"\x00\x00\xff\xff"  # what each flushed block ends in, and is not sent
_END: Final = b"\x01\x00\x00\xff\xff"  # a final block without content

# final blocks in one message; each needs a new stream, and a byte or two can be one
_MAX_FINAL_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class PerMessageDeflate:
    """How messages are compressed.

    As a setting it says what to ask for and what to allow. As what was negotiated it
    says what holds.

    :param server_no_context_takeover: the server forgets each message before the
        next; costs CPU and most of the gain with short messages, frees its memory
    :param client_no_context_takeover: the same for the client
    :param server_max_window_bits: the server's window is at most two to this power of
        bytes, 9 to 15. A server that cannot limit it has to forget it, as above
    :param client_max_window_bits: the same for the client. Each side needs four times
        its own window, and the peer's window once
    :param level: 1 (fast) to 9 (small)
    :param mem_level: 1 to 9; the compressor's tables take ``2 ** (mem_level + 9)``
        bytes
    :param threshold: messages of fewer bytes are sent as they are; ``None`` for 1024
        where our own side forgets, and 0 where it does not
    :raises ValueError: if a number is out of its range
    :raises TypeError: if a flag is no bool, or a number no int

    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = WINDOW_BITS
    client_max_window_bits: int = WINDOW_BITS
    level: int = LEVEL
    mem_level: int = MEM_LEVEL
    threshold: int | None = None

    def __post_init__(self) -> None:
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be a bool, not {getattr(self, name)!r}")
        _check("server_max_window_bits", self.server_max_window_bits, 9, 15)
        _check("client_max_window_bits", self.client_max_window_bits, 9, 15)
        _check("level", self.level, 1, 9)
        _check("mem_level", self.mem_level, 1, 9)
        if self.threshold is not None:
            _check("threshold", self.threshold, 0, None)


def _check(name: str, value: object, least: int, most: int | None) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < least or (most is not None and value > most):
        span = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"{name} must be {span}, not {value!r}")


# -- negotiation ------------------------------------------------------------------


class BadDeflate(ValueError):
    """An offer or an answer that cannot be taken; the text says why, in our words."""


def offer(settings: PerMessageDeflate) -> str:
    """Write a client's offers, best first, for Sec-WebSocket-Extensions."""
    words = [NAME]
    if settings.server_no_context_takeover:
        words.append("server_no_context_takeover")
    if settings.client_no_context_takeover:
        words.append("client_no_context_takeover")
    words.append("client_max_window_bits")
    if settings.client_max_window_bits < _MAX_BITS:
        words[-1] += f"={settings.client_max_window_bits}"
    if settings.server_max_window_bits == _MAX_BITS:
        return "; ".join(words)
    limited = [*words, f"server_max_window_bits={settings.server_max_window_bits}"]
    # RFC 7692 section 7.1.2.1 has a server that cannot limit its window decline the
    # first offer; the second is for it.
    if not settings.server_no_context_takeover:
        words.insert(1, "server_no_context_takeover")
    return f"{'; '.join(limited)}, {'; '.join(words)}"


def answer(
    settings: PerMessageDeflate, offers: Sequence[str]
) -> tuple[str, PerMessageDeflate] | None:
    """Take the first of a client's offers that can be taken.

    :param settings: what the server allows
    :param offers: the elements of Sec-WebSocket-Extensions
    :return: the server's answer, and what holds then; ``None`` for no compression

    """
    for text in offers:
        try:
            wanted = _parse(text)
            agreed = _accept(settings, wanted)
        except BadDeflate:
            continue
        words = [NAME]
        if agreed.server_no_context_takeover:
            words.append("server_no_context_takeover")
        if agreed.client_no_context_takeover:
            words.append("client_no_context_takeover")
        # Sections 7.1.2.1 and 7.1.2.2: the server's has to be there if it was offered,
        # the client's may not be there if it was not.
        if agreed.server_max_window_bits < _MAX_BITS or wanted.server_bits != _ABSENT:
            words.append(f"server_max_window_bits={agreed.server_max_window_bits}")
        if agreed.client_max_window_bits < _MAX_BITS:
            words.append(f"client_max_window_bits={agreed.client_max_window_bits}")
        return "; ".join(words), agreed
    return None


def agree(
    settings: PerMessageDeflate, answers: Sequence[str]
) -> PerMessageDeflate | None:
    """Check what a server answered to ``offer(settings)``.

    :param settings: what was offered
    :param answers: the elements of Sec-WebSocket-Extensions
    :return: what holds; ``None`` for no compression
    :raises BadDeflate: if that is no answer to the offer

    """
    if not answers:
        return None
    if len(answers) > 1:
        raise BadDeflate("more than one extension, while one was offered")
    said = _parse(answers[0])
    if said.client_bits == _NO_VALUE:
        raise BadDeflate("client_max_window_bits has no value")
    if 0 < said.client_bits < _MIN_BITS:
        raise BadDeflate("client_max_window_bits is 8, with which zlib can't compress")
    if settings.server_no_context_takeover and not said.server_forgets:
        raise BadDeflate("server_no_context_takeover is missing")
    server_bits = max(_limit(said.server_bits), _MIN_BITS)
    if server_bits > settings.server_max_window_bits and not said.server_forgets:
        raise BadDeflate("server_max_window_bits is missing, or more than was offered")
    return replace(
        settings,
        server_no_context_takeover=said.server_forgets,
        client_no_context_takeover=settings.client_no_context_takeover
        or said.client_forgets,
        server_max_window_bits=server_bits,
        # RFC 7692 section 7.1.2.2: more than what was hinted at may be allowed.
        client_max_window_bits=min(
            settings.client_max_window_bits, _limit(said.client_bits)
        ),
    )


def _accept(settings: PerMessageDeflate, wanted: _Parameters) -> PerMessageDeflate:
    if 0 < wanted.server_bits < _MIN_BITS or 0 < wanted.client_bits < _MIN_BITS:
        raise BadDeflate("a window of 8 bits, with which zlib can't compress")
    unlimited = wanted.client_bits == _ABSENT
    return replace(
        settings,
        server_no_context_takeover=settings.server_no_context_takeover
        or wanted.server_forgets,
        # RFC 7692 section 7.1.1.2: a server may demand it of any client.
        client_no_context_takeover=settings.client_no_context_takeover
        or wanted.client_forgets
        or (unlimited and settings.client_max_window_bits < _MAX_BITS),
        server_max_window_bits=min(
            settings.server_max_window_bits, _limit(wanted.server_bits)
        ),
        client_max_window_bits=_MAX_BITS
        if unlimited
        else min(settings.client_max_window_bits, _limit(wanted.client_bits)),
    )


class _Parameters(NamedTuple):
    server_forgets: bool
    client_forgets: bool
    server_bits: int  # or _ABSENT
    client_bits: int  # or _ABSENT, or _NO_VALUE


_ABSENT: Final = -1
_NO_VALUE: Final = 0


def _limit(bits: int) -> int:
    return _MAX_BITS if bits in (_ABSENT, _NO_VALUE) else bits


def _parse(text: str) -> _Parameters:
    """Read one element of Sec-WebSocket-Extensions."""
    name, *parts = text.split(";")
    if name.strip(" \t") != NAME:
        raise BadDeflate("an extension that was not offered")
    flags: set[str] = set()
    bits: dict[str, int] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip(" \t")
        if key in flags or key in bits:
            raise BadDeflate("a parameter is repeated")
        if key in ("server_no_context_takeover", "client_no_context_takeover"):
            if equals:
                raise BadDeflate(f"{key} has a value")
            flags.add(key)
        elif key in ("server_max_window_bits", "client_max_window_bits"):
            # Quoted ones would be legal, but nobody quotes two digits.
            number = _BITS.get(value.strip(" \t"))
            if not equals and key == "client_max_window_bits":
                number = _NO_VALUE
            if number is None:
                raise BadDeflate(f"{key} is not a number from 8 to 15")
            bits[key] = number
        else:
            raise BadDeflate("a parameter is unknown")
    return _Parameters(
        "server_no_context_takeover" in flags,
        "client_no_context_takeover" in flags,
        bits.get("server_max_window_bits", _ABSENT),
        bits.get("client_max_window_bits", _ABSENT),
    )


# -- compressing ------------------------------------------------------------------


class Deflater:
    """Compresses one side's messages.

    It has memory from the first message on, and none between two where the window is
    not kept.

    :param agreed: what was negotiated
    :param is_client: which side this is

    """

    __slots__ = ("_bits", "_forgets", "_level", "_mem_level", "_stream", "threshold")

    def __init__(self, agreed: PerMessageDeflate, *, is_client: bool) -> None:
        if is_client:
            self._forgets = agreed.client_no_context_takeover
            self._bits = agreed.client_max_window_bits
        else:
            self._forgets = agreed.server_no_context_takeover
            self._bits = agreed.server_max_window_bits
        self._level = agreed.level
        self._mem_level = agreed.mem_level
        self._stream: Compressor | None = None
        #: bytes; shorter messages are not worth it
        self.threshold: int = (
            (THRESHOLD if self._forgets else 0)
            if agreed.threshold is None
            else agreed.threshold
        )

    def compress(self, payload: bytes) -> bytes | None:
        """Return the compressed payload of a message, ``None`` to send it as it is.

        What is returned must be sent, or the peer misses a piece of the window.

        :param payload: the message

        """
        if not payload:  # zlib gives nothing for it, and nothing is as short
            return None
        stream = self._stream
        if stream is None:
            stream = zlib.compressobj(
                self._level, zlib.DEFLATED, -self._bits, self._mem_level
            )
        # Out of our hands until it is done: if it fails half-way (out of memory), the
        # next message begins anew, which suits any peer.
        self._stream = None
        data = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        if self._forgets:
            return data[:-4] if len(data) - 4 < len(payload) else None
        self._stream = stream
        return data[:-4]


class Inflater:
    """Decompresses what the other side sends.

    :param agreed: what was negotiated
    :param is_client: which side this is

    """

    __slots__ = ("_bits", "_ended", "_final_blocks", "_forgets", "_stream")

    def __init__(self, agreed: PerMessageDeflate, *, is_client: bool) -> None:
        if is_client:
            self._forgets = agreed.server_no_context_takeover
            self._bits = agreed.server_max_window_bits
        else:
            self._forgets = agreed.client_no_context_takeover
            self._bits = agreed.client_max_window_bits
        self._stream: Decompressor | None = None
        self._final_blocks = 0  # of this message
        self._ended = False  # whether the last of them was the end of the data so far

    def inflate(self, data: bytes | bytearray, room: float) -> Iterator[bytes]:
        """Give what a piece of a message decompresses to, in steps.

        :param data: the piece
        :param room: bytes that the message may still have; one more is given if there
            are more, and the caller has to stop then
        :raises ProtocolViolation: if that is no deflated data

        """
        stream = self._stream
        for start in range(0, len(data), _INPUT):
            rest = data[start : start + _INPUT]
            while True:
                if stream is None:
                    stream = self._stream = zlib.decompressobj(-self._bits)
                size = _STEP if room >= _STEP else int(room) + 1
                try:
                    part = stream.decompress(rest, size)
                except zlib.error:
                    raise _damaged() from None
                if part:
                    room -= len(part)
                    yield part
                    if room < 0:
                        return
                self._ended = stream.eof
                if stream.eof:
                    # RFC 7692 section 7.2.3.4 allows final blocks. What follows is a
                    # stream of its own, with a window of its own.
                    rest = stream.unused_data
                    stream = self._stream = None
                    self._final_blocks += 1
                    if self._final_blocks > _MAX_FINAL_BLOCKS:
                        raise ProtocolViolation(POLICY, "too many final blocks")
                    if not rest:
                        break
                    continue
                rest = stream.unconsumed_tail
                # zlib may have taken all of it and still hold back a part.
                if not rest and len(part) < size:
                    break

    def end_message(self) -> None:
        """Check that a message is complete.

        :raises ProtocolViolation: if it was cut short

        """
        ended = self._ended
        self._final_blocks = 0
        self._ended = False
        if ended:  # by a final block; nothing was to be flushed then
            return
        stream = self._stream
        if stream is None:
            raise _damaged()
        try:
            # Nothing may come out, but 0 would mean no limit.
            part = stream.decompress(_FLUSH, 1)
            if not stream.eof:  # which the block that was to be flushed can be, too
                if not self._forgets:
                    stream = stream.copy()
                stream.decompress(_END, 1)
        except zlib.error:
            raise _damaged() from None
        if part or not stream.eof or stream.unused_data:
            raise _damaged()
        if stream is self._stream:
            self._stream = None


def _damaged() -> ProtocolViolation:
    return ProtocolViolation(_INVALID_DATA, "a message cannot be decompressed")
