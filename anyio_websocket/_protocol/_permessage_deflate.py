"""permessage-deflate (RFC 7692): the parameters, and how two sides agree on them.

Options and the peer's elements of Sec-WebSocket-Extensions become our elements, and the
agreed parameters.

Theory of operation
-------------------
The parameters that an application sets and those that two sides agreed on have the same
fields, so both are a ``PerMessageDeflate``. Each side decides on its own window: an
option limits it whatever the peer says. The peer's window takes memory on our side, so
an option that limits it must be enforced on the peer. Not every peer can limit its
window (a client that does not offer ``client_max_window_bits``, a server that does not
know ``server_max_window_bits``). Such a peer has to drop its window after each message
instead (no context takeover). Then the window costs us 32 KiB, but only while a message
is being received. Most connections are idle, and an idle one stays within the memory
that the application allowed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from .._record import record

NAME: Final = "permessage-deflate"

WINDOW_BITS: Final = 12  # 4 KiB; the default of websockets, which measured it
MEM_LEVEL: Final = 5  # 16 KiB for the compressor's tables; likewise
LEVEL: Final = 6  # zlib's default
# bytes; without context takeover a shorter message hardly shrinks (ws of npm has the
# same threshold)
THRESHOLD: Final = 1024

_MAX_BITS: Final = 15  # RFC 7692 section 7.1.2: 32 KiB, the limit of deflate
# zlib cannot compress with a window of 8 bits, so we neither offer it nor agree to it.
# It decompresses such data with any window.
_MIN_BITS: Final = 9
_BITS: Final = {str(bits): bits for bits in range(8, 16)}  # no sign, no leading zero


@record()
class PerMessageDeflate:
    """Compression of messages with the extension permessage-deflate (RFC 7692).

    As an option it says what to offer and what to accept; as the result of the
    handshake it says what both sides agreed on.

    With the defaults a connection that has sent and received messages takes 52 KB more
    than one without compression. Without context takeover on both sides it takes less
    than 1 KB more between messages. With windows of 15 bits and ``mem_level=8`` it
    takes about 310 KB more. The extra ``fast`` (``pip install anyio_websocket[fast]``)
    compresses four to six times as fast, and takes about 65 KB more.

    The length of a compressed message tells something about its content to everybody
    who sees the traffic, even through TLS. If an attacker can choose a part of a
    message, the lengths can give away a secret in the same message or, with context
    takeover, in an earlier one. Send messages with secrets with ``compress=False``.

    The memory of compression is bounded by these parameters, for any peer. What a
    message decompresses to is bounded by ``max_message_size``.

    :param server_no_context_takeover: whether the server drops its window after each
        message. This costs CPU time, and most of the gain for short messages; it frees
        the memory between messages
    :param client_no_context_takeover: the same for the client
    :param server_max_window_bits: the window of the server has at most this power of
        two bytes: 9 (512 bytes) to 15 (32 KiB). The default 12 is 4 KiB. A side needs
        four times its own window to compress, and the window of the peer once to
        decompress. A server that cannot limit its window has to drop it after each
        message
    :param client_max_window_bits: the same for the client
    :param level: 1 (fast) to 9 (small), as in ``zlib.compressobj()``
    :param mem_level: 1 to 9, as in ``zlib.compressobj()``; the compressor's tables take
        ``2 ** (mem_level + 9)`` bytes
    :param threshold: shorter messages, in bytes, are sent without compression.
        ``None`` means 1024 if our side drops its window after each message, and 0
        if it does not
    :raises ValueError: if a number is out of its range
    :raises TypeError: if a flag is not a ``bool``, or a number not an ``int``

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


def _check(name: str, value: object, low: int, high: int | None) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"{low} to {high}"
        raise ValueError(f"{name} must be {allowed}, not {value!r}")


# -- negotiation ------------------------------------------------------------------


class BadDeflate(ValueError):
    """An offer or a response is not acceptable; the text says why."""


def make_offer(settings: PerMessageDeflate) -> str:
    """Return a client's offers for Sec-WebSocket-Extensions, preferred ones first."""
    parameters = [NAME]
    if settings.server_no_context_takeover:
        parameters.append("server_no_context_takeover")
    if settings.client_no_context_takeover:
        parameters.append("client_no_context_takeover")
    parameters.append("client_max_window_bits")
    if settings.client_max_window_bits < _MAX_BITS:
        parameters[-1] += f"={settings.client_max_window_bits}"
    if settings.server_max_window_bits == _MAX_BITS:
        return "; ".join(parameters)
    limited = [*parameters, f"server_max_window_bits={settings.server_max_window_bits}"]
    # RFC 7692 section 7.1.2.1: a server that cannot limit its window declines the
    # first offer. The second one is for such a server.
    if not settings.server_no_context_takeover:
        parameters.insert(1, "server_no_context_takeover")
    return f"{'; '.join(limited)}, {'; '.join(parameters)}"


