"""Both codecs: frames, limits, and violations of the protocol.

test_frames.py has what only `FrameCodec` promises, and test_oracle.py compares the two
on arbitrary frames.
"""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Iterable
from typing import Protocol

import pytest
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import RsvBits

from anyio_websocket import PerMessageDeflate as PerMessageDeflateSettings
from anyio_websocket._protocol import Close, Ping, Pong
from anyio_websocket._protocol._codec import Codec, ProtocolViolation, Received
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.codecs import next_of, received
from ..support.costs import least_peak
from ..support.frames import frame


class Make(Protocol):
    """Makes the codec of one side."""

    def __call__(
        self, limit: float = 100, fragments: int = 5, *, is_client: bool = False
    ) -> Codec: ...


@pytest.fixture(params=[WsprotoCodec, FrameCodec])
def server(request: pytest.FixtureRequest) -> Make:
    """A function that makes the codec of a server or a client."""

    def make(
        limit: float = 100, fragments: int = 5, *, is_client: bool = False
    ) -> Codec:
        codec: Codec = request.param(
            is_client=is_client, max_message_size=limit, max_fragments=fragments
        )
        return codec

    return make


def drain(codec: Codec) -> list[Received]:
    return list(received(codec))


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


def test_messages_and_control_frames(server: Make) -> None:
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


def test_decoding_is_lazy(server: Make) -> None:
    codec = server()
    codec.feed(frame(1, b"a") + frame(3))
    assert codec.next() == "a"
    with pytest.raises(ProtocolViolation):
        codec.next()


@pytest.mark.parametrize("opcode", [1, 2])
def test_D1_exactly_the_limit_passes(server: Make, opcode: int) -> None:
    assert len(feed(server(), frame(opcode, b"x" * 100))) == 1
    fragments = frame(opcode, b"x" * 60, fin=False) + frame(0, b"x" * 40)
    for chunks in cuts(fragments):
        assert len(feed(server(), *chunks)) == 1
    for _ in range(3):  # each message is counted from zero
        assert len(feed(server(), fragments + fragments)) == 2


@pytest.mark.parametrize("opcode", [1, 2])
def test_D1_one_byte_more_fails(server: Make, opcode: int) -> None:
    for data in (
        frame(opcode, b"x" * 101),
        frame(opcode, b"x" * 60, fin=False) + frame(0, b"x" * 41),
    ):
        error = violation(server(), data)
        assert error.code == 1009
        assert error.reason == "Exceeded maximum message size: 100 bytes"


def test_D1_text_is_counted_in_bytes(server: Make) -> None:
    assert feed(server(), frame(1, ("é" * 50).encode())) == ["é" * 50]
    assert violation(server(), frame(1, ("é" * 51).encode())).code == 1009


@pytest.mark.parametrize("length", [101, 2**31, 2**32, 2**53, 2**62, 2**63 - 1])
@pytest.mark.parametrize("opcode", [1, 2])
def test_C4_too_long_a_frame_fails_at_its_header(
    server: Make, opcode: int, length: int
) -> None:
    assert violation(server(), frame(opcode, length=length)).code == 1009


def test_C4_a_length_has_63_bits(server: Make) -> None:
    assert violation(server(), frame(2, length=2**63)).code == 1002


def test_D2_the_number_of_fragments_is_limited(server: Make) -> None:
    four = frame(2, b"a", fin=False) + frame(0, b"b", fin=False) * 3
    assert feed(server(), four + frame(0, b"c")) == [b"abbbc"]
    error = violation(server(), four + frame(0, fin=False) + frame(0, fin=False))
    assert error.code == 1008
    assert "5 fragments" in error.reason


BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
# overlong, a surrogate, beyond U+10FFFF, a stray continuation byte, cut short
BAD_TEXTS = (b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"a\xe2\x82")


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
        *((frame(opcode), 1002) for opcode in (4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *((frame(1, rsv=rsv), 1002) for rsv in (1, 2, 7)),
        (frame(10, rsv=4), 1002),
        (frame(8, fin=False), 1002),
        (frame(9, length=126), 1002),
        (frame(1, fin=False) + frame(1), 1002),
        (frame(2, fin=False) + frame(1), 1002),
        (frame(1, b"x") + frame(0), 1002),
        (b"\x82\xfe\x00\x05" + bytes(9), 1002),  # 5 as two bytes
        (b"\x82\xff" + struct.pack("!Q", 65535) + bytes(9), 1002),
        *((frame(8, struct.pack("!H", code)), 1002) for code in BAD_CODES),
        *((frame(1, text), 1007) for text in BAD_TEXTS),
        *((frame(1, text, fin=False) + frame(0), 1007) for text in BAD_TEXTS),
        *((frame(1, fin=False) + frame(0, text), 1007) for text in BAD_TEXTS),
    ],
)
def test_violations_fail_with_their_code(server: Make, data: bytes, code: int) -> None:
    for chunks in cuts(data):
        codec = server()
        with pytest.raises(ProtocolViolation) as caught:
            feed(codec, *chunks)
        assert caught.value.code == code
        assert caught.value.reason
    closing = server()  # also after our Close was sent
    closing.frame_close(1000, "")
    assert violation(closing, data).code == code


