"""Masking, parsing and building frames: the functions in Python and those in C."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import _kernels_py
from anyio_websocket._protocol._kernels_py import MASKED, WHOLE_BINARY, WHOLE_TEXT

try:
    from anyio_websocket._protocol import _kernels_c
except ImportError:
    in_c: ModuleType | None = None
else:
    in_c = _kernels_c

KEY = b"\x01\x80\xff\x7e"
SIZES = [0, 1, 3, 7, 8, 9, 125, 126, 127, 2047, 2048, 65535, 65536, 200_001]


@pytest.fixture(params=["python", "c"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "python":
        return _kernels_py
    if in_c is None:
        pytest.skip("_kernels_c is not built")
    return in_c


def xor(data: bytes, key: bytes) -> bytes:
    """Mask as RFC 6455 section 5.3 writes it."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data))


@pytest.mark.parametrize("size", SIZES)
def test_payloads_are_masked(kernels: ModuleType, size: int) -> None:
    data = os.urandom(size)
    assert kernels.mask(data, KEY) == xor(data, KEY)
    assert kernels.mask(bytearray(data), KEY) == xor(data, KEY)


@pytest.mark.parametrize("size", SIZES)
def test_a_payload_is_masked_into_its_place(kernels: ModuleType, size: int) -> None:
    data = os.urandom(size + 5)
    target = bytearray(b"?" * (size + 7))
    with memoryview(target) as view:
        kernels.mask_into(view, 3, data, 2, size, KEY)
        assert target == b"???" + xor(data[2 : 2 + size], KEY) + b"????"
        kernels.mask_into(view, 3, view, 3, size, KEY)
    assert target == b"???" + data[2 : 2 + size] + b"????"


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_built(kernels: ModuleType, size: int) -> None:
    payload = os.urandom(size)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    assert kernels.make_frame(0xC1, payload, None) == b"\xc1" + length + payload
    masked_length = bytes([length[0] | 0x80]) + length[1:]
    expected = b"\xc1" + masked_length + KEY + xor(payload, KEY)
    assert kernels.make_frame(0xC1, payload, KEY) == expected


@pytest.mark.parametrize("size", SIZES)
def test_messages_are_framed_without_a_mask(kernels: ModuleType, size: int) -> None:
    text = "a" * size
    for message, first in ((text, WHOLE_TEXT), (text.encode(), WHOLE_BINARY)):
        expected = kernels.make_frame(first, message, None)
        assert kernels.frame_unmasked(message) == expected
    assert kernels.frame_unmasked("é") == b"\x81\x02\xc3\xa9"
    with pytest.raises(UnicodeEncodeError):
        kernels.frame_unmasked("\ud800")


@pytest.mark.parametrize("mask_bit", [0, MASKED])
@pytest.mark.parametrize("size", SIZES)
def test_whole_messages_are_taken(
    kernels: ModuleType, size: int, mask_bit: int
) -> None:
    payload = b"a" * size
    key = KEY if mask_bit else None
    for first, message in ((WHOLE_TEXT, payload.decode()), (WHOLE_BINARY, payload)):
        frame = _kernels_py.make_frame(first, payload, key)
        buffer = b"before" + frame + b"behind"
        taken = kernels.take_messages(buffer, 6, mask_bit, size, 9)
        if kernels is _kernels_py and size > 125:
            assert taken == ([], 6)  # next() returns those
        else:
            assert taken == ([message], 6 + len(frame))
        # too long, incomplete, or with the wrong mask bit
        assert not size or kernels.take_messages(buffer, 6, mask_bit, size - 1, 9) == (
            [],
            6,
        )
        assert kernels.take_messages(frame[:-1], 0, mask_bit, size, 9) == ([], 0)
        assert kernels.take_messages(frame, 0, mask_bit ^ MASKED, size, 9) == ([], 0)


@pytest.mark.parametrize("key", [None, KEY])
def test_several_messages_are_taken(kernels: ModuleType, key: bytes | None) -> None:
    mask_bit = 0 if key is None else MASKED
    messages: list[str | bytes] = ["a", b"", "\xe9", b"bytes", ""]
    frames = [
        _kernels_py.make_frame(
            WHOLE_TEXT if isinstance(m, str) else WHOLE_BINARY, m, key
        )
        for m in messages
    ]
    ends = [sum(map(len, frames[: i + 1])) for i in range(len(frames))]
    ping = _kernels_py.make_frame(0x89, b"", key)
    for behind in (b"", ping, frames[0][:-1]):
        buffer = b"".join(frames) + behind
        assert kernels.take_messages(buffer, 0, mask_bit, 99, 9) == (messages, ends[-1])
        assert kernels.take_messages(buffer, 0, mask_bit, 99, 3) == (
            messages[:3],
            ends[2],
        )
        assert kernels.take_messages(buffer, ends[0], mask_bit, 99, 1) == (
            [b""],
            ends[1],
        )
        assert kernels.take_messages(buffer, 0, mask_bit, 99, 0) == ([], 0)


