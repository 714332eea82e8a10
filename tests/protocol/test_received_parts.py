"""Messages in parts, from both codecs: the same as whole ones, and the same checks."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from anyio_websocket import PerMessageDeflate
from anyio_websocket._protocol import Close, Engine, Extensions, Part, Paused, Ping
from anyio_websocket._protocol._codec import Codec
from anyio_websocket._protocol._deflate import Deflater
from anyio_websocket._protocol._engine import Event, Failure, open_engine
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._undecoded import UndecodedCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.frames import BINARY, CLOSE, CONTINUATION, MASK, PING, TEXT, frame

MOST = 2**22  # bytes of a message


def ours(decode_text: bool) -> Codec:
    codec = FrameCodec if decode_text else UndecodedCodec
    return codec(is_client=False, max_message_size=MOST, max_fragments=9)


def wsproto(decode_text: bool) -> Codec:
    return WsprotoCodec(
        is_client=False,
        max_message_size=MOST,
        max_fragments=9,
        decode_text=decode_text,
    )


MakeCodec = Callable[[bool], Codec]


@pytest.fixture(params=[ours, wsproto])
def make(request: pytest.FixtureRequest) -> MakeCodec:
    codec: MakeCodec = request.param
    return codec


def sent(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    return frame(opcode, payload, fin=fin, rsv=rsv, mask=MASK)


def events(engine: Engine, data: bytes = b"") -> list[Event]:
    """Return what comes of bytes, but for pauses."""
    engine.receive_data(data)
    found: list[Event] = []
    while True:
        found += engine.take_messages(2)
        event = engine.next_event()
        if event is None:
            return found
        if event is not Paused.PAUSED:
            found.append(event)


@pytest.mark.parametrize("decode_text", [True, False])
def test_parts_are_what_has_come(make: MakeCodec, decode_text: bool) -> None:
    def text(data: str) -> str | bytes:
        return data if decode_text else data.encode()

    engine = Engine(make(decode_text))
    whole = sent(TEXT, "aö€b".encode())
    engine.begin_parts()
    found: list[Event] = []
    for i in range(len(whole)):
        found += events(engine, whole[i : i + 1])
    assert all(isinstance(part, Part) for part in found)
    parts = [part for part in found if isinstance(part, Part)]
    if decode_text:
        assert [part.data for part in parts] == ["a", "ö", "€", "b"]
    assert b"".join(part.payload() for part in parts) == "aö€b".encode()
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    # Whole messages follow.
    assert events(engine, sent(TEXT, b"x") + sent(BINARY, b"y")) == [text("x"), b"y"]
    for data in ("", "short"):
        engine.begin_parts()
        assert events(engine, sent(TEXT, data.encode())) == [Part(text(data), True)]


def test_what_was_begun_before_is_in_the_first_part(make: MakeCodec) -> None:
    engine = Engine(make(True))
    assert events(engine, sent(TEXT, b"1\xc3", fin=False)) == []
    engine.begin_parts()
    assert events(engine) == [Part("1", False)]
    data = sent(CONTINUATION, b"\xb62", fin=False) + sent(PING) + sent(CONTINUATION)
    found = events(engine, data)
    assert [event for event in found if isinstance(event, Ping)] == [Ping(b"")]
    assert [event for event in found if isinstance(event, Part)] == [Part("ö2", True)]


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_is_joined_or_skipped(make: MakeCodec, kind: int) -> None:
    engine = Engine(make(False))
    for skip in (False, True):
        engine.begin_parts()
        assert events(engine, sent(kind, b"1", fin=False)) == [Part(b"1", False)]
        if skip:
            engine.skip_parts()
        else:
            engine.join_parts(b"1")
        assert events(engine, sent(CONTINUATION, b"2", fin=False)) == []
        data = sent(CONTINUATION, b"3") + sent(BINARY, b"next")
        assert events(engine, data) == ([] if skip else [b"123"]) + [b"next"]
    # Before anything came, and while the rest of another one is skipped.
    engine.begin_parts()
    engine.join_parts(b"")
    assert events(engine, sent(kind, b"1")) == [b"1"]
    engine.begin_parts()
    assert events(engine, sent(kind, b"1", fin=False)) == [Part(b"1", False)]
    engine.skip_parts()
    engine.begin_parts()
    engine.join_parts(b"")
    engine.begin_parts()
    data = sent(CONTINUATION, b"2") + sent(kind, b"3", fin=False)
    assert events(engine, data) == [Part(b"3", False)]
    assert events(engine, sent(CONTINUATION, b"4")) == [Part(b"4", True)]
    engine.skip_parts()  # there is nothing
    engine.join_parts(b"")
    assert events(engine, sent(kind, b"5")) == [b"5"]


def test_a_text_that_is_joined_again_is_checked() -> None:
    engine = Engine(ours(True))
    engine.begin_parts()
    assert events(engine, sent(TEXT, b"1\xc3", fin=False)) == [Part("1", False)]
    engine.join_parts(b"1")
    assert events(engine, sent(CONTINUATION, b"\xb6")) == ["1ö"]


def test_parts_are_checked_and_limited(make: MakeCodec) -> None:
    cases = [
        ([sent(TEXT, b"ok", fin=False), sent(CONTINUATION, b"\xff", fin=False)], 1007),
        ([sent(TEXT, b"ok\xc3", fin=False), sent(CONTINUATION)], 1007),
        ([sent(BINARY, b"1", fin=False), sent(BINARY, b"2")], 1002),
        ([sent(BINARY, b"1", fin=False), sent(CONTINUATION, bytes(MOST))], 1009),
        ([sent(BINARY, b"1", fin=False)] + [sent(CONTINUATION, fin=False)] * 9, 1008),
    ]
    for pieces, code in cases:
        engine = Engine(make(True))
        engine.begin_parts()
        found = [event for piece in pieces for event in events(engine, piece)]
        assert isinstance(found[0], Part)
        assert isinstance(found[-1], Failure)
        assert found[-1].code == code
        engine.skip_parts()
        assert engine.take_messages(9) == []
    engine = Engine(make(True))
    engine.begin_parts()
    close = sent(CLOSE, b"\x03\xe8")
    assert engine.take_received(sent(BINARY, b"1", fin=False), 9) == ([], True)
    assert events(engine) == [Part(b"1", False)]
    assert events(engine, close) == [Close(1000, "")]
    engine.join_parts(b"1")
    assert engine.take_messages(9) == []


@pytest.mark.parametrize("decode_text", [True, False])
def test_D1_parts_of_a_bomb_are_bounded(decode_text: bool) -> None:
    agreed = PerMessageDeflate(client_max_window_bits=15)
    size = 2**25
    engine = open_engine(
        Extensions(agreed),
        is_client=False,
        max_message_size=size,
        decode_text=decode_text,
    )
    payload = Deflater(agreed, is_client=True).compress(bytes(size))
    assert payload is not None
    engine.receive_data(sent(TEXT, payload, rsv=4))
    engine.begin_parts()
    total = 0
    while isinstance(event := engine.next_event(), Part):
        assert sys.getsizeof(event) < 2**21
        total += len(event.data)
        if not event.is_last:
            assert engine.has_more()
            assert engine.next_event() is Paused.PAUSED
    assert event is None
    assert total == size


def test_a_large_frame_comes_in_parts() -> None:
    """Memory for more of it is allocated, and is not taken for a part of it."""
    engine = Engine(ours(True))
    engine.begin_parts()
    payload = bytes(range(256)) * 8192
    data = sent(BINARY, payload)
    parts = b""
    for start in range(0, len(data), 400_000):
        for event in events(engine, data[start : start + 400_000]):
            assert isinstance(event, Part)
            parts += event.payload()
    assert parts == payload
