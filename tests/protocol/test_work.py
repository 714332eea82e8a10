"""How much a codec does in one turn, counted in bytes and frames (row F12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from anyio_websocket import PerMessageDeflate
from anyio_websocket._protocol import Paused
from anyio_websocket._protocol._codec import TURN, Received
from anyio_websocket._protocol._compressed_frames import DeflateCodec
from anyio_websocket._protocol._deflate import INPUT_STEP
from anyio_websocket._protocol._engine import MAX_FRAGMENTS
from anyio_websocket._protocol._kernels_py import BLOCK
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.frames import BINARY, CONTINUATION, MASK, TEXT, frame
from ..support.hostile_work import CJK, COMPRESSED, MIB, TRAFFIC, deflated


class Turn(NamedTuple):
    """What one call of ``next()`` did."""

    result: Received | Paused | None
    taken: int  # bytes that were received
    grown: int  # bytes by which the message became longer


def codec_of(is_client: bool) -> DeflateCodec:
    return DeflateCodec(
        is_client=is_client,
        max_message_size=MIB,
        max_fragments=MAX_FRAGMENTS,
        deflate=PerMessageDeflate(),
    )


def turns(codec: DeflateCodec, data: bytes) -> Iterator[Turn]:
    codec.feed(data)
    left, size = len(data), 0
    while True:
        result = codec.next()
        now = len(codec._buffer) - codec._offset
        grown = codec._size - size
        yield Turn(result, left - now, grown)
        left, size = now, codec._size
        if result is None:
            return
        if result is not Paused.PAUSED:
            size = codec._size = 0


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize(
    ("name", "taken", "grown"),
    [
        # two units for a frame, which has two bytes, and four more with a mask
        ("empty fragments", TURN // 2 * 6, 0),
        ("tiny fragments", TURN // 2 * 7, TURN // 2),
        ("large binary", MIB + BLOCK, MIB + BLOCK),
        ("large text", TURN * 512 + BLOCK, TURN * 512 + BLOCK),
        ("text with an emoji", MIB + BLOCK, MIB + BLOCK),
        ("bombs", 2 * INPUT_STEP, MIB),
        ("bombs of text", 2 * INPUT_STEP, TURN * 512),
        ("final blocks", 2 * INPUT_STEP, 0),
        ("empty blocks", 2 * INPUT_STEP, 0),
        ("stored blocks", 2 * INPUT_STEP, 0),
    ],
)
def test_F12_what_is_done_in_a_turn(
    is_client: bool, name: str, taken: int, grown: int
) -> None:
    data = (TRAFFIC | COMPRESSED)[name](None if is_client else MASK)
    done = list(turns(codec_of(is_client), data))
    assert sum(turn.taken for turn in done) == len(data)
    assert max(turn.taken for turn in done) <= taken + 14  # a frame's header
    assert max(turn.grown for turn in done) <= grown
    paused = sum(turn.result is Paused.PAUSED for turn in done)
    assert paused >= (len(data) // (taken + 14) if len(data) > taken + 14 else 0)
    assert paused <= max(2 * len(data), MIB) // 1000  # and not all the time


def test_F12_a_pause_changes_nothing() -> None:
    messages = [CJK.decode(), bytes(MIB), CJK.decode()]
    data = frame(TEXT, deflated(CJK), rsv=4)
    data += frame(BINARY, deflated(bytes(MIB)), rsv=4)
    data += frame(TEXT, deflated(CJK), rsv=4)
    codec = codec_of(False)
    got: list[Received] = []
    for i in range(len(data)):  # more comes while it pauses
        codec.feed(data[i : i + 1])
        result = codec.next()
        if not (result is None or result is Paused.PAUSED):
            got.append(result)
    while (result := codec.next()) is not None:
        if result is not Paused.PAUSED:
            got.append(result)
    assert got == messages


def test_F12_the_end_of_a_text_is_a_turn_by_itself() -> None:
    # CPython decodes it at once. It is checked before, as it comes.
    codec = codec_of(False)
    for i in range(0, len(CJK), BLOCK):
        is_last = i + BLOCK >= len(CJK)
        opcode = CONTINUATION if i else TEXT
        codec.feed(frame(opcode, CJK[i : i + BLOCK], fin=is_last))
        while (result := codec.next()) is Paused.PAUSED:
            assert codec._work == 0
        if not is_last:
            assert result is None
            codec._work = 0
    assert result == CJK.decode()
    assert codec._work >= TURN  # so the next call pauses first
    codec.feed(frame(TEXT, b"next"))
    assert [codec.next(), codec.next()] == [Paused.PAUSED, "next"]


def test_F12_whole_frames_count_as_well() -> None:
    codec = codec_of(False)
    codec.feed(frame(TEXT, b"x" * 125) * 2 * TURN)
    results = [codec.next() for _ in range(2 * TURN)]
    assert results.count(Paused.PAUSED) == 2 * TURN // (TURN // 2 + 1)


@pytest.mark.parametrize("name", ["tiny fragments", "large text", "short messages"])
def test_F12_wsproto_pauses_too(name: str) -> None:
    codec = WsprotoCodec(
        is_client=False, max_message_size=MIB, max_fragments=MAX_FRAGMENTS
    )
    data = TRAFFIC[name](MASK)
    codec.feed(data)
    paused = 0
    results: list[Received] = []
    while (result := codec.next()) is not None:
        if result is Paused.PAUSED:
            paused += 1
        else:
            results.append(result)
    frames = data.count(MASK)
    assert frames * 50 // TURN <= paused + 1
    assert results
