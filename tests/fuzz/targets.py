"""What is fuzzed: everything that reads bytes of a peer, with rules that always hold.

A target takes any bytes, and raises ``AssertionError`` or an undocumented exception if
a rule is broken. The rules: the outcome is one of those that are documented; it does
not depend on how the bytes are cut; and the number of steps is in proportion to the
number of bytes.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from types import FrameType
from typing import Any, Final
from unittest import mock

from anyio_websocket._client import _url
from anyio_websocket._protocol import (
    Close,
    Engine,
    Extensions,
    PerMessageDeflate,
    Ping,
    PlainRequest,
    Pong,
    Rejection,
    _frames,
    _kernels_py,
)
from anyio_websocket._protocol._codec import Codec, ProtocolViolation, Received
from anyio_websocket._protocol._engine import Event
from anyio_websocket._protocol._extensions import BadExtensions
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._undecoded import UndecodedCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.codecs import received
from ..support.handshakes import answered, hear_request
from .parts import compare_parts

LIMIT: Final = 1000  # bytes in a message
BODY: Final = 100  # bytes of a request
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
        if event == "call":  # of Python: what measures coverage makes calls of C
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


def plain_request(data: bytes) -> None:
    """A client's request, on a server that serves plain HTTP as well."""
    outcome = hear_request([data], max_body=BODY)
    assert hear_request(pieces(data), max_body=BODY) == outcome
    without = hear_request([data])
    if isinstance(outcome, PlainRequest):
        assert isinstance(without, Rejection)
        # Nothing behind it is taken for a part of it.
        assert hear_request([data + b"\0"], max_body=BODY) == outcome
    elif isinstance(outcome, Rejection):
        assert isinstance(without, Rejection)
    elif outcome is not None:
        assert without == outcome


def response(data: bytes) -> None:
    """A server's answer, on a client; ``ACCEPT`` in it becomes the right token."""
    assert answered(data, pieces) == answered(data, None)


def frames(data: bytes, *, is_client: bool, deflate: bool) -> None:
    """Frames: whole, in pieces, and by wsproto."""
    options: dict[str, Any] = {
        "is_client": is_client,
        "max_message_size": LIMIT,
        "max_fragments": FRAGMENTS,
        "deflate": PerMessageDeflate() if deflate else None,
    }
    make = partial(FrameCodec, **options)
    whole, failure = _decoded(make(), [data])
    # A mistake is told by its first byte or by its last, wherever the cut is.
    in_pieces, failure_in_pieces = _decoded(make(), list(pieces(data)))
    assert in_pieces == whole
    assert failure_in_pieces == failure
    undecoded = _decoded(UndecodedCodec(**options), [data])
    assert undecoded == (
        [m.encode() if isinstance(m, str) else m for m in whole],
        failure,
    )
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


def parts(data: bytes, *, is_client: bool, kind: str) -> None:
    """Frames, whose messages are received in parts as the first byte says."""
    ways, wire = int.from_bytes(data[:1]), list(pieces(data[1:]))
    compare_parts(_codec(is_client, kind), _codec(is_client, kind), ways, wire)


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


class OutOfMemory:
    """Lets one call fail of those that the protocol's modules and wsproto make.

    :param step: which of them, counted from 0

    """

    def __init__(self, step: int) -> None:
        self._left = step
        self._before: Any = None

    def __enter__(self) -> None:
        gc.disable()  # it closes the generators of codecs that are not used any more
        self._before = sys.getprofile()
        sys.setprofile(self._count)

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(self._before)
        gc.enable()

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        path = frame.f_code.co_filename
        if event in ("call", "c_call") and ("_protocol" in path or "wsproto" in path):
            self._left -= 1
            if self._left == -1:
                raise MemoryError


def out_of_memory(data: bytes, *, is_client: bool, kind: str) -> None:
    """What comes out before an exception is right, and nothing comes out after it.

    The first two bytes say at which call it is raised.
    """
    step, wire = int.from_bytes(data[:2], "little"), list(pieces(data[2:]))
    with ExitStack() as patches:
        if kind == "Python":
            for name in ("mask", "take_messages"):
                replacement = getattr(_kernels_py, name)
                patches.enter_context(mock.patch.object(_frames, name, replacement))
        healthy = _engine(is_client, kind)
        right, _ = _until_exception(healthy, wire)
        engine = _engine(is_client, kind)
        with OutOfMemory(step):
            events, left = _until_exception(engine, wire)
        assert events == right[: len(events)]
        if left is None:  # there were not so many calls
            assert events == right
        else:
            after, _ = _until_exception(engine, [*left, b"\x81\x01x"])
            assert not after


def _engine(is_client: bool, kind: str) -> Engine:
    return Engine(_codec(is_client, kind))


def _codec(is_client: bool, kind: str) -> Codec:
    options: dict[str, Any] = {
        "is_client": is_client,
        "max_message_size": LIMIT,
        "max_fragments": FRAGMENTS,
    }
    if kind == "wsproto":
        return WsprotoCodec(**options)
    codec = UndecodedCodec if kind == "undecoded" else FrameCodec
    return codec(**options, deflate=PerMessageDeflate())


def _until_exception(
    engine: Engine, parts: list[bytes]
) -> tuple[list[Event], list[bytes] | None]:
    """Do as the reader does; return the events, and what is left if one is raised."""
    events: list[Event] = []
    for i, part in enumerate(parts):
        try:
            engine.receive_data(part)
            while True:
                if messages := engine.take_messages(3):
                    events += messages
                elif (event := engine.next_event()) is not None:
                    events.append(event)
                else:
                    break
        except MemoryError:
            engine.fail()
            return events, parts[i:]
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
    "plain request": plain_request,
    "response": response,
    "frames to a server": partial(frames, is_client=False, deflate=False),
    "frames to a client": partial(frames, is_client=True, deflate=False),
    "compressed frames to a server": partial(frames, is_client=False, deflate=True),
    "compressed frames to a client": partial(frames, is_client=True, deflate=True),
    **{
        f"parts, {kind}": partial(parts, is_client=is_client, kind=kind)
        for kind, is_client in (("C", False), ("undecoded", True), ("wsproto", False))
    },
    **{
        f"out of memory, {kind}, {'client' if is_client else 'server'}": partial(
            out_of_memory, is_client=is_client, kind=kind
        )
        for kind in ("C", "Python", "wsproto")
        for is_client in (False, True)
    },
    "extensions": extensions,
    "url": url,
}
