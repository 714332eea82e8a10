"""Several frames in one piece: what is joined, and when it is made."""

from __future__ import annotations

from anyio_websocket._connection._joined_frames import (
    MAX_FRAMES,
    MAX_SIZE,
    joined_frames,
)


def test_small_frames_are_joined() -> None:
    assert list(joined_frames(bytes, [b"one, ", b"two, ", b"three"])) == [
        (b"one, two, three", b"")
    ]
    assert list(joined_frames(bytes, [])) == []


def test_a_piece_is_bounded_by_its_size() -> None:
    half = bytes(MAX_SIZE // 2)
    pieces = [first for first, _ in joined_frames(bytes, [half] * 5)]
    assert [len(piece) for piece in pieces] == [MAX_SIZE, MAX_SIZE, MAX_SIZE // 2]


def test_a_piece_is_bounded_by_number() -> None:
    count = 2 * MAX_FRAMES + 1
    pieces = [first for first, _ in joined_frames(bytes, [b"x"] * count)]
    assert [len(piece) for piece in pieces] == [MAX_FRAMES, MAX_FRAMES, 1]


def test_a_large_payload_is_not_copied() -> None:
    large = bytes(MAX_SIZE)

    def frame(payload: bytes) -> bytes | tuple[bytes, bytes]:
        return (b"header, ", payload) if payload is large else payload

    pieces = list(joined_frames(frame, [b"before, ", large, b"behind"]))
    assert pieces == [(b"before, header, ", large), (b"behind", b"")]
    assert pieces[0][1] is large


def test_a_frame_is_made_when_those_before_were_written() -> None:
    # Otherwise a compressor would see messages that are never sent.
    made: list[bytes] = []

    def frame(payload: bytes) -> bytes:
        made.append(payload)
        return payload

    pieces = joined_frames(frame, [bytes(MAX_SIZE), b"next"])
    next(pieces)
    assert len(made) == 1
    next(pieces)
    assert made[1:] == [b"next"]