def test_C1_a_server_must_not_mask(server: Make) -> None:
    codec = server(is_client=True)
    assert feed(codec, frame(1, b"x", mask=None)) == ["x"]
    assert violation(codec, frame(1, b"x")).code == 1002


def test_C3_text_may_be_cut_anywhere(server: Make) -> None:
    text = "aé€😀" * 5
    data = text.encode()
    for cut in range(len(data)):
        pieces = frame(1, data[:cut], fin=False) + frame(9) + frame(0, data[cut:])
        for chunks in cuts(pieces):
            assert feed(server(), *chunks) == [Ping(b""), text]


def test_C3_invalid_text_fails_with_its_frame(server: Make) -> None:
    codec = server()
    data = frame(1, b"bad: \xff and more to come", fin=False)
    with pytest.raises(ProtocolViolation):
        feed(codec, data)


def test_C5_valid_codes_are_received(server: Make) -> None:
    for code in (1000, 1001, 1002, 1003, 1007, 1011, 1013, 3000, 3999, 4000, 4999):
        payload = struct.pack("!H", code) + b"x" * 123
        assert feed(server(), frame(8, payload)) == [Close(code, "x" * 123)]


def test_C7_a_mask_key_of_zeros_is_valid(server: Make) -> None:
    assert feed(server(), frame(1, b"x", mask=bytes(4))) == ["x"]


def test_C9_large_messages_in_pieces(server: Make) -> None:
    payload = bytes(range(256)) * 1024
    codec = server(2**20)
    for size in (1000, 65_536, 70_000):
        for data in (
            frame(2, payload),
            frame(2, payload[:99_999], fin=False) + frame(0, payload[99_999:]),
        ):
            chunks = [data[i : i + size] for i in range(0, len(data), size)]
            assert feed(codec, *chunks) == [payload]


def test_a_close_without_a_code(server: Make) -> None:
    assert feed(server(), frame(8)) == [Close(1005, "")]


def test_round_trip(server: Make) -> None:
    client = server(is_client=True)
    assert feed(
        server(),
        client.frame_message("text")
        + client.frame_message(b"binary")
        + client.frame_ping(b"1")
        + client.frame_pong(b"2")
        + client.frame_close(1000, "bye"),
    ) == ["text", b"binary", Ping(b"1"), Pong(b"2"), Close(1000, "bye")]
    other = server()
    assert feed(client, other.frame_close(None, "")) == [Close(1005, "")]


def test_C7_mask_keys_differ(server: Make) -> None:
    client = server(is_client=True)
    keys = {client.frame_message(b"")[2:6] for _ in range(10_000)}
    assert len(keys) > 9_990  # 2**32 keys: a repeat among 10 000 is rare


def test_with_extensions_the_limit_counts_decoded_bytes() -> None:
    # The length in the header is that of the compressed payload, which may be longer
    # than the message. So the limit counts the decoded bytes.
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


@pytest.mark.measured
@pytest.mark.parametrize("chunk", [65536, 4096])
def test_D1_a_large_message_takes_little_more_than_its_size(
    server: Make, chunk: int
) -> None:
    limit = 2**20
    codec = server(limit)
    data = frame(2, bytes(limit), mask=b"\0\0\0\0")
    tracemalloc.start()
    try:
        for start in range(0, len(data), chunk):
            codec.feed(data[start : start + chunk])
            result = next_of(codec)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result == bytes(limit)
    assert peak <= 3 * limit + 65536


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 1023, 1024, 65535, 65536, 70001])
def test_the_codecs_frame_alike(size: int) -> None:
    message = os.urandom(size)
    for is_client in (True, False):
        for sender in (WsprotoCodec, FrameCodec):
            for receiver in (WsprotoCodec, FrameCodec):
                one = sender(is_client=is_client, max_message_size=9, max_fragments=1)
                other = receiver(
                    is_client=not is_client, max_message_size=size + 1, max_fragments=1
                )
                assert feed(other, one.frame_message(message)) == [message]


