"""permessage-deflate (RFC 7692): the settings, and what two sides agree on.

In: settings; offers and answers as texts. Out: the same, checked; what holds then.

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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

NAME: Final = "permessage-deflate"

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


@dataclass(frozen=True, slots=True)
class PerMessageDeflate:
    """How messages are compressed: permessage-deflate (RFC 7692).

    As a setting it says what to ask for and what to allow. As what was negotiated it
    says what holds.

    With the defaults a connection that has sent and received takes 52 KB more than one
    without compression, with both flags under 1 KB between messages, and with windows
    of 15 bits and ``mem_level=8`` about 310 KB. The extra ``fast``
    (``pip install anyio_websocket[fast]``) compresses four to six times as fast for
    about 65 KB more.

    How much shorter a message gets tells something of its content to anybody who sees
    the traffic, also through TLS. So do not compress a secret together with a text
    that others may choose: send such messages with ``compress=False``.

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


def make_offer(settings: PerMessageDeflate) -> str:
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


def respond(
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


def accept_response(
    settings: PerMessageDeflate, answers: Sequence[str]
) -> PerMessageDeflate | None:
    """Check what a server answered to ``make_offer(settings)``.

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
    if settings.server_no_context_takeover and not said.server_no_context_takeover:
        raise BadDeflate("server_no_context_takeover is missing")
    server_bits = max(_limit(said.server_bits), _MIN_BITS)
    if (
        server_bits > settings.server_max_window_bits
        and not said.server_no_context_takeover
    ):
        raise BadDeflate("server_max_window_bits is missing, or more than was offered")
    return replace(
        settings,
        server_no_context_takeover=said.server_no_context_takeover,
        client_no_context_takeover=settings.client_no_context_takeover
        or said.client_no_context_takeover,
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
        or wanted.server_no_context_takeover,
        # RFC 7692 section 7.1.1.2: a server may demand it of any client.
        client_no_context_takeover=settings.client_no_context_takeover
        or wanted.client_no_context_takeover
        or (unlimited and settings.client_max_window_bits < _MAX_BITS),
        server_max_window_bits=min(
            settings.server_max_window_bits, _limit(wanted.server_bits)
        ),
        client_max_window_bits=_MAX_BITS
        if unlimited
        else min(settings.client_max_window_bits, _limit(wanted.client_bits)),
    )


class _Parameters(NamedTuple):
    server_no_context_takeover: bool
    client_no_context_takeover: bool
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
