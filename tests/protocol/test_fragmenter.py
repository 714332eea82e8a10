"""One message framed piece by piece, by both codecs, plain and compressed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from anyio_websocket import PerMessageDeflate
from anyio_websocket._protocol import _deflate
from anyio_websocket._protocol._codec import Codec
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.codecs import received
from ..support.frames import take_frame

Make = Callable[[bool], Codec]


def plain(is_client: bool) -> Codec:
    return FrameCodec(is_client=is_client, max_message_size=math.inf, max_fragments=9)


def wsproto(is_client: bool) -> Codec:
    return WsprotoCodec(is_client=is_client, max_message_size=math.inf, max_fragments=9)


def deflated(forgets: bool) -> Make:
    def make(is_client: bool) -> Codec:
        return FrameCodec(
            is_client=is_client,
            max_message_size=math.inf,
            max_fragments=9,
            deflate=PerMessageDeflate(forgets, forgets),
        )

    return make


def joined(frame: bytes | tuple[bytes, bytes]) -> bytes:
    return frame if isinstance(frame, bytes) else b"".join(frame)


PIECES: list[list[str | bytes]] = [
    [b"a" * 2000, b"b" * 3000, b"c"],
    [b"a" * 2000, b"bc", b""],
    ["wörld" * 500, "text", "ö"],
    ["wörld" * 500, ""],
    ["x"],
]


@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("make", [plain, wsproto, deflated(True), deflated(False)])
@pytest.mark.parametrize("compressor", ["chosen", "zlib"])
def test_the_peer_receives_one_message(
    make: Make, is_client: bool, compressor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compressor == "zlib":
        monkeypatch.setattr(_deflate, "isal_zlib", None)
    ours, theirs = make(is_client), make(not is_client)
    for _ in range(2):  # the second time with a window
        for pieces in PIECES:
            frame = ours.fragmenter(None)
            for number, piece in enumerate(pieces, 1):
                theirs.feed(joined(frame(piece, number == len(pieces))))
                if number < len(pieces):
                    theirs.feed(ours.frame_ping(b"between"))
                    assert len(list(received(theirs))) == 1
            (message,) = received(theirs)
            empty = "" if isinstance(pieces[0], str) else b""
            assert message == empty.join(pieces)  # type: ignore[arg-type]
            theirs.feed(ours.frame_message("behind"))
            assert list(received(theirs)) == ["behind"]


@pytest.mark.parametrize(
    ("compress", "size", "rsv"),
    [(None, 1024, 4), (None, 1023, 0), (True, 1, 4), (False, 2000, 0)],
)
def test_the_first_frame_says_whether_all_are_compressed(
    compress: bool | None, size: int, rsv: int
) -> None:
    frame = deflated(True)(False).fragmenter(compress)
    buffer = bytearray()
    for piece, is_last in ((b"x" * size, False), (b"y" * 2000, False), (b"", True)):
        buffer += joined(frame(piece, is_last))
    found = [take_frame(buffer) for _ in range(3)]
    assert not buffer
    assert [f.rsv for f in found if f] == [rsv, 0, 0]
    assert [f.opcode for f in found if f] == [2, 0, 0]
    assert [f.fin for f in found if f] == [False, False, True]
