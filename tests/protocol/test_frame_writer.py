"""`FrameWriter`: the frames that each side sends."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from anyio_websocket._protocol import Close, Ping, Pong
from anyio_websocket._protocol._codec import Received
from anyio_websocket._protocol._frame_writer import FrameWriter
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._kernels_py import BLOCK

from ..support.codecs import received
from ..support.frames import frame


@pytest.fixture(params=["server", "client"])
def is_client(request: pytest.FixtureRequest) -> bool:
    """Whether the sender is a client."""
    return bool(request.param == "client")


def writer_of(is_client: bool) -> FrameWriter:
    return FrameWriter(is_client=is_client, deflate=None)


def heard(data: bytes, *, by_client: bool) -> list[Received]:
    """Return what the other side makes of it."""
    codec = FrameCodec(is_client=by_client, max_message_size=math.inf, max_fragments=5)
    codec.feed(data)
    return list(received(codec))


def test_C7_mask_keys_are_random() -> None:
    writer = writer_of(True)
    keys = [writer.frame_ping(b"")[2:] for _ in range(10_000)]
    assert all(len(key) == 4 for key in keys)
    assert len(set(keys)) > 9_990  # 2**32 keys: a repeat among 10 000 is rare
    steps = {
        int.from_bytes(b, "big") - int.from_bytes(a, "big") for a, b in pairwise(keys)
    }
    assert len(steps) > 9_980
    assert writer_of(True).frame_ping(b"")[2:] != writer_of(True).frame_ping(b"")[2:]


SIZES = (0, 1, 4, 125, 126, 127, 2047, 2048, 65_535, 65_536, BLOCK + 1, 3 * BLOCK + 3)


@pytest.mark.parametrize("size", SIZES)
def test_frames_as_they_are_sent(is_client: bool, size: int) -> None:
    writer = writer_of(is_client)
    payload = random.Random(size).randbytes(size)
    data = writer.frame_message(payload)
    start = 2 if size < 126 else 4 if size < 65_536 else 10
    key = data[start : start + 4] if is_client else None
    assert data == frame(2, payload, mask=key)
    assert heard(data, by_client=not is_client) == [payload]


def test_what_is_sent_is_received(is_client: bool) -> None:
    writer = writer_of(is_client)
    data = (
        writer.frame_message("text é")
        + writer.frame_message(b"binary")
        + writer.frame_message("")
        + writer.frame_ping(b"1")
        + writer.frame_pong(b"2" * 125)
        + writer.frame_close(1000, "adé")
    )
    assert heard(data, by_client=not is_client) == [
        "text é",
        b"binary",
        "",
        Ping(b"1"),
        Pong(b"2" * 125),
        Close(1000, "adé"),
    ]
    assert heard(writer.frame_close(None, ""), by_client=not is_client) == [
        Close(1005, "")
    ]


def test_text_with_surrogates_is_an_error(is_client: bool) -> None:
    writer = writer_of(is_client)
    with pytest.raises(ValueError, match="surrogate"):
        writer.frame_message("\ud800")
    assert heard(writer.frame_message("next"), by_client=not is_client) == ["next"]