@pytest.mark.parametrize("is_client", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [100, 300, 100_000])
def test_large_messages_are_framed_alike(
    is_client: bool, compressed: bool, size: int
) -> None:
    deflate = PerMessageDeflateSettings() if compressed else None
    for message in ("é" * size, os.urandom(size)):
        one, other = (
            FrameCodec(
                is_client=side,
                max_message_size=2**20,
                max_fragments=10,
                deflate=deflate,
            )
            for side in (is_client, not is_client)
        )
        framed = one.frame_large(message)
        assert isinstance(framed, tuple) == (not is_client and not compressed)
        data = b"".join(framed) if isinstance(framed, tuple) else framed
        assert feed(other, data) == [message]


def test_large_messages_with_custom_extensions() -> None:
    codec = WsprotoCodec(is_client=False, max_message_size=2**20, max_fragments=10)
    assert codec.frame_large("text") == codec.frame_message("text")


@pytest.mark.measured
@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("in_fragments", [False, True])
def test_D12_pieces_take_no_memory_of_their_own(
    server: Make, opcode: int, in_fragments: bool
) -> None:
    size = 2**14
    if in_fragments:
        data = frame(opcode, b"x", fin=False, mask=None)
        data += frame(0, b"x", fin=False, mask=None) * (size - 2)
        data += frame(0, b"x", mask=None)
        step = 3
    else:
        data = frame(opcode, b"x" * size, mask=None)
        step = 1
    chunks = [data[i : i + step] for i in range(0, len(data), step)]
    results: list[Received] = []

    def receive() -> None:
        codec = server(size, size, is_client=True)
        results.clear()
        for chunk in chunks:
            codec.feed(chunk)
            results.extend(drain(codec))

    bound = 2.5 * size + 8192
    assert least_peak(receive, bound) <= bound
    assert results == ["x" * size if opcode == 1 else b"x" * size]


def test_D12_pieces_of_a_text_are_cut_anywhere(server: Make) -> None:
    text = "aé語😀" * 5
    data = frame(1, text.encode()[:20], fin=False, mask=None)
    data += frame(9, b"", mask=None) + frame(0, b"", fin=False, mask=None)
    data += frame(0, text.encode()[20:], mask=None) + frame(2, b"next", mask=None)
    for step in range(1, len(data)):
        codec = server(100, is_client=True)
        got: list[Received] = []
        for start in range(0, len(data), step):
            codec.feed(data[start : start + step])
            got += drain(codec)
        assert got == [Ping(b""), text, b"next"]
    codec = server(len(text.encode()) - 1, is_client=True)
    with pytest.raises(ProtocolViolation):
        for start in range(len(data)):
            codec.feed(data[start : start + 1])
            drain(codec)


def test_a_frame_for_many_is_made_once(server: Make) -> None:
    made: dict[object, bytes] = {}
    one, other, client = server(), server(), server(is_client=True)
    found = one.frame_for_many("text", None, made)
    assert other.frame_for_many("text", None, made) is found
    assert client.frame_for_many("text", None, made) is None  # it masks
    if isinstance(one, WsprotoCodec):  # its extensions may do anything
        assert found is None
    else:
        assert found == frame(1, b"text", mask=None)


def test_D12_what_extensions_return_is_counted() -> None:
    class Twice(Extension):
        name = "twice"

        def enabled(self) -> bool:
            return True

        def offer(self) -> bool | str:
            raise AssertionError

        def frame_inbound_payload_data(self, proto: object, data: bytes) -> bytes:
            return data * 2

    def codec(limit: int) -> WsprotoCodec:
        return WsprotoCodec(
            is_client=True,
            max_message_size=limit,
            max_fragments=5,
            extensions=[Twice()],
        )

    for opcode in (1, 2):
        fits = codec(20)
        fits.feed(frame(opcode, b"x" * 10, mask=None))
        assert drain(fits) == ["x" * 20 if opcode == 1 else b"x" * 20]
        breaks = codec(19)
        breaks.feed(frame(opcode, b"x" * 10, mask=None))
        with pytest.raises(ProtocolViolation) as caught:
            drain(breaks)
        assert caught.value.code == 1009
