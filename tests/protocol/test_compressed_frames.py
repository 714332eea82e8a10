"""Compressed messages that come whole: the short way does what the long one does."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import Paused, Ping
from anyio_websocket._protocol._codec import TURN, Codec, ProtocolViolation, Received
from anyio_websocket._protocol._compressed_frames import (
    DeflateCodec,
    UndecodedDeflateCodec,
)
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._permessage_deflate import PerMessageDeflate
from anyio_websocket._protocol._undecoded import UndecodedCodec

from ..support.codecs import received
from ..support.frames import MASK, frame

LIMIT = 40_000
RSV1 = 4
TEXT, BINARY, PING = 1, 2, 9


def codec_of(
    make: type[FrameCodec], *, forgets: bool = False, is_client: bool = False
) -> FrameCodec:
    return make(
        is_client=is_client,
        max_message_size=LIMIT,
        max_fragments=9,
        deflate=PerMessageDeflate(
            server_no_context_takeover=forgets, client_no_context_takeover=forgets
        ),
    )


def deflated(data: bytes, how: int = zlib.Z_SYNC_FLUSH) -> bytes:
    stream = zlib.compressobj(wbits=-9)
    result = stream.compress(data) + stream.flush(how)
    return result[:-4] if how == zlib.Z_SYNC_FLUSH else result


def compressed(data: bytes, opcode: int = BINARY, *, is_client: bool = False) -> bytes:
    mask = None if is_client else MASK
    return frame(opcode, deflated(data), mask=mask, rsv=RSV1)


def outcome(codec: Codec, *chunks: bytes) -> list[Received | int]:
    """Return what was received, and the code of a violation."""
    results: list[Received | int] = []
    try:
        for chunk in chunks:
            found, has_more = codec.take_received(chunk, 2)
            results += found
            if has_more:
                results += received(codec)
    except ProtocolViolation as violation:
        results.append(violation.code)
    return results


def test_many_are_taken_with_one_call() -> None:
    codec = codec_of(DeflateCodec)
    wire = compressed(b"one") + compressed("zwei µ".encode(), TEXT)
    wire += frame(TEXT, b"three", mask=MASK) + compressed(b"four")
    codec.feed(wire + compressed(b"five")[:-1])
    assert codec.take_messages(9) == [b"one", "zwei µ", "three", b"four"]
    assert codec.has_more()
    assert codec.take_messages(9) == []
    codec = codec_of(UndecodedDeflateCodec)
    codec.feed(wire)
    assert codec.take_messages(2) == [b"one", "zwei µ".encode()]
    assert codec.take_messages(2) == [b"three", b"four"]
    assert not codec.has_more()


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("forgets", [True, False])
def test_what_is_long_or_wrong_comes_after_what_was_before(
    forgets: bool, is_client: bool
) -> None:
    mask = None if is_client else MASK
    good = compressed(b"good", is_client=is_client)
    bad = {
        "not deflated": b"\xff\xff",
        "cut short": deflated(b"a longer message")[:-1],
        "too big": deflated(bytes(LIMIT + 1)),
        "not UTF-8": deflated(b"\xff"),
    }
    for name, payload in bad.items():
        codec = codec_of(DeflateCodec, forgets=forgets, is_client=is_client)
        opcode = TEXT if name == "not UTF-8" else BINARY
        codec.feed(good + frame(opcode, payload, mask=mask, rsv=RSV1) + good)
        assert codec.take_messages(9) == [b"good"]
        assert codec.has_more()
        assert codec.take_messages(9) == []
        with pytest.raises(ProtocolViolation) as caught:
            codec.next()
        assert caught.value.code == (1009 if name == "too big" else 1007), name
    # More than one step of zlib, and final blocks.
    for data in (bytes(LIMIT), b"final"):
        codec = codec_of(DeflateCodec, forgets=forgets, is_client=is_client)
        how = zlib.Z_FINISH if data == b"final" else zlib.Z_SYNC_FLUSH
        wire = good + frame(BINARY, deflated(data, how), mask=mask, rsv=RSV1)
        found, has_more = codec.take_received(wire, 9)
        assert (found, has_more) == ([b"good"], True)
        assert list(received(codec)) == [data]
        assert not codec.has_more()
        assert codec.take_received(good, 9) == ([b"good"], False)


def test_F12_no_more_is_taken_than_for_a_turn() -> None:
    codec = codec_of(DeflateCodec)
    one = compressed(bytes(10_000))
    codec.feed(one * 100)
    taken = codec.take_messages(100)
    assert 1 < len(taken) <= TURN // 20
    assert codec.take_messages(100) == []
    assert codec.next() is Paused.PAUSED
    assert codec.take_messages(100) == taken


PARTS = st.one_of(
    st.binary(max_size=30).map(compressed),
    st.text(max_size=30).map(lambda text: compressed(text.encode(), TEXT)),
    st.sampled_from([bytes(LIMIT), bytes(LIMIT + 1), bytes(32768)]).map(compressed),
    st.binary(max_size=30).map(lambda data: compressed(data, TEXT)),
    st.tuples(st.sampled_from([TEXT, BINARY]), st.binary(max_size=30)).map(
        lambda pair: frame(*pair, mask=MASK, rsv=RSV1)
    ),
    st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.binary(max_size=30)).map(
        lambda pair: frame(*pair, mask=MASK)
    ),
)


@given(st.lists(PARTS, max_size=6), st.booleans(), st.booleans(), st.data())
def test_D8_both_ways_have_the_same_outcome(
    parts: list[bytes], forgets: bool, is_decoded: bool, data: st.DataObject
) -> None:
    wire = b"".join(parts)
    cut = data.draw(st.integers(0, len(wire)))
    short, long = (
        (DeflateCodec, FrameCodec)
        if is_decoded
        else (UndecodedDeflateCodec, UndecodedCodec)
    )
    for chunks in ((wire,), (wire[:cut], wire[cut:])):
        assert outcome(codec_of(short, forgets=forgets), *chunks) == outcome(
            codec_of(long, forgets=forgets), *chunks
        )


def test_a_message_in_pieces_is_completed_first() -> None:
    codec = codec_of(DeflateCodec)
    wire = compressed(b"whole")
    payload = deflated(b"in two frames")
    wire += frame(BINARY, payload[:3], mask=MASK, rsv=RSV1, fin=False)
    assert outcome(codec, wire + frame(PING, b"", mask=MASK)) == [b"whole", Ping(b"")]
    assert codec.take_received(frame(0, payload[3:], mask=MASK), 9) == ([], True)
    assert list(received(codec)) == [b"in two frames"]
