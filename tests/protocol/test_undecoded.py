"""Texts that are received as bytes: the same bytes, and the same checks."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from anyio_websocket import PerMessageDeflate
from anyio_websocket._protocol import Engine, Extensions, open_engine
from anyio_websocket._protocol import _undecoded as undecoded
from anyio_websocket._protocol._codec import Codec, ProtocolViolation
from anyio_websocket._protocol._deflate import Deflater
from anyio_websocket._protocol._engine import Failure
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._kernels_py import take_undecoded
from anyio_websocket._protocol._undecoded import UndecodedCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec
from anyio_websocket._protocol._wsproto import _Guard as Guard

from ..support.codecs import received
from ..support.frames import BINARY, CONTINUATION, MASK, TEXT, frame

LONG = "wörld" * 50_000


def ours(codec: type[FrameCodec] = UndecodedCodec) -> Codec:
    return codec(is_client=False, max_message_size=math.inf, max_fragments=9)


def wsproto() -> Codec:
    return WsprotoCodec(
        is_client=False, max_message_size=math.inf, max_fragments=9, decode_text=False
    )


@pytest.fixture(params=[ours, wsproto])
def codec(request: pytest.FixtureRequest) -> Codec:
    make: Callable[[], Codec] = request.param
    return make()


def sent(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return frame(opcode, payload, fin=fin, mask=MASK)


@pytest.mark.parametrize("at_once", [0, 3])
@pytest.mark.parametrize("kernel", ["chosen", "python"])
def test_texts_are_received_as_bytes(
    codec: Codec, at_once: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "python":
        monkeypatch.setattr(undecoded, "take_undecoded", take_undecoded)
    messages = [b"ascii", "wörld".encode(), b"", b"\xff", b"x" * 300, LONG.encode()]
    kinds = [TEXT, TEXT, TEXT, BINARY, TEXT, TEXT]
    for kind, message in zip(kinds, messages, strict=True):
        codec.feed(sent(kind, message))
    half = "ö".encode()
    codec.feed(sent(TEXT, b"a" + half[:1], fin=False))
    assert list(received(codec, at_once=at_once)) == messages
    codec.feed(sent(CONTINUATION, half[1:]))
    assert list(received(codec, at_once=at_once)) == [b"a" + half]


@pytest.mark.parametrize(
    "frames",
    [
        sent(TEXT, b"\xff"),
        sent(TEXT, b"ab\xed\xa0\x80"),
        sent(TEXT, LONG.encode() + b"\xc3"),
        sent(TEXT, b"\xc3", fin=False) + sent(CONTINUATION, b""),
        sent(TEXT, b"\xc3", fin=False) + sent(CONTINUATION, b"a"),
        sent(TEXT, LONG.encode(), fin=False) + sent(CONTINUATION, b"\xc3"),
    ],
)
def test_what_is_no_utf_8_is_refused(codec: Codec, frames: bytes) -> None:
    codec.feed(frames)
    with pytest.raises(ProtocolViolation) as caught:
        list(received(codec))
    assert caught.value.code == 1007


def engine(extensions: Extensions, *, decode_text: bool) -> Engine:
    return open_engine(
        extensions, is_client=False, max_message_size=99, decode_text=decode_text
    )


@pytest.mark.parametrize(
    "extensions",
    [
        Extensions(),
        Extensions(PerMessageDeflate()),
        Extensions(None, (Guard(math.inf, 9),)),
    ],
    ids=["plain", "compressed", "wsproto"],
)
def test_the_option_chooses_the_codec(extensions: Extensions) -> None:
    for decode_text, text in ((True, "wörld"), (False, "wörld".encode())):
        found = engine(extensions, decode_text=decode_text)
        found.receive_data(sent(TEXT, "wörld".encode()))
        messages: list[object] = [*found.take_messages(1)]
        assert (messages or [found.next_event()]) == [text]
        messages = [*found.take_received(sent(TEXT, "wörld".encode()), 1)[0]]
        assert (messages or [found.next_event()]) == [text]


def test_a_compressed_text_is_checked_too() -> None:
    agreed = PerMessageDeflate()
    deflater = Deflater(agreed, is_client=True)
    found = engine(Extensions(agreed), decode_text=False)
    for payload in ("wörld".encode(), b"wor\xff"):
        data = deflater.compress(payload)
        assert data is not None
        found.receive_data(frame(TEXT, data, rsv=4, mask=MASK))
    assert found.next_event() == "wörld".encode()
    assert found.next_event() == Failure(1007, "a text message is not UTF-8")