@pytest.mark.parametrize("first", [0x00, 0x80, 0x01, 0x02, 0x83, 0x88, 0x8A, 0xC1])
def test_other_frames_are_not_taken(kernels: ModuleType, first: int) -> None:
    assert kernels.take_messages(
        _kernels_py.make_frame(first, b"", None), 0, 0, 100, 9
    ) == (
        [],
        0,
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x82",
        b"\x82\x7e\x00",
        b"\x82\x7e\x00\x01x",  # a length that has a shorter form
        b"\x82\x7f" + bytes(7) + b"\x01x",
        b"\x82\x7e\x00\x7d" + bytes(125),  # each one byte too short for its form
        b"\x82\x7f" + bytes(6) + b"\xff\xff" + bytes(65535),
        b"\x82\x7f\xff" + bytes(7),  # over any max_size
        b"\x81\x01\xff",  # no UTF-8
        b"\x81\x03\xed\xa0\x80",  # half of a surrogate pair
    ],
)
def test_invalid_and_incomplete_frames_are_not_taken(
    kernels: ModuleType, frame: bytes
) -> None:
    assert kernels.take_messages(frame, 0, 0, sys.maxsize, 9) == ([], 0)


@given(
    buffer=st.binary(max_size=200),
    start=st.integers(0, 200),
    mask_bit=st.sampled_from([0, MASKED]),
    max_size=st.integers(0, 200),
    max_count=st.integers(0, 5),
)
def test_c_and_python_take_the_same(
    buffer: bytes, start: int, mask_bit: int, max_size: int, max_count: int
) -> None:
    if in_c is None:
        pytest.skip("_kernels_c is not built")
    start = min(start, len(buffer))
    # Mostly frames: hardly any random bytes are a message.
    for data in (buffer, b"\x81\x80" + buffer, b"\x82\x05" + buffer):
        while True:
            messages, end = in_c.take_messages(
                data, start, mask_bit, max_size, max_count
            )
            found = _kernels_py.take_messages(
                data, start, mask_bit, max_size, max_count
            )
            if len(found[0]) == len(messages):
                assert found == (messages, end)
                break
            # The function in Python does not take longer messages.
            assert messages[: len(found[0])] == found[0]
            assert data[found[1] + 1] & 0x7F > 125
            start, max_count = end, max_count - len(messages)


@given(st.lists(st.text(max_size=20) | st.binary(max_size=20)), st.booleans())
def test_undecoded_texts_are_the_same_in_bytes(
    messages: list[str | bytes], is_masked: bool
) -> None:
    key, mask_bit = (KEY, MASKED) if is_masked else (None, 0)
    buffer = b"".join(
        _kernels_py.make_frame(
            WHOLE_TEXT if isinstance(message, str) else WHOLE_BINARY, message, key
        )
        for message in messages
    )
    expected = [m.encode() if isinstance(m, str) else m for m in messages]
    for kernels in (_kernels_py, in_c):
        if kernels is not None:
            for behind in (b"", _kernels_py.make_frame(WHOLE_TEXT, b"ab\xff", key)):
                assert kernels.take_undecoded(buffer + behind, 0, mask_bit, 99, 99) == (
                    expected,
                    len(buffer),
                )


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("mask", (b"",)),
        ("mask", (b"", b"key")),
        ("mask", (b"", "text")),
        ("mask", ("text", KEY)),
        ("take_messages", (b"", 0, 0, 0)),
        ("take_undecoded", (b"", 0, 0, 0)),
        ("take_messages", (bytearray(), 0, 0, 0, 1)),
        ("take_messages", (b"", 1, 0, 0, 1)),
        ("take_messages", (b"", -1, 0, 0, 1)),
        ("take_messages", (b"", 0, 0, -1, 1)),
        ("take_messages", (b"", 0, 0, 2**64, 1)),
        ("take_messages", (b"", 0, 0, 1, 2**64)),
        ("take_messages", (b"", 0.5, 0, 0, 1)),
        ("make_frame", (1, b"")),
        ("make_frame", (1, 5, None)),
        ("make_frame", (1, "\ud800", None)),
        ("make_frame", (1, b"", b"long key")),
        ("make_frame", ("1", b"", None)),
    ],
)
def test_c_functions_check_their_arguments(
    function: str, arguments: tuple[object, ...]
) -> None:
    # No caller does this, but C must not read outside its buffers if one did.
    if in_c is None:
        pytest.skip("_kernels_c is not built")
    with pytest.raises((TypeError, ValueError, OverflowError)):
        getattr(in_c, function)(*arguments)


