"""Compressed messages: what is sent, what is received, and what a peer may not do."""

from __future__ import annotations

import itertools
import math
import random
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import Close, Ping, Pong, _deflate
from anyio_websocket._protocol._codec import ProtocolViolation, Received
from anyio_websocket._protocol._compressed_frames import DeflateCodec
from anyio_websocket._protocol._deflate import Inflater
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._permessage_deflate import (
    PerMessageDeflate,
)

from ..support.codecs import next_of, received
from ..support.compression import any_parameters, negotiated
from ..support.frames import MASK, frame, masked, take_frame
from ..support.hostile_work import bomb
from ..support.modules import imported_anew


@pytest.fixture(params=["zlib", "isal"], autouse=True, scope="module")
def compressor(request: pytest.FixtureRequest) -> Iterator[str]:
    """The compressor; both are tested if the faster one is installed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "zlib":
            patch.setattr(_deflate, "isal_zlib", None)
        else:
            pytest.importorskip("isal")
        yield request.param


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)  # not installed
    assert imported_anew(_deflate).isal_zlib is None


LIMIT = 2**20  # bytes
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"


def deflated(data: bytes, bits: int = 15, **how: Any) -> bytes:
    stream = zlib.compressobj(wbits=-bits, **how)
    return flushed(stream, data)


def flushed(stream: Any, data: bytes) -> bytes:
    result: bytes = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert result.endswith(TAIL)
    return result[:-4]


def codec_of(
    is_client: bool = False,
    limit: float = LIMIT,
    deflate: PerMessageDeflate | None = None,
    fragments: int = 100_000,
) -> DeflateCodec:
    return DeflateCodec(
        is_client=is_client,
        max_message_size=limit,
        max_fragments=fragments,
        deflate=deflate
        or PerMessageDeflate(server_max_window_bits=15, client_max_window_bits=15),
    )


def feed(codec: FrameCodec, *chunks: bytes) -> list[Received]:
    results: list[Received] = []
    for chunk in chunks:
        codec.feed(chunk)
        results += received(codec)
    return results


def failure(codec: FrameCodec, *chunks: bytes) -> int:
    with pytest.raises(ProtocolViolation) as caught:
        feed(codec, *chunks)
    assert 0 < len(caught.value.reason) <= 123
    return caught.value.code


def single(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# -- every combination ----------------------------------------------------------

# Repetitive at several distances, some of them longer than small windows.
CORPUS = [
    bytes(2000),
    bytes(range(256)) * 20,
    random.Random(1).randbytes(700) * 3,
    random.Random(2).randbytes(5000),
    b"".join(b'{"id": %d, "name": "caf\xc3\xa9"}' % i for i in range(2000)),
]
messages = st.lists(
    st.one_of(
        st.binary(max_size=50),
        st.text(max_size=50),
        st.sampled_from(CORPUS),
        st.sampled_from(CORPUS).map(lambda data: data[: len(data) // 2]),
    ),
    max_size=6,
)


ZLIB_COMBINATIONS = list(
    itertools.product([False, True], [False, True], range(9, 16), [True, False])
)


@given(st.sampled_from(ZLIB_COMBINATIONS), messages, st.data())
def test_D8_against_plain_zlib(
    how: tuple[bool, bool, int, bool], sent: list[bytes | str], data: st.DataObject
) -> None:
    forgets, other_forgets, bits, is_client = how
    agreed = (
        PerMessageDeflate(other_forgets, forgets, 12, bits, threshold=0)
        if is_client
        else PerMessageDeflate(forgets, other_forgets, bits, 12, threshold=0)
    )
    sender = codec_of(is_client, deflate=agreed)
    receiver = codec_of(not is_client, deflate=agreed)
    inflate = zlib.decompressobj(-bits)
    compress = zlib.compressobj(wbits=-bits)
    mask = MASK if is_client else None
    for message in sent:
        payload = message.encode() if isinstance(message, str) else message
        # zlib decompresses what the codec sends
        wire = bytearray(sender.frame_message(message))
        is_compressed = bool(wire[0] & 0x40)
        found = take_frame(wire)
        assert found is not None
        assert not wire
        plain = found.payload
        if is_compressed:
            assert not plain.endswith(TAIL)
            plain = inflate.decompress(plain + TAIL)
            if forgets:
                inflate = zlib.decompressobj(-bits)
        assert plain == payload
        # and the codec decompresses what zlib compresses, in fragments cut anywhere
        blob = flushed(compress, payload) if payload else b"\x00"
        if forgets:
            compress = zlib.compressobj(wbits=-bits)
        place = data.draw(st.integers(0, len(blob)))
        opcode = 1 if isinstance(message, str) else 2
        assert feed(
            receiver,
            frame(opcode, blob[:place], fin=False, rsv=RSV1, mask=mask)
            + frame(9, b"p", mask=mask)
            + frame(0, blob[place:], mask=mask),
        ) == [Ping(b"p"), message]


@given(any_parameters, any_parameters, messages, st.booleans())
def test_D8_what_is_sent_is_received(
    client: PerMessageDeflate,
    server: PerMessageDeflate,
    sent: list[bytes | str],
    from_client: bool,
) -> None:
    by_client, by_server = negotiated(client, server)
    one = codec_of(True, deflate=by_client)
    other = codec_of(False, deflate=by_server)
    if not from_client:
        one, other = other, one
    for message in sent:
        assert feed(other, one.frame_message(message)) == [message]


# -- the examples of RFC 7692 section 7.2.3 ---------------------------------------

HELLO = bytes.fromhex("f248cdc9c90700")


def test_the_examples_of_the_rfc() -> None:
    assert feed(codec_of(), frame(1, HELLO, rsv=RSV1)) == ["Hello"]
    pieces = frame(1, HELLO[:3], rsv=RSV1, fin=False) + frame(0, HELLO[3:])
    assert feed(codec_of(), pieces) == ["Hello"]
    again = frame(1, HELLO, rsv=RSV1) + frame(1, bytes.fromhex("f200110000"), rsv=RSV1)
    assert feed(codec_of(), again) == ["Hello", "Hello"]
    for text in (
        "000500faff48656c6c6f00",  # without compression
        "f348cdc9c9070000",  # with a final block
        "f24805000000ffffcac9c90700",  # in two blocks
    ):
        assert feed(codec_of(), frame(1, bytes.fromhex(text), rsv=RSV1)) == ["Hello"]
    for chunks in ([frame(2, b"\x00", rsv=RSV1)], single(frame(2, b"\x00", rsv=RSV1))):
        assert feed(codec_of(), *chunks) == [b""]


# -- D1: bombs --------------------------------------------------------------------

BOMB = bomb(256)


@pytest.mark.measured
@pytest.mark.parametrize("is_client", [False, True])
@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("size", [10**9, 65_536, 999])
def test_D1_a_bomb_is_not_decompressed(is_client: bool, opcode: int, size: int) -> None:
    data = frame(opcode, BOMB, rsv=RSV1, mask=None if is_client else bytes(4))
    for limit in (LIMIT, len(BOMB) // 2):
        codec = codec_of(is_client, limit)
        chunks = [data[i : i + size] for i in range(0, len(data), size)]
        tracemalloc.start()
        try:
            assert failure(codec, *chunks) == 1009
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= 3 * limit + 65_536


@pytest.mark.parametrize("is_client", [False, True])
@pytest.mark.parametrize("limit", [1, 1000, 32_767, 32_768, 32_769, 300_000])
def test_D1_exactly_the_limit(is_client: bool, limit: int) -> None:
    mask = None if is_client else MASK
    letters = bytes(random.Random(3).choices(b"abcdefgh", k=limit + 1))
    for content in (b"x" * (limit + 1), letters):
        codec = codec_of(is_client, limit)
        good = deflated(content[:-1])
        whole = frame(2, good, rsv=RSV1, mask=mask)
        assert feed(codec_of(is_client, limit), whole) == [content[:-1]]
        pieces = (
            frame(2, good[:5], rsv=RSV1, fin=False, mask=mask),
            frame(0, good[5:], mask=mask),
        )
        assert feed(codec, *pieces) == [content[:-1]]
        bad = deflated(content)
        for chunks in (
            [frame(2, bad, rsv=RSV1, mask=mask)],
            [
                frame(1, bad[:5], rsv=RSV1, fin=False, mask=mask),
                frame(0, bad[5:], mask=mask),
            ],
        ):
            assert failure(codec_of(is_client, limit), *chunks) == 1009


@pytest.mark.parametrize("is_client", [False, True])
def test_C9_invalid_text_fails_before_the_limit_does(is_client: bool) -> None:
    payload = deflated(b"\xc3\xc3" + bytes(3000))
    mask = None if is_client else MASK
    data = frame(1, payload, rsv=RSV1, mask=mask)
    for place in range(len(data)):
        codec = codec_of(is_client=is_client, limit=1000)
        assert failure(codec, data[:place], data[place:]) == 1007


def test_C9_text_that_is_too_long_fails_before_what_exceeds_the_limit() -> None:
    data = frame(1, deflated(b"a" * 100 + b"\xff"), rsv=RSV1)
    assert failure(codec_of(limit=100), data) == 1009


@pytest.mark.measured
def test_D1_a_message_that_does_not_shrink_takes_little_memory() -> None:
    content = random.Random(4).randbytes(LIMIT)
    data = frame(2, deflated(content), rsv=RSV1, mask=bytes(4))
    for size in (10**9, 65_536):
        codec = codec_of()
        tracemalloc.start()
        try:
            for start in range(0, len(data), size):
                codec.feed(data[start : start + size])
                result = next_of(codec)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert result == content
        assert peak <= 3 * LIMIT + 65_536


def test_there_may_be_no_limit() -> None:
    codec = codec_of(limit=math.inf)
    data = frame(2, deflated(bytes(10**7)), rsv=RSV1)
    assert feed(codec, data) == [bytes(10**7)]


def test_C4_compressed_bytes_have_a_limit_too() -> None:
    most = 2 * 1000 + 1024
    for length in (most + 1, 2**62, 2**63 - 1):
        assert failure(codec_of(limit=1000), frame(2, rsv=4, length=length)) == 1009
    assert feed(codec_of(limit=1000), frame(2, rsv=RSV1, length=most)) == []
    empty_blocks = b"\x00\x00\x00\xff\xff" * 300
    data = frame(2, empty_blocks, rsv=RSV1, fin=False)
    codec = codec_of(limit=1000)
    assert feed(codec, data) == []
    assert feed(codec, frame(0, length=most - 1500)) == []
    codec = codec_of(limit=1000)
    assert failure(codec, data + frame(0, length=most - 1499)) == 1009
    # an uncompressed message has its own limit
    assert failure(codec_of(limit=1000), frame(2, length=1001)) == 1009


def test_the_limits_hold_over_many_fragments() -> None:
    stream = zlib.compressobj(wbits=-15)
    blobs = [stream.compress(b"x") + stream.flush(2) for _ in range(1000)]
    blobs[-1] = blobs[-1][:-4]
    frames = [frame(0, blob, fin=False) for blob in blobs]
    frames[0] = frame(1, blobs[0], rsv=RSV1, fin=False)
    frames[-1] = frame(0, blobs[-1])
    assert feed(codec_of(), *frames) == ["x" * 1000]
    assert failure(codec_of(fragments=999), *frames) == 1008


# -- D4, D5, D6 -------------------------------------------------------------------


def test_D4_the_reserved_bit_of_compression() -> None:
    begun = frame(2, HELLO[:2], rsv=RSV1, fin=False)
    for data in (
        frame(1, HELLO, rsv=2),
        frame(1, HELLO, rsv=1),
        frame(1, HELLO, rsv=6),
        frame(8, rsv=RSV1),
        frame(9, rsv=RSV1),
        frame(10, rsv=RSV1),
        frame(0, rsv=RSV1),
        begun + frame(0, HELLO[2:], rsv=RSV1),
        begun + frame(2, HELLO, rsv=RSV1),
        frame(2, b"x", fin=False) + frame(0, HELLO, rsv=RSV1),
    ):
        for chunks in ([data], single(data)):
            assert failure(codec_of(), *chunks) == 1002
    plain = FrameCodec(is_client=False, max_message_size=99, max_fragments=9)
    assert failure(plain, frame(1, HELLO, rsv=RSV1)) == 1002
    assert plain.frame_message("x", compress=True) == b"\x81\x01x"


def test_compressed_and_plain_messages_take_turns() -> None:
    data = frame(1, b"plain") + frame(1, HELLO, rsv=RSV1) + frame(1, b"plain")
    for chunks in ([data], single(data)):
        assert feed(codec_of(), *chunks) == ["plain", "Hello", "plain"]


def test_D5_control_frames_inside_a_message() -> None:
    blob = deflated(b"hello hello hello")
    data = (
        frame(2, blob[:4], fin=False, rsv=RSV1)
        + frame(9, b"1")
        + frame(0, blob[4:6], fin=False)
        + frame(10, b"2")
        + frame(0, blob[6:])
    )
    expected = [Ping(b"1"), Pong(b"2"), b"hello hello hello"]
    for chunks in ([data], single(data)):
        assert feed(codec_of(), *chunks) == expected
    closed = frame(2, blob[:4], fin=False, rsv=RSV1) + frame(8)
    assert feed(codec_of(), closed) == [Close(1005, "")]


def codes_of(data: bytes) -> tuple[list[Received], int | None]:
    results: list[Received] = []
    codec = codec_of()
    codec.feed(data)
    try:
        results += received(codec)
    except ProtocolViolation as exc:
        return results, exc.code
    return results, None


DYNAMIC = b"".join(b"%d bottles of beer on the wall; " % i for i in range(200))


@pytest.mark.parametrize("agreed", [PerMessageDeflate(), PerMessageDeflate(True, True)])
@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"hello hello hello", {}),  # a fixed code
        (DYNAMIC, {}),  # a code of its own
        (random.Random(5).randbytes(200), {}),
        (random.Random(5).randbytes(200), {"level": 0}),  # stored
        (DYNAMIC * 20, {}),
    ],
)
def test_D6_messages_cut_short_fail(
    content: bytes, how: dict[str, Any], agreed: PerMessageDeflate
) -> None:
    blob = deflated(content, 12, **how)
    # A stored block begins with the byte that ends a message.
    first = 2 if blob[0] == 0 else 0
    assert feed(codec_of(deflate=agreed), frame(2, blob, rsv=RSV1)) == [content]
    for size in range(first, len(blob), max(1, len(blob) // 300)):
        data = frame(2, blob[:size], rsv=RSV1)
        assert failure(codec_of(deflate=agreed), data) == 1007


def test_D6_damaged_messages_fail() -> None:
    dice = random.Random(6)
    blob = deflated(DYNAMIC)
    for _ in range(500):
        bad = bytearray(blob)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        results, code = codes_of(frame(2, bytes(bad), rsv=RSV1))
        assert code in (None, 1007)
        assert len(results) == (code is None)
    for noise in (b"\xff", b"\x06", b"\x07\xff", b"Hello", bytes(100), TAIL):
        assert codes_of(frame(1, noise, rsv=RSV1)) == ([], 1007)


@given(st.binary(max_size=50))
def test_D6_noise_raises_nothing_else(noise: bytes) -> None:
    results, code = codes_of(frame(2, noise, rsv=RSV1))
    assert code in (None, 1007, 1008)
    assert len(results) == (code is None)


def test_D6_compressed_text_must_be_utf8() -> None:
    for bad in (b"\xff", b"a\xe2\x82", b"x" * 70_000 + b"\xed\xa0\x80"):
        assert failure(codec_of(), frame(1, deflated(bad), rsv=RSV1)) == 1007
    text = "aé€😀" * 9000
    data = frame(1, deflated(text.encode()), rsv=RSV1)
    for chunks in ([data], single(data)):
        assert feed(codec_of(), *chunks) == [text]


def test_D6_a_distance_beyond_the_window_fails() -> None:
    stream = zlib.compressobj(wbits=-15)
    random_bytes = random.Random(7).randbytes(3000)
    first = flushed(stream, random_bytes + bytes(20_000))
    second = flushed(stream, random_bytes)
    assert len(second) < 1000  # it refers to what is 20 000 bytes away
    agreed = PerMessageDeflate(client_max_window_bits=12)
    codec = codec_of(deflate=agreed)
    assert len(feed(codec, frame(2, first, rsv=RSV1))) == 1
    assert failure(codec, frame(2, second, rsv=RSV1)) == 1007
    # and before the start of the data
    assert failure(codec_of(), frame(2, second, rsv=RSV1)) == 1007


def final(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize("agreed", [PerMessageDeflate(), PerMessageDeflate(True, True)])
def test_D6_final_blocks_are_accepted(agreed: PerMessageDeflate) -> None:
    codec = codec_of(deflate=agreed)
    for blob, text in (
        (final(b"one") + b"\x00", "one"),  # RFC 7692 section 7.2.3.4
        (HELLO, "Hello"),
        (final(b"two"), "two"),  # without the byte to be flushed
        (final(b"th") + final(b"ree") + b"\x00", "three"),
        (final(b"f") + deflated(b"our"), "four"),
        (HELLO, "Hello"),
        (deflated(b"five") + TAIL + b"\x01", "five"),  # an empty one
        (HELLO, "Hello"),
    ):
        for data in (
            frame(1, blob, rsv=RSV1),
            frame(1, blob[:3], fin=False, rsv=RSV1) + frame(0, blob[3:]),
            frame(1, blob, fin=False, rsv=RSV1) + frame(0),
        ):
            for chunks in ([data], single(data)):
                assert feed(codec, *chunks) == [text]
    assert failure(codec, frame(1, final(b"x") + b"\x02", rsv=RSV1)) == 1007
    assert failure(codec_of(), frame(1, final(b"x")[:-1], rsv=RSV1)) == 1007


def test_D6_final_blocks_are_limited() -> None:
    blob = final(b"x") * 64
    assert feed(codec_of(), frame(1, blob, rsv=RSV1)) == ["x" * 64]
    assert failure(codec_of(), frame(1, blob + final(b"x"), rsv=RSV1)) == 1008
    flood = final(b"") * 30_000
    assert failure(codec_of(), frame(1, flood, rsv=RSV1)) == 1008


def test_the_inflater_yields_one_byte_more_than_the_budget() -> None:
    for room in (0, 1, 32_767, 32_768, 99_999):
        inflater = Inflater(PerMessageDeflate(), is_client=False)
        parts = list(inflater.inflate(BOMB, room))
        assert sum(map(len, parts)) == room + 1


# -- sending, and memory ----------------------------------------------------------


def is_compressed(data: bytes) -> bool:
    return bool(data[0] & 0x40)


def test_a_message_refers_to_those_before_it_with_context_takeover() -> None:
    message = random.Random(9).randbytes(1000)
    kept = codec_of()
    assert len(kept.frame_message(message)) > 1000
    assert len(kept.frame_message(message)) < 100
    dropped = codec_of(deflate=PerMessageDeflate(True, True, threshold=0))
    dropped.frame_message(message)
    assert len(dropped.frame_message(message)) > 1000


def test_short_messages_are_not_compressed() -> None:
    kept = codec_of()
    assert is_compressed(kept.frame_message("x"))
    assert not is_compressed(kept.frame_message(""))
    assert not is_compressed(kept.frame_message("", compress=True))
    forgetful = codec_of(deflate=PerMessageDeflate(True, True))
    assert not is_compressed(forgetful.frame_message("x" * 1023))
    assert is_compressed(forgetful.frame_message("x" * 1024))
    assert is_compressed(forgetful.frame_message("x" * 100, compress=True))
    assert not is_compressed(forgetful.frame_message("x" * 5000, compress=False))
    # Without context takeover a message that does not shrink is not compressed.
    assert not is_compressed(forgetful.frame_message(random.Random(8).randbytes(5000)))
    assert not is_compressed(forgetful.frame_message("x", compress=True))
    chosen = codec_of(deflate=PerMessageDeflate(threshold=100))
    assert not is_compressed(chosen.frame_message("x" * 99))
    assert is_compressed(chosen.frame_message("x" * 100))


def test_D7_uncompressed_messages_may_come_between() -> None:
    one, other = codec_of(True), codec_of(False)
    for i in range(20):
        message = f"message {i} of many"
        wire = one.frame_message(message, compress=bool(i % 3))
        assert is_compressed(wire) == bool(i % 3)
        assert feed(other, wire, one.frame_ping(b"p")) == [message, Ping(b"p")]


@pytest.mark.measured
@pytest.mark.parametrize("forgets", [False, True])
def test_D9_memory_between_messages(forgets: bool, compressor: str) -> None:
    agreed = PerMessageDeflate(forgets, forgets)
    one = codec_of(True, deflate=agreed)
    other = codec_of(False, deflate=agreed)
    text = "some text " * 500
    tracemalloc.start()
    try:
        for _ in range(5):
            assert feed(other, one.frame_message(text)) == [text]
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # One compressor and one decompressor, as one side has.
    if forgets:
        assert kept <= 4096
    else:
        assert kept <= (65_536 if compressor == "zlib" else 128 * 1024)


def test_the_faster_compressor_is_used(compressor: str) -> None:
    agreed = PerMessageDeflate(level=6)
    text = DYNAMIC.decode()
    wire = codec_of(deflate=agreed).frame_message(text)
    by_zlib = deflated(DYNAMIC, 12, level=6, memLevel=5)
    assert wire.endswith(by_zlib) == (compressor == "zlib")
    # ISA-L has no level that compresses as well as this one.
    wire = codec_of(deflate=PerMessageDeflate(level=7)).frame_message(text)
    assert wire.endswith(deflated(DYNAMIC, 12, level=7, memLevel=5))


def test_the_compressed_bytes_are_masked() -> None:
    wire = codec_of(True).frame_message("x" * 1000)
    assert wire[0] == 0xC1
    assert wire[1] == 0x80 | len(wire) - 6
    blob = masked(wire[6:], wire[2:6])
    assert zlib.decompressobj(-15).decompress(blob + TAIL) == b"x" * 1000
