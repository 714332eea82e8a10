"""Heads of HTTP/1.1 that are received in one piece or in many."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol._head_reader import (
    REQUEST_LINE,
    REQUEST_START,
    STATUS_LINE,
    STATUS_START,
    HeadReader,
)
from anyio_websocket._protocol._http import BadHead

from ..support.costs import grows_linearly


def outcome(*pieces: bytes) -> tuple[object, ...]:
    """Say what becomes of a head that comes in pieces: it, or what is wrong with it."""
    reader = HeadReader(REQUEST_LINE, REQUEST_START, blank_line=True, max_size=1024)
    heads: list[bytes] = []
    try:
        for piece in pieces:
            if (head := reader.feed(piece)) is not None:
                heads.append(head)
                break
    except BadHead as exc:
        return exc.status_code, exc.reason
    return (*heads, reader.starts_with(b"GET "))


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"\n", b"\r", b"\0"),
                *(b"\r\n\r\n", b" folded", b"\tfolded", b"no colon\r\n", b"A: b\n"),
                *(b"A: b\r\n" * 98, b"A: b\r\n" * 99, b"A: " + b"x" * 990 + b"\r\n"),
            ]
        ),
        max_size=8,
    )
)
def test_A7_a_head_in_one_piece_is_checked_as_one_in_many(lines: list[bytes]) -> None:
    data = b"GET / HTTP/1.1\r\n" + b"".join(lines)
    assert outcome(data) == outcome(*(data[i : i + 1] for i in range(len(data))))


@pytest.mark.measured
def test_A3_a_first_line_without_spaces_costs_linear_time() -> None:
    def line(size: int) -> None:
        reader = HeadReader(REQUEST_LINE, REQUEST_START)
        for _ in range(size):
            reader.feed(b"A")

    assert grows_linearly(line, 4000)


@pytest.mark.parametrize(
    ("start_line", "start", "data"),
    [
        (REQUEST_LINE, REQUEST_START, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
        (STATUS_LINE, STATUS_START, b"HTTP/1.1 200\r\n\r\n"),
        (STATUS_LINE, STATUS_START, b"HTTP/1.0 999 caf\xe9 x\r\nA: b\r\n\r\n"),
    ],
)
def test_a_head_is_found_wherever_it_is_cut(
    start_line: re.Pattern[bytes], start: re.Pattern[bytes], data: bytes
) -> None:
    for cut in range(len(data)):
        reader = HeadReader(start_line, start)
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:] + b"rest\r\n") == data
        assert reader.trailing == b"rest\r\n"


def test_A3_the_limits_are_exact() -> None:
    fits = b"GET / HTTP/1.1\r\n"
    fits += (b"A: " + b"a" * 16379 + b"\r\n") + (b"B: " + b"b" * 16000 + b"\r\n") * 2
    fits += b"C: " + b"c" * (16384 - 5) + b"\r\n"
    fits += b"D: "
    fits += b"d" * (65536 - len(fits) - 4) + b"\r\n\r\n"
    assert len(fits) == 65536
    assert HeadReader(REQUEST_LINE, REQUEST_START).feed(fits) == fits
    for longer in (fits.replace(b"D: ", b"D:  "), fits.replace(b"A: ", b"A:  ")):
        with pytest.raises(BadHead) as caught:
            HeadReader(REQUEST_LINE, REQUEST_START).feed(longer)
        assert caught.value.status_code == 431
        assert "(max_head_size=65536)" in caught.value.reason


@pytest.mark.parametrize(
    ("size", "line", "headers"),
    [
        (1024, 8192, 100),
        (32768, 8192, 100),
        (51712, 12928, 101),
        (65536, 16384, 128),
        (2**20, 2**18, 2048),
    ],
)
def test_A17_line_and_count_follow_from_the_whole(
    size: int, line: int, headers: int
) -> None:
    def status(*lines: bytes) -> int:
        data = b"\r\n".join((b"GET / HTTP/1.1", *lines, b"", b""))
        reader = HeadReader(REQUEST_LINE, REQUEST_START, max_size=size)
        try:
            return 200 if reader.feed(data) == data else 0
        except BadHead as exc:
            return exc.status_code if f"(max_head_size={size})" in exc.reason else 0

    whole = size - len(b"GET / HTTP/1.1\r\n\r\n")
    longest = min(line, whole)
    assert status(b"A: " + b"x" * (longest - 5)) == 200
    assert status(b"A: " + b"x" * (longest - 4)) == 431
    assert status(*[b"A: "] * headers) == 200
    assert status(*[b"A: "] * (headers + 1)) == 431
    count, rest = divmod(whole, longest)
    full = [b"A: " + b"x" * (longest - 5)] * (count - 1)
    full.append(b"A: " + b"x" * (longest - 105))
    full.append(b"B: " + b"x" * (rest + 95))
    if len(full[-1]) + 2 <= line:
        assert status(*full) == 200
        assert status(*full[:-1], full[-1] + b"x") == 431


def test_A17_work_is_linear_however_large_heads_may_be() -> None:
    def head(size: int) -> None:
        reader = HeadReader(REQUEST_LINE, REQUEST_START, max_size=2**20)
        data = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"Y: " + b"y" * size
        for i in range(0, len(data), 4):
            assert reader.feed(data[i : i + 4]) is None

    assert grows_linearly(head, 50_000)