def respond(
    settings: PerMessageDeflate, offers: Sequence[str]
) -> tuple[str, PerMessageDeflate] | None:
    """Accept the first acceptable offer of a client.

    :param settings: what the server allows
    :param offers: the elements of the client's Sec-WebSocket-Extensions
    :return: the server's element and the agreed parameters; ``None`` if no offer is
        acceptable

    """
    for text in offers:
        try:
            offered = _parse(text)
            agreed = _accept(settings, offered)
        except BadDeflate:
            continue
        parameters = [NAME]
        if agreed.server_no_context_takeover:
            parameters.append("server_no_context_takeover")
        if agreed.client_no_context_takeover:
            parameters.append("client_no_context_takeover")
        # Sections 7.1.2.1 and 7.1.2.2: the server's limit must be in the response if it
        # was offered, and the client's must not be there unless it was offered.
        if agreed.server_max_window_bits < _MAX_BITS or offered.server_bits != _ABSENT:
            parameters.append(f"server_max_window_bits={agreed.server_max_window_bits}")
        if agreed.client_max_window_bits < _MAX_BITS:
            parameters.append(f"client_max_window_bits={agreed.client_max_window_bits}")
        return "; ".join(parameters), agreed
    return None


def accept_response(
    settings: PerMessageDeflate, response: Sequence[str]
) -> PerMessageDeflate | None:
    """Check a server's response to ``make_offer(settings)``.

    :param settings: what was offered
    :param response: the elements of the server's Sec-WebSocket-Extensions
    :return: the agreed parameters; ``None`` means no compression
    :raises BadDeflate: if the response does not fit the offer

    """
    if not response:
        return None
    if len(response) > 1:
        raise BadDeflate("the server chose two extensions, but only one was offered")
    said = _parse(response[0])
    if said.client_bits == _NO_VALUE:
        raise BadDeflate("client_max_window_bits has no value")
    if 0 < said.client_bits < _MIN_BITS:
        raise BadDeflate("client_max_window_bits is 8, which zlib does not support")
    if settings.server_no_context_takeover and not said.server_no_context_takeover:
        raise BadDeflate("server_no_context_takeover is missing")
    server_bits = max(_limit(said.server_bits), _MIN_BITS)
    if (
        server_bits > settings.server_max_window_bits
        and not said.server_no_context_takeover
    ):
        raise BadDeflate("server_max_window_bits is missing or larger than offered")
    return replace(
        settings,
        server_no_context_takeover=said.server_no_context_takeover,
        client_no_context_takeover=settings.client_no_context_takeover
        or said.client_no_context_takeover,
        server_max_window_bits=server_bits,
        # RFC 7692 section 7.1.2.2: the server may allow more than the client offered.
        client_max_window_bits=min(
            settings.client_max_window_bits, _limit(said.client_bits)
        ),
    )


def _accept(settings: PerMessageDeflate, offered: "_Parameters") -> PerMessageDeflate:
    if 0 < offered.server_bits < _MIN_BITS or 0 < offered.client_bits < _MIN_BITS:
        raise BadDeflate("a window of 8 bits, which zlib does not support")
    cannot_limit = offered.client_bits == _ABSENT
    return replace(
        settings,
        server_no_context_takeover=settings.server_no_context_takeover
        or offered.server_no_context_takeover,
        # RFC 7692 section 7.1.1.2: a server may require it of any client.
        client_no_context_takeover=settings.client_no_context_takeover
        or offered.client_no_context_takeover
        or (cannot_limit and settings.client_max_window_bits < _MAX_BITS),
        server_max_window_bits=min(
            settings.server_max_window_bits, _limit(offered.server_bits)
        ),
        client_max_window_bits=_MAX_BITS
        if cannot_limit
        else min(settings.client_max_window_bits, _limit(offered.client_bits)),
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
        raise BadDeflate("the extension was not offered")
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
            # A quoted number would be legal, but no implementation quotes two digits.
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