def test_no_memory_is_lost(kernels: ModuleType) -> None:
    frames = _kernels_py.make_frame(WHOLE_TEXT, "a" * 100, KEY) * 3
    frames += _kernels_py.make_frame(WHOLE_TEXT, b"\xff" * 100, KEY)

    def call_each() -> None:
        data = bytearray(100)
        kernels.mask(data, KEY)
        data += b"x"  # fails while a buffer of it is held
        kernels.frame_unmasked("b" * 100)
        kernels.make_frame(1, b"c" * 100, KEY)
        kernels.take_messages(frames, 0, MASKED, 100, 9)
        kernels.take_undecoded(frames, 0, MASKED, 100, 9)

    call_each()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        call_each()
    assert sys.getallocatedblocks() - before < 500


@pytest.mark.parametrize("mask_bit", [0, MASKED])
@pytest.mark.parametrize("first", [0xC1, 0xC2])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 3000])
def test_the_payload_of_a_compressed_message_is_taken(
    kernels: ModuleType, first: int, size: int, mask_bit: int
) -> None:
    payload = os.urandom(size)
    whole = kernels.make_frame(first, payload, KEY if mask_bit else None)
    take = kernels.take_compressed
    assert take(whole, 0, mask_bit, size) == (first, payload, len(whole))
    found = take(b"??" + whole + b"??", 2, mask_bit, 2**13)
    assert found == (first, payload, 2 + len(whole))
    # Too long, incomplete, or with the wrong mask bit.
    if size:
        assert take(whole, 0, mask_bit, size - 1) is None
    for end in (*range(8), len(whole) - 1):
        if end < len(whole):
            assert take(whole[:end], 0, mask_bit, 2**13) is None
    assert take(whole, 0, mask_bit ^ MASKED, 2**13) is None


@pytest.mark.parametrize(
    "wire",
    [
        b"\x81\x01a",  # not compressed
        b"\x41\x01a",  # a fragment
        b"\xe1\x01a",  # another reserved bit
        b"\xc9\x01a",  # a Ping
        b"\xc1\x7e\x00\x7d" + bytes(125),  # a length that is not in its shortest form
        b"\xc1\x7f" + (65536).to_bytes(8, "big") + bytes(65536),  # longer than allowed
    ],
)
def test_nothing_else_is_taken_for_a_compressed_message(
    kernels: ModuleType, wire: bytes
) -> None:
    assert kernels.take_compressed(wire, 0, 0, 2**13) is None


def test_what_take_compressed_in_c_rejects() -> None:
    if in_c is None:
        pytest.skip("_kernels_c is not built")
    take = in_c.take_compressed
    for arguments in (
        (b"", 0, 0),
        ("", 0, 0, 9),
        (b"", "0", 0, 9),
        (b"", 0, 0, None),
    ):
        with pytest.raises(TypeError):
            take(*arguments)
    for start, size in ((1, 9), (-1, 9), (0, -1)):
        with pytest.raises(ValueError, match="inside the buffer"):
            take(b"", start, 0, size)


def test_what_mask_into_in_c_rejects() -> None:
    if in_c is None:
        pytest.skip("_kernels_c is not built")
    mask_into = in_c.mask_into
    target = bytearray(8)
    for at, start, size in (
        *((-1, 0, 1), (0, -1, 1), (0, 0, -1)),
        *((9, 0, 0), (0, 9, 0), (1, 0, 8), (0, 1, 8), (0, 0, 2**62)),
    ):
        with pytest.raises(ValueError, match="inside of both"):
            mask_into(target, at, bytes(8), start, size, KEY)
    for arguments in (
        (target, 0, bytes(8), 0, 8),
        (bytes(8), 0, bytes(8), 0, 8, KEY),
        (target, 0, "8 letters", 0, 8, KEY),
        (target, None, bytes(8), 0, 8, KEY),
        (target, 0, bytes(8), 0, 8, "four"),
    ):
        with pytest.raises((TypeError, BufferError)):
            mask_into(*arguments)
    with pytest.raises(ValueError, match="four bytes"):
        mask_into(target, 0, bytes(8), 0, 8, b"123")
    assert target == bytes(8)
