"""What is fuzzed: everything that reads bytes of a peer, with rules that always hold.

In: any bytes. Out: nothing, or an ``AssertionError``, or an exception of the library's
that nobody announced. The rules: the outcome is one of those that are documented; it is
the same however the bytes are cut; and steps and memory stay within what the bytes pay
for.
"""

from __future__ import annotations

import hashlib
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from anyio_websocket._client import _url
from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Close,
    Extensions,
    FrameCodec,
    HandshakeFailure,
    Origins,
    PerMessageDeflate,
    Ping,
    Pong,
    ProtocolViolation,
    Received,
    Rejected,
    Rejection,
    Request,
    ServerHandshake,
)
from anyio_websocket._protocol._extensions import BadExtensions
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.codecs import received

LIMIT: Final = 1000  # bytes in a message
FRAGMENTS: Final = 20
STEPS: Final = 3000  # function calls, for what is made before a byte is read
STEPS_PER_BYTE: Final = 100  # as a piece may be a byte, with a call of everything

Target = Callable[[bytes], None]


class Steps:
    """Counts function calls, and fails when there are too many for the input.

    :param size: bytes of the input

    """

    def __init__(self, size: int) -> None:
        self._left = STEPS + STEPS_PER_BYTE * size

    def __enter__(self) -> None:
        sys.setprofile(self._count)

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(None)
        assert self._left >= 0, "more steps than the input pays for"

    def _count(self, frame: object, event: str, argument: object) -> None:
        if event == "call":  # of Python, for what measures coverage calls C
            self._left -= 1


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes where they say themselves: short pieces, but not only."""
    start = 0
    while start < len(data):
        end = start + 1 + data[start] % 7 * (1 + data[start] // 64)
        yield data[start:end]
        start = end


def request(data: bytes) -> None:
    """A client's request, on a server."""
    assert hear_request(pieces(data)) == hear_request([data])


def hear_request(parts: Iterable[bytes]) -> object:
    """Say what a server makes of a request; anything undocumented is raised."""
    handshake = ServerHandshake(
        origins=Origins(None), extensions=Extensions.from_arguments(True)
    )
    rest = iter(parts)
    outcome = None
    for part in rest:
        outcome = handshake.receive_data(part)
        if outcome is not None:
            break
    if outcome is None:
        return None
    if isinstance(outcome, Rejection):
        assert 400 <= outcome.status_code <= 505
        assert outcome.response.startswith(b"HTTP/1.1 %d " % outcome.status_code)
        return outcome
    assert isinstance(outcome, Request)
    answer, agreed = handshake.accept()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.count(b"\r\n\r\n") == 1
    return outcome, answer, agreed, handshake.trailing + b"".join(rest)


def response(data: bytes) -> None:
    """A server's answer, on a client; ``ACCEPT`` in it becomes the right token."""
    assert answered(data, pieces) == answered(data, None)


def answered(data: bytes, cut: Callable[[bytes], Iterable[bytes]] | None) -> object:
    """Say what a client makes of an answer; anything undocumented is raised."""
    handshake = ClientHandshake(
        host="example.org",
        target="/",
        subprotocols=["chat"],
        extra_headers=None,
        extensions=Extensions.from_arguments(True),
    )
    key = handshake.request().split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = b64encode(hashlib.sha1(key + guid).digest())
    parts = [data.replace(b"ACCEPT", accept)]
    if cut is not None:  # the same for every key
        parts = [part for whole in data.split(b"ACCEPT") for part in (accept, whole)]
        parts = [piece for part in parts[1:] for piece in cut(part)]

    def seen(outcome: object) -> str:
        return repr(outcome).replace(accept.decode(), "ACCEPT")

    try:
        rest = iter(parts)
        for part in rest:
            outcome = handshake.receive_data(part)
            if isinstance(outcome, Accepted):
                trailing = outcome.trailing + b"".join(rest)
                return seen(outcome._replace(trailing=trailing))
            if outcome is not None:
                break
        else:
            outcome = handshake.receive_eof()
    except HandshakeFailure as exc:
        return seen(exc)
    assert isinstance(outcome, Rejected)
    return seen(outcome)


def frames(data: bytes, *, is_client: bool, deflate: bool) -> None:
    """Frames: whole, in pieces, and by wsproto."""
    settings = PerMessageDeflate() if deflate else None
    make = partial(
        FrameCodec,
        is_client=is_client,
        max_message_size=LIMIT,
        max_fragments=FRAGMENTS,
        deflate=settings,
    )
    whole, failure = _decoded(make(), [data])
    # A mistake is told by its first byte or by its last, wherever the cut is.
    in_pieces, failure_in_pieces = _decoded(make(), list(pieces(data)))
    assert in_pieces == whole
    assert failure_in_pieces == failure
    assert all(len(m) <= LIMIT for m in whole if isinstance(m, str | bytes))
    if not deflate:
        messages = (m for m in whole if isinstance(m, bytes))
        assert sum(map(len, messages)) <= len(data)
        theirs, _ = _decoded(
            WsprotoCodec(
                is_client=is_client, max_message_size=LIMIT, max_fragments=FRAGMENTS
            ),
            [data],
        )
        # wsproto refuses 1014 and some places a byte later: see test_oracle.
        assert theirs[: len(whole)] == whole[: len(theirs)]


def _decoded(
    codec: FrameCodec | WsprotoCodec, parts: list[bytes]
) -> tuple[list[Received], int | None]:
    events: list[Received] = []
    try:
        for part in parts:
            codec.feed(part)
            for event in received(codec):
                assert isinstance(event, str | bytes | Ping | Pong | Close)
                events.append(event)
                if isinstance(event, Close):  # nothing counts behind it
                    return events, None
    except ProtocolViolation as exc:
        return events, {1002: 1002, 1007: 1007, 1008: 1008, 1009: 1009}[exc.code]
    return events, None


def extensions(data: bytes) -> None:
    """The header of extensions, as an offer and as an answer."""
    text = data.decode("latin-1")
    elements = [part.strip(" \t") for part in text.split(",")]
    wanted = Extensions.from_arguments(True)
    answer, agreed = wanted.respond(elements)
    assert bool(answer) == (agreed.deflate is not None)
    _, offered = wanted.offer()
    with suppress(BadExtensions):
        offered.accept_response(elements)


def url(data: bytes) -> None:
    """A URL of the application's, which may come from anywhere."""
    text = data.decode("utf-8", "surrogateescape")
    complaint = ""
    try:
        target = _url.parse(text)
    except ValueError as exc:
        complaint = str(exc)
    else:
        assert target.resource.startswith("/")
        assert target.resource.isascii()
        assert target.resource.isprintable()
    userinfo, _, rest = text.partition("://")[2].partition("@")
    if "@" in text and len(userinfo) >= 8 and userinfo not in rest:
        assert userinfo not in complaint


TARGETS: Final[dict[str, Target]] = {
    "request": request,
    "response": response,
    "frames to a server": partial(frames, is_client=False, deflate=False),
    "frames to a client": partial(frames, is_client=True, deflate=False),
    "compressed frames to a server": partial(frames, is_client=False, deflate=True),
    "compressed frames to a client": partial(frames, is_client=True, deflate=True),
    "extensions": extensions,
    "url": url,
}
