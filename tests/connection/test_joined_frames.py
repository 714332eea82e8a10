"""Several frames in one piece: what is joined, and when it is made."""

from __future__ import annotations

from collections.abc import Callable

from anyio_websocket._connection._joined_frames import (
    MAX_FRAMES,
    MAX_PAYLOAD,
    MAX_SIZE,
    join_frames,
)
from anyio_websocket._protocol import Frame


def pieces(
    frame: Callable[[bytes], Frame], payloads: list[bytes]
) -> list[tuple[bytes, bytes]]:
    joined = []
    end = 0
    while end < len(payloads):
        first, second, end = join_frames(frame, payloads, end)
        joined.append((first, second))
    return joined


def test_small_frames_are_joined() -> None:
    assert pieces(bytes, [b"one, ", b"two, ", b"three"]) == [(b"one, two, three", b"")]


def test_a_piece_is_bounded_by_its_size() -> None:
    half = bytes(MAX_SIZE // 2)
    sizes = [len(first) for first, _ in pieces(lambda _: half, [b""] * 5)]
    assert sizes == [MAX_SIZE, MAX_SIZE, MAX_SIZE // 2]


def test_a_piece_is_bounded_by_number() -> None:
    sizes = [len(first) for first, _ in pieces(bytes, [b"x"] * (2 * MAX_FRAMES + 1))]
    assert sizes == [MAX_FRAMES, MAX_FRAMES, 1]


def test_a_piece_is_bounded_by_what_is_compressed() -> None:
    half = bytes(MAX_PAYLOAD // 2)
    sizes = [len(first) for first, _ in pieces(lambda _: b"x", [half] * 5)]
    assert sizes == [2, 2, 1]


def test_a_large_payload_is_not_copied() -> None:
    large = bytes(MAX_SIZE)

    def frame(payload: bytes) -> bytes | tuple[bytes, bytes]:
        return (b"header, ", payload) if payload is large else payload

    joined = pieces(frame, [b"before, ", large, b"after"])
    assert joined == [(b"before, header, ", large), (b"after", b"")]
    assert joined[0][1] is large


def test_only_the_frames_of_a_piece_are_made() -> None:
    # Otherwise a compressor would see messages that are never sent.
    made: list[bytes] = []

    def frame(payload: bytes) -> bytes:
        made.append(payload)
        return payload

    _, _, end = join_frames(frame, [bytes(MAX_SIZE), b"next"], 0)
    assert end == len(made) == 1
