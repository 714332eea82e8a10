"""`FrameCodec`: every rule of frames, on both sides, with input cut anywhere."""

from __future__ import annotations

import io
import math
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from anyio_websocket import PerMessageDeflate
from anyio_websocket._protocol import (
    REST_AT_ONCE,
    Close,
    Paused,
    Ping,
    Pong,
    _frames,
)
from anyio_websocket._protocol._codec import ProtocolViolation, Received
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._kernels_py import BLOCK

from ..support.codecs import next_of, received
from ..support.costs import grows_linearly, least_peak
from ..support.frames import (
    BINARY,
    CONTINUATION,
    MASK,
    TEXT,
    close_payload,
    frame,
)

LIMIT = 100  # bytes
FRAGMENTS = 5

Frames = Callable[..., bytes]


@pytest.fixture(params=["server", "client"])
def is_client(request: pytest.FixtureRequest) -> bool:
    """Whether the receiver is a client."""
    return bool(request.param == "client")


@pytest.fixture
def peer(is_client: bool) -> Frames:
    """A function that builds frames as the peer of that side sends them."""

    def build(opcode: int, payload: bytes = b"", **how: object) -> bytes:
        how.setdefault("mask", None if is_client else MASK)
        return frame(opcode, payload, **how)  # type: ignore[arg-type]

    return build


def codec_of(
    is_client: bool, limit: float = LIMIT, fragments: int = FRAGMENTS
) -> FrameCodec:
    return FrameCodec(
        is_client=is_client, max_message_size=limit, max_fragments=fragments
    )


def feed(codec: FrameCodec, *chunks: bytes) -> list[Received]:
    results: list[Received] = []
    for chunk in chunks:
        codec.feed(chunk)
        results += received(codec)
    return results


def failure(codec: FrameCodec, *chunks: bytes) -> tuple[int, str]:
    with pytest.raises(ProtocolViolation) as caught:
        feed(codec, *(chunks or [b""]))
    return caught.value.code, caught.value.reason


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Cut bytes in several ways: not at all, everywhere, at random."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    dice = random.Random(len(data))
    for _ in range(5):
        places = sorted(dice.randrange(len(data) + 1) for _ in range(4))
        yield [data[a:b] for a, b in pairwise([0, *places, len(data)])]


# overlong, surrogates, beyond U+10FFFF, stray continuation bytes, cut short
BAD_TEXTS = (
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"ok \xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\x80",
    b"a\xe2\x82",
    b"\xfe",
)

