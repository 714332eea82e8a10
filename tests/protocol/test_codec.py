"""The reference codec: limits that wsproto has not, and results for the engine."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterable

import pytest
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import RsvBits

from anyio_websocket._protocol import (
    Close,
    Codec,
    Ping,
    Pong,
    ProtocolViolation,
    Received,
    WsprotoCodec,
)

from ..support.frames import frame


def server(limit: float = 100, fragments: int = 5) -> WsprotoCodec:
    return WsprotoCodec(
        is_client=False, max_message_size=limit, max_fragments=fragments
    )


def drain(codec: Codec) -> list[Received]:
    results: list[Received] = []
    while (result := codec.next()) is not None:
        results.append(result)
    return results


def feed(codec: Codec, *chunks: bytes) -> list[Received]:
    results: list[Received] = []
    for chunk in chunks:
        codec.feed(chunk)
        results += drain(codec)
    return results


def violation(codec: Codec, data: bytes) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        feed(codec, data)
    return caught.value


def cuts(data: bytes) -> Iterable[list[bytes]]:
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]


def test_messages_and_control_frames() -> None:
    data = (
        frame(1, b"he", fin=False)
        + frame(9, b"p")
        + frame(0, "llö".encode())
        + frame(10, b"q")
        + frame(2, b"\x00\xff")
        + frame(1)
        + frame(8, struct.pack("!H", 4000) + b"why")
    )
    expected = [Ping(b"p"), "hellö", Pong(b"q"), b"\x00\xff", "", Close(4000, "why")]
    for chunks in cuts(data):
        assert feed(server(), *chunks) == expected


def test_decoding_is_lazy() -> None:
    codec = server()
    codec.feed(frame(1, b"a") + frame(3))
    assert codec.next() == "a"
    with pytest.raises(ProtocolViolation):
        codec.next()


@pytest.mark.parametrize("opcode", [1, 2])
def test_D1_exactly_the_limit_passes(opcode: int) -> None:
    assert len(feed(server(), frame(opcode, b"x" * 100))) == 1
    fragments = frame(opcode, b"x" * 60, fin=False) + frame(0, b"x" * 40)
    for chunks in cuts(fragments):
        assert len(feed(server(), *chunks)) == 1
    for _ in range(3):  # the count starts anew with each message
        assert len(feed(server(), fragments + fragments)) == 2


@pytest.mark.parametrize("opcode", [1, 2])
def test_D1_one_byte_more_fails(opcode: int) -> None:
    for data in (
        frame(opcode, b"x" * 101),
        frame(opcode, b"x" * 60, fin=False) + frame(0, b"x" * 41),
    ):
        error = violation(server(), data)
        assert error.code == 1009
        assert error.reason == "Exceeded maximum message size: 100 bytes"


def test_D1_text_is_counted_in_bytes() -> None:
    assert feed(server(), frame(1, ("é" * 50).encode())) == ["é" * 50]
    assert violation(server(), frame(1, ("é" * 51).encode())).code == 1009


@pytest.mark.parametrize("length", [101, 2**31, 2**32, 2**53, 2**62, 2**63 - 1])
@pytest.mark.parametrize("opcode", [1, 2])
def test_C4_an_announced_length_fails_at_the_header(opcode: int, length: int) -> None:
    assert violation(server(), frame(opcode, length=length)).code == 1009


def test_C4_most_significant_bit() -> None:
    assert violation(server(), frame(2, length=2**63)).code == 1002


def test_D2_number_of_fragments() -> None:
    four = frame(2, b"a", fin=False) + frame(0, b"b", fin=False) * 3
    assert feed(server(), four + frame(0, b"c")) == [b"abbbc"]
    error = violation(server(), four + frame(0, fin=False) + frame(0, fin=False))
    assert error.code == 1008
    assert "5 fragments" in error.reason


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"x", mask=None), 1002),
        (frame(3), 1002),
        (frame(1, rsv=4), 1002),
        (frame(9, fin=False), 1002),
        (frame(0), 1002),
        (frame(1, b"\xff"), 1007),
        (frame(8, b"\x03"), 1002),
        (frame(8, struct.pack("!H", 1005)), 1002),
        (frame(8, struct.pack("!H", 1000) + b"\xff"), 1007),
    ],
)
def test_violations(data: bytes, code: int) -> None:
    assert violation(server(), data).code == code
    closing = server()  # also while our own Close is out
    closing.close(1000, "")
    assert violation(closing, data).code == code


def test_close_without_a_code() -> None:
    assert feed(server(), frame(8)) == [Close(1005, "")]


def test_round_trip() -> None:
    client = WsprotoCodec(is_client=True, max_message_size=100, max_fragments=5)
    assert feed(
        server(),
        client.message("text")
        + client.message(b"binary")
        + client.ping(b"1")
        + client.pong(b"2")
        + client.close(1000, "bye"),
    ) == ["text", b"binary", Ping(b"1"), Pong(b"2"), Close(1000, "bye")]
    other = server()
    assert feed(client, other.close(None, "")) == [Close(1005, "")]


def test_C7_mask_keys_differ() -> None:
    client = WsprotoCodec(is_client=True, max_message_size=100, max_fragments=5)
    keys = {client.message(b"")[2:6] for _ in range(10_000)}
    assert len(keys) > 9_990  # 2**32 keys: a repeat among 10 000 is rare


def test_users_extensions_count_after_decoding() -> None:
    # The announced length is that of the compressed payload, and may be larger than
    # the message; so only what comes out counts.
    class Plain(PerMessageDeflate):
        def frame_outbound(
            self, proto: object, opcode: object, rsv: RsvBits, data: bytes, fin: bool
        ) -> tuple[RsvBits, bytes]:
            return rsv, data

    extension = Plain()
    extension._enabled = True
    codec = WsprotoCodec(
        is_client=False, max_message_size=100, max_fragments=5, extensions=[extension]
    )
    assert feed(codec, frame(2, b"x" * 100)) == [b"x" * 100]
    assert violation(codec, frame(2, b"x" * 101)).code == 1009


def test_D1_memory() -> None:
    limit = 2**20
    codec = server(limit)
    data = frame(2, bytes(limit), mask=b"\0\0\0\0")
    tracemalloc.start()
    try:
        for start in range(0, len(data), 65536):
            codec.feed(data[start : start + 65536])
            result = codec.next()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result == bytes(limit)
    assert peak <= 3 * limit + 65536