VIOLATIONS: list[tuple[str, int, Callable[[Frames], bytes]]] = [
    *(
        (f"opcode {opcode}", 1002, lambda f, opcode=opcode: f(opcode))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    *(
        (f"rsv {rsv} on {opcode}", 1002, lambda f, o=opcode, r=rsv: f(o, rsv=r))
        for rsv in range(1, 8)
        for opcode in (1, 2, 8, 9, 10)
    ),
    ("rsv on a continuation", 1002, lambda f: f(1, fin=False) + f(0, rsv=4)),
    *(
        (f"fragmented {opcode}", 1002, lambda f, o=opcode: f(o, fin=False))
        for opcode in (8, 9, 10)
    ),
    *(
        (f"long {opcode}", 1002, lambda f, o=opcode, n=length: f(o, length=n))
        for opcode in (8, 9, 10)
        for length in (126, 65536)
    ),
    ("short in 2 bytes", 1002, lambda f: f(2)[:1] + _extended(f, 126, 125)),
    ("short in 8 bytes", 1002, lambda f: f(2)[:1] + _extended(f, 127, 65535)),
    ("zero in 8 bytes", 1002, lambda f: f(2)[:1] + _extended(f, 127, 0)),
    ("continuation first", 1002, lambda f: f(0, b"x")),
    ("continuation after the end", 1002, lambda f: f(1, b"x") + f(0)),
    ("text inside of text", 1002, lambda f: f(1, fin=False) + f(1)),
    ("binary inside of text", 1002, lambda f: f(1, fin=False) + f(2, b"x")),
    ("Close with half a code", 1002, lambda f: f(8, b"\x03")),
    *(
        (f"Close {code}", 1002, lambda f, c=code: f(8, struct.pack("!H", c)))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    ("bad reason", 1007, lambda f: f(8, struct.pack("!H", 1000) + b"\xff")),
    *((f"text {t!r}", 1007, lambda f, t=t: f(1, t)) for t in BAD_TEXTS),
    *(
        (f"first {t!r}", 1007, lambda f, t=t: f(1, t, fin=False) + f(0))
        for t in BAD_TEXTS
    ),
    *(
        (f"last {t!r}", 1007, lambda f, t=t: f(1, b"x", fin=False) + f(0, t))
        for t in BAD_TEXTS
    ),
]


def _extended(build: Frames, code: int, length: int) -> bytes:
    masked = bool(build(2)[1] & 0x80)
    number = struct.pack("!H" if code == 126 else "!Q", length)
    return bytes([code | masked << 7]) + number + MASK


@pytest.mark.parametrize(
    ("code", "make"),
    [pytest.param(code, make, id=name) for name, code, make in VIOLATIONS],
)
def test_C1_to_C5_violations_fail_with_their_code(
    is_client: bool, peer: Frames, code: int, make: Callable[[Frames], bytes]
) -> None:
    for chunks in cuts(make(peer)):
        found, reason = failure(codec_of(is_client), *chunks)
        assert found == code
        assert 0 < len(reason) <= 123
    # frames before it are received, and those behind it are not parsed
    codec = codec_of(is_client)
    codec.feed(peer(9, b"p") + make(peer) + peer(9, b"q"))
    assert codec.next() == Ping(b"p")
    assert failure(codec)[0] == code


def test_C1_only_clients_mask(is_client: bool) -> None:
    wrong = MASK if is_client else None
    for chunks in cuts(frame(1, b"x", mask=wrong)):
        assert failure(codec_of(is_client), *chunks)[0] == 1002
    for opcode in (2, 8, 9, 10):
        data = frame(opcode, mask=wrong)
        assert failure(codec_of(is_client), data)[0] == 1002


def test_valid_frames_are_received(is_client: bool, peer: Frames) -> None:
    data = (
        peer(1, "aé€😀".encode())
        + peer(2, bytes(range(256))[:100])
        + peer(9)
        + peer(1, "é€".encode()[:3], fin=False)
        + peer(9, b"p" * 125)
        + peer(0, fin=False)
        + peer(10, b"q")
        + peer(0, "é€".encode()[3:])
        + peer(2)
        + peer(1, b"", fin=False)
        + peer(0)
        + peer(2, b"x", fin=False)
        + peer(8, close_payload(1001, "gehe schön"))
    )
    expected = [
        "aé€😀",
        bytes(range(100)),
        Ping(b""),
        Ping(b"p" * 125),
        Pong(b"q"),
        "é€",
        b"",
        "",
        Close(1001, "gehe schön"),
    ]
    for chunks in cuts(data):
        results = feed(codec_of(is_client), *chunks)
        assert results == expected
        assert [type(r) for r in results] == [type(e) for e in expected]


def test_C3_invalid_text_fails_before_the_frame_is_complete(
    is_client: bool, peer: Frames
) -> None:
    data = peer(1, b"bad: \xff and more to come", fin=False)
    assert failure(codec_of(is_client), data[:-5])[0] == 1007


def test_C3_a_character_that_ascii_interrupts_fails_at_once(
    is_client: bool, peer: Frames
) -> None:
    data = peer(1, b"\xc3", fin=False) + peer(0, b"abc", fin=False)
    assert failure(codec_of(is_client), data)[0] == 1007


@pytest.mark.parametrize("length", [2**k for k in (31, 32, 53, 62)] + [101, 2**63 - 1])
def test_C4_too_long_a_frame_fails_at_its_header(
    is_client: bool, peer: Frames, length: int
) -> None:
    for opcode in (1, 2):
        for chunks in cuts(peer(opcode, length=length)):
            assert failure(codec_of(is_client), *chunks) == (
                1009,
                "Exceeded maximum message size: 100 bytes",
            )
        begun = peer(opcode, b"x", fin=False)
        codec = codec_of(is_client)
        assert failure(codec, begun + peer(0, length=length))[0] == 1009
    for opcode in range(3, 16):
        data = peer(opcode, length=max(length, 126))
        assert failure(codec_of(is_client), data)[0] == 1002


@pytest.mark.parametrize("length", [2**63, 2**64 - 1])
def test_C4_a_length_has_63_bits(is_client: bool, peer: Frames, length: int) -> None:
    for limit in (LIMIT, math.inf):
        for opcode in (1, 2):
            codec = codec_of(is_client, limit)
            assert failure(codec, peer(opcode, length=length))[0] == 1002


def test_C5_valid_codes_are_received(is_client: bool, peer: Frames) -> None:
    good = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
    for code in good:
        data = peer(8, close_payload(code, "x" * 123))
        assert feed(codec_of(is_client), data) == [Close(code, "x" * 123)]
    assert feed(codec_of(is_client), peer(8)) == [Close(1005, "")]


def test_C6_a_message_is_delivered_when_it_is_complete(
    is_client: bool, peer: Frames
) -> None:
    parts = [
        peer(2, b"abc"),
        peer(1, b"de", fin=False) + peer(0, b"f"),
        peer(9, b"ping"),
        peer(2, bytes(LIMIT)),
        peer(8, close_payload(1000)),
    ]
    data = b"".join(parts)
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    for size in range(len(data) + 1):
        results = feed(codec_of(is_client), data[:size])
        assert len(results) == sum(end <= size for end in ends)


def test_C7_a_mask_key_of_zeros_is_valid() -> None:
    assert feed(codec_of(False), frame(2, b"abc", mask=bytes(4))) == [b"abc"]


def test_C9_large_messages(is_client: bool, peer: Frames) -> None:
    payload = random.Random(1).randbytes(3 * BLOCK + 7)
    text = "aé€😀" * 20_000
    codec = codec_of(is_client, 2**20)
    for size in (1000, 65_535, 65_536, 70_001, 10**9):
        for data, message in (
            (peer(2, payload), payload),
            (peer(2, payload[:BLOCK]), payload[:BLOCK]),
            (peer(2, payload[:999], fin=False) + peer(0, payload[999:]), payload),
            (peer(1, text.encode()), text),
            (peer(1, b"a" * 70_000), "a" * 70_000),
        ):
            chunks = [data[i : i + size] for i in range(0, len(data), size)]
            assert feed(codec, *chunks) == [message]


def test_decoding_is_lazy(is_client: bool, peer: Frames) -> None:
    codec = codec_of(is_client)
    codec.feed(peer(1, b"a") + peer(2, b"b") + peer(3))
    assert codec.next() == "a"
    codec.feed(peer(9))  # behind the invalid frame
    assert codec.next() == b"b"
    assert failure(codec)[0] == 1002


@pytest.mark.parametrize("opcode", [1, 2])
def test_D1_the_limit_is_exact(is_client: bool, peer: Frames, opcode: int) -> None:
    codec = codec_of(is_client)
    for _ in range(3):  # each message is counted from zero
        for data in (
            peer(opcode, b"x" * 100),
            peer(opcode, b"x" * 60, fin=False) + peer(9, b"y") + peer(0, b"x" * 40),
        ):
            for chunks in cuts(data):
                assert len(feed(codec, *chunks)[-1]) == 100
    for data in (
        peer(opcode, b"x" * 101),
        peer(opcode, b"x" * 60, fin=False) + peer(0, b"x" * 41),
    ):
        for chunks in cuts(data):
            assert failure(codec_of(is_client), *chunks)[0] == 1009
    # bytes, not characters
    assert feed(codec, peer(1, ("é" * 50).encode())) == ["é" * 50]
    assert failure(codec, peer(1, ("é" * 51).encode()))[0] == 1009


def test_there_may_be_no_limit(is_client: bool, peer: Frames) -> None:
    codec = codec_of(is_client, math.inf)
    assert feed(codec, peer(2, bytes(10**6))) == [bytes(10**6)]
    assert feed(codec, peer(2, length=2**63 - 1)) == []


@pytest.mark.measured
@pytest.mark.parametrize("size", [65_536, 4096, 10**9])
def test_D1_a_large_message_takes_little_more_than_its_size(
    is_client: bool, peer: Frames, size: int
) -> None:
    limit = 2**20
    for data in (
        peer(2, bytes(limit), mask=None if is_client else bytes(4)),
        peer(1, bytes(limit), mask=None if is_client else bytes(4)),
    ):
        codec = codec_of(is_client, limit)
        tracemalloc.start()
        try:
            for start in range(0, len(data), size):
                codec.feed(data[start : start + size])
                result = next_of(codec)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert result is not None
        assert len(result) == limit
        assert peak <= 2.25 * limit + 65536


@pytest.mark.measured
@pytest.mark.parametrize(
    ("start", "end", "while_decoding", "held"),
    [
        ("", "", 2, 1),
        ("", "é", 3, 1),
        ("", "語", 4, 2),
        ("", "😀", 6, 4),
        ("é語", "😀", 7, 4),
        ("😀", "", 6, 4),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_D11_the_texts_that_take_the_most_memory(
    start: str, end: str, while_decoding: int, held: int, compressed: bool
) -> None:
    limit = 2**20
    size = limit - len((start + end).encode())
    payload = (start + "a" * size + end).encode()
    deflate = PerMessageDeflate() if compressed else None
    if compressed:
        compressor = zlib.compressobj(wbits=-12)
        payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        payload = payload.removesuffix(b"\x00\x00\xff\xff")
    data = frame(1, payload, rsv=4 if compressed else 0, mask=bytes(4))
    chunks = [data[i : i + 131_000] for i in range(0, len(data), 131_000)]
    codec = FrameCodec(
        is_client=False, max_message_size=limit, max_fragments=5, deflate=deflate
    )
    got: object = None
    tracemalloc.start()
    try:
        for chunk in chunks:
            codec.feed(chunk)
            got = next_of(codec)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got == start + "a" * size + end
    assert peak <= (while_decoding + 0.2) * limit
    assert after <= (held + 0.1) * limit


def test_an_eighth_of_a_large_frame_makes_room_for_all_of_it(
    is_client: bool, peer: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any of it is stored, so that no piece is copied when memory grows."""
    size, made = 2**20, []

    def allocate(message: io.BytesIO, size: int) -> None:
        made.append((message.tell(), size))

    monkeypatch.setattr(_frames, "allocate", allocate)
    data = peer(2, bytes(size))
    start = len(data) - size
    for come, expected in ((size // 10, []), (size // 8 + 1, [(0, size)])):
        assert feed(codec_of(is_client, size), data[: start + come]) == []
        assert made == expected


@pytest.mark.parametrize("at_once", [2**16 + 1, math.inf])
def test_the_rest_of_a_large_frame_is_received_in_its_place(
    is_client: bool, peer: Frames, at_once: float
) -> None:
    """Whatever a read brings, and more than what is allocated at once."""
    size = 2**23
    payload = random.Random(size).randbytes(size)
    wire = io.BytesIO(peer(BINARY, payload, fin=False) + peer(CONTINUATION, b"end"))
    codec = codec_of(is_client, 2 * size)
    in_place, messages = 0, []

    def receive_into(place: memoryview) -> int:
        return wire.readinto(place[: int(min(len(place), at_once))])

    while data := wire.read(131_000):
        messages += feed(codec, data)
        while came := codec.receive_rest(receive_into):
            assert came <= REST_AT_ONCE
            in_place += came
            assert codec.next() in (None, Paused.PAUSED)
    assert messages == [payload + b"end"]
    assert in_place > size / (2 if at_once == math.inf else 8)


def test_what_has_no_place_yet_is_not_received_there(
    is_client: bool, peer: Frames
) -> None:
    def receive_into(place: memoryview) -> int:
        raise AssertionError

    size = 2**20
    for opcode, come in (
        (BINARY, 0),  # no message
        (BINARY, size // 10),  # no memory for it yet
        (BINARY, size - 100),  # not worth it
        (TEXT, size // 2),  # has to be checked
    ):
        codec = codec_of(is_client, size)
        feed(codec, peer(opcode, b"a" * size)[:come])
        assert codec.receive_rest(receive_into) == 0
    # What was fed comes before what is received.
    codec.feed(b"a")
    assert codec.receive_rest(receive_into) == 0
    codec = codec_of(is_client, size)
    data = peer(BINARY, b"a" * size)
    assert feed(codec, data[: size // 2]) == []
    codec.feed(data[size // 2 : size // 2 + 9])
    assert codec.receive_rest(receive_into) == 0
    assert feed(codec, b"", data[size // 2 + 9 :]) == [b"a" * size]


@pytest.mark.measured
def test_C4_an_announced_length_takes_no_memory(is_client: bool, peer: Frames) -> None:
    codec = codec_of(is_client, 2**30)
    data = peer(2, b"abc", length=2**30)
    tracemalloc.start()
    try:
        assert feed(codec, data) == []
        assert tracemalloc.get_traced_memory()[1] <= 4096
    finally:
        tracemalloc.stop()


@pytest.mark.measured
@pytest.mark.parametrize("opcode", [1, 2])
def test_D3_tiny_reads_take_no_memory_of_their_own(
    is_client: bool, peer: Frames, opcode: int
) -> None:
    size = 2**15
    mask = None if is_client else bytes(4)
    data = peer(opcode, b"x" * size, mask=mask)
    chunks = [data[i : i + 1] for i in range(len(data))]  # shared one-byte objects
    results: list[Received] = []

    def receive() -> None:
        codec = codec_of(is_client, size)
        results.clear()
        for chunk in chunks:
            codec.feed(chunk)
            if (result := next_of(codec)) is not None:
                results.append(result)

    # A complete text exists twice: as bytes and as a str.
    bound = (2 if opcode == 2 else 2.2) * size
    assert least_peak(receive, bound) <= bound
    assert [len(result) for result in results] == [size]


@pytest.mark.measured
def test_D2_fragments_take_no_memory_of_their_own(
    is_client: bool, peer: Frames
) -> None:
    count = 50_000
    codec = codec_of(is_client, 2**20, count)
    data = peer(2, b"ab", fin=False) + peer(0, b"ab", fin=False) * (count - 1)
    tracemalloc.start()
    try:
        assert feed(codec, data) == []
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size <= 2 * 2 * count
    assert peak <= 2 * 2 * count
    code, reason = failure(codec, peer(0))
    assert code == 1008
    assert reason == "more than 50000 fragments"


def test_D2_the_number_of_fragments_is_limited(is_client: bool, peer: Frames) -> None:
    four = peer(2, b"a", fin=False) + peer(0, b"b", fin=False) * 3
    codec = codec_of(is_client)
    for _ in range(3):
        assert feed(codec, four + peer(9) + peer(0, b"c"))[-1] == b"abbbc"
    for chunks in cuts(four + peer(0, fin=False) + peer(0, fin=False)):
        assert failure(codec_of(is_client), *chunks)[0] == 1008


@pytest.mark.measured
def test_an_idle_codec_keeps_nothing_of_what_it_received(
    is_client: bool, peer: Frames
) -> None:
    codec = codec_of(is_client)
    tracemalloc.start()
    try:
        for end in (b"", peer(2, b"more to come")[:-5], peer(9)[:1]):
            data = peer(2, bytes(50)) * 2000 + end
            assert len(feed(codec, data)) >= 2000
            del data
            assert tracemalloc.get_traced_memory()[0] <= 4096
            codec = codec_of(is_client)
    finally:
        tracemalloc.stop()


@pytest.mark.measured
def test_D2_D3_F8_cpu_is_linear(is_client: bool, peer: Frames) -> None:
    def fragments(count: int) -> None:
        codec = codec_of(is_client, math.inf, count)
        data = peer(2, b"ab", fin=False) + peer(0, b"ab", fin=False) * (count - 1)
        for start in range(0, len(data), 65536):
            assert feed(codec, data[start : start + 65536]) == []

    def tiny_reads(count: int) -> None:
        codec = codec_of(is_client, math.inf)
        data = peer(2, bytes(count))
        assert len(feed(codec, *(data[i : i + 2] for i in range(0, count, 2)))) <= 1

    def tiny_frames(count: int) -> None:
        assert len(feed(codec_of(is_client), peer(2, b"ab") * count)) == count

    for job in (fragments, tiny_reads, tiny_frames):
        assert grows_linearly(job, 20_000)
