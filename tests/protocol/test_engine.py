"""The engine: what is ignored after a Close, and what may still be sent."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable

import pytest

from anyio_websocket._protocol import (
    Close,
    Engine,
    Extensions,
    Failure,
    Paused,
    PerMessageDeflate,
    Ping,
    Pong,
    open_engine,
)
from anyio_websocket._protocol._codec import Codec, Received
from anyio_websocket._protocol._engine import MAX_FRAGMENTS, Event
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.frames import BINARY, close_payload, frame

CLOSE = frame(8, close_payload(1000))


@pytest.fixture(params=[FrameCodec, WsprotoCodec])
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine of a server."""
    codec: Codec = request.param(is_client=False, max_message_size=100, max_fragments=5)
    return Engine(codec)


def events(engine: Engine, *chunks: bytes) -> list[Event]:
    results: list[Event] = []
    for chunk in chunks:
        engine.receive_data(chunk)
        while (event := engine.next_event()) is not None:
            if event is not Paused.PAUSED:
                results.append(event)
    return results


def opened(
    extensions: Extensions | None = None,
    *,
    is_client: bool = False,
    limit: float = 100,
    trailing: bytes = b"",
) -> Engine:
    return open_engine(
        extensions or Extensions(),
        is_client=is_client,
        max_message_size=limit,
        trailing=trailing,
    )


def test_events_come_one_at_a_time(engine: Engine) -> None:
    assert not engine.has_more()
    engine.receive_data(frame(1, b"a") + frame(9, b"b") + frame(10, b"c"))
    assert engine.has_more()
    assert engine.next_event() == "a"
    assert engine.next_event() == Ping(b"b")
    assert engine.next_event() == Pong(b"c")
    assert engine.next_event() is None
    assert not engine.has_more()


def test_messages_are_taken_up_to_a_number() -> None:
    engine = opened()
    engine.receive_data(frame(1, b"a") + frame(2, b"b") + frame(1, b"c") + frame(9))
    assert engine.take_messages(2) == ["a", b"b"]
    assert engine.take_messages(2) == ["c"]
    assert engine.take_messages(2) == []
    assert engine.next_event() == Ping(b"")


def test_messages_are_taken_with_the_bytes_that_they_come_in() -> None:
    engine = opened()
    wire = frame(1, b"a") + frame(2, b"b")
    assert engine.take_received(wire, 2) == (["a", b"b"], False)
    assert engine.take_received(wire, 1) == (["a"], True)
    # What was left comes first.
    assert engine.take_received(frame(1, b"c") + CLOSE, 9) == ([b"b", "c"], True)
    assert engine.next_event() == Close(1000, "")
    received = engine.bytes_received
    assert engine.take_received(wire, 2) == ([], False)
    assert engine.bytes_received == received


def test_C8_bytes_after_a_close_are_ignored(engine: Engine) -> None:
    data = frame(1, b"a") + CLOSE + frame(1, b"b")
    assert events(engine, data, frame(1, b"c")) == ["a", Close(1000, "")]
    assert engine.close_received == Close(1000, "")
    assert engine.take_messages(9) == []
    assert not engine.failed


def test_C8_bytes_after_a_violation_are_ignored(engine: Engine) -> None:
    (failure,) = events(engine, frame(3) + frame(1, b"a"), frame(1, b"b"))
    assert isinstance(failure, Failure)
    assert failure.code == 1002
    assert failure.reason
    assert engine.failed
    assert engine.take_messages(9) == []
    assert engine.close_received is None


@pytest.mark.measured
@pytest.mark.parametrize("end", [CLOSE, frame(3)])
def test_C8_bytes_after_the_end_are_not_kept(end: bytes) -> None:
    engine = opened()
    assert len(events(engine, end)) == 1
    tracemalloc.start()
    try:
        engine.receive_data(bytes(100_000))
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()


def test_the_rest_of_a_message_is_received_in_its_place(engine: Engine) -> None:
    """Unless nothing counts any more, or the message comes in parts."""

    def receive_into(place: memoryview) -> int:
        raise AssertionError

    assert engine.receive_rest(receive_into) == 0  # no message
    size = 2**20
    data = frame(BINARY, bytes(size))
    for when in ("open", "in parts", "closed", "failed"):
        engine = opened(limit=size)
        if when == "in parts":
            engine.begin_parts()
        engine.receive_data(data[: size // 2])
        engine.next_event()
        if when == "closed":
            engine.close_received = Close(1000, "")
        if when == "failed":
            engine.fail()
        if when == "open":
            rest = io.BytesIO(data[size // 2 :])
            assert engine.receive_rest(rest.readinto) == len(data) - size // 2
            assert events(engine, b"") == [bytes(size)]
        else:
            assert engine.receive_rest(receive_into) == 0


def test_close_is_sent_once(engine: Engine) -> None:
    assert engine.close_sent is None
    assert engine.frame_close(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert engine.frame_close(1000, "") == b""
    assert engine.close_sent == Close(1001, "bye")


def test_E8_no_pong_is_sent_after_our_close(engine: Engine) -> None:
    assert engine.frame_pong(b"1") == b"\x8a\x011"
    engine.frame_close(1000, "")
    assert events(engine, frame(9, b"1")) == [Ping(b"1")]
    assert engine.frame_pong(b"1") == b""


def test_messages_are_received_after_our_close(engine: Engine) -> None:
    engine.frame_close(1000, "")
    assert events(engine, frame(1, b"a") + CLOSE) == ["a", Close(1000, "")]


def test_a_close_without_a_code_gets_one_without_a_code(engine: Engine) -> None:
    assert events(engine, frame(8)) == [Close(1005, "")]
    assert engine.frame_close(1005, "") == b"\x88\x00"
    assert engine.close_sent == Close(1005, "")


def test_what_an_engine_frames(engine: Engine) -> None:
    assert engine.frame_message("a") == b"\x81\x01a"
    assert engine.frame_message(b"a") == b"\x82\x01a"
    assert engine.frame_ping(b"a") == b"\x89\x01a"
    large = engine.frame_large(b"a")
    assert (large if isinstance(large, bytes) else b"".join(large)) == b"\x82\x01a"


def test_a_message_is_compressed_as_asked() -> None:
    engine = opened(Extensions(PerMessageDeflate(threshold=50)))
    assert engine.frame_message("a" * 49)[0] == 0x81
    assert engine.frame_message("a" * 50)[0] == 0xC1
    assert engine.framer(True)("a" * 49)[0] == 0xC1
    assert engine.framer(False)("a" * 50)[0] == 0x81


# -- open_engine() --------------------------------------------------------------


def test_what_came_behind_the_handshake_is_received() -> None:
    engine = opened(trailing=frame(1, b"a"))
    assert engine.has_more()
    assert engine.next_event() == "a"
    engine = open_engine(Extensions(), is_client=False, max_message_size=100)
    assert not engine.has_more()


@pytest.mark.parametrize("is_client", [False, True])
def test_the_side_decides_on_masks(is_client: bool) -> None:
    engine = opened(is_client=is_client)
    assert engine.frame_message("a")[1] == (0x81 if is_client else 0x01)
    (event,) = events(engine, frame(1, b"a"))
    assert isinstance(event, Failure) == is_client


def test_D1_D2_the_limits_reach_the_codec() -> None:
    assert events(opened(limit=3), frame(1, b"abc")) == ["abc"]
    (failure,) = events(opened(limit=3), frame(1, b"abcd"))
    assert isinstance(failure, Failure)
    assert failure.code == 1009
    # Autobahn sends messages of 65536 fragments.
    fragments = frame(1, fin=False) + frame(0, fin=False) * (MAX_FRAGMENTS - 2)
    assert MAX_FRAGMENTS > 65_536
    assert events(opened(), fragments + frame(0)) == [""]
    (failure,) = events(opened(), fragments + frame(0, fin=False) + frame(0))
    assert isinstance(failure, Failure)
    assert failure.code == 1008


def test_compression_reaches_the_codec() -> None:
    sender = opened(Extensions(PerMessageDeflate()), is_client=True, limit=1000)
    data = sender.frame_message("a" * 1000)
    assert len(data) < 100
    receiver = opened(Extensions(PerMessageDeflate()), limit=1000)
    assert events(receiver, data) == ["a" * 1000]
    (failure,) = events(opened(limit=1000), data)
    assert isinstance(failure, Failure)


# -- what nobody expects ----------------------------------------------------------


class Raising(FrameCodec):
    """A codec that has no memory left."""

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if data == b"bad":
            raise MemoryError

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        raise MemoryError

    def next(self) -> Received | None:
        if super().next() is not None:
            raise MemoryError
        return None


@pytest.mark.parametrize(
    "call",
    [
        Engine.next_event,
        lambda engine: engine.receive_data(b"bad"),
        lambda engine: engine.take_received(b"", 1),
    ],
)
def test_G10_nothing_counts_after_an_exception_out_of_the_codec(
    call: Callable[[Engine], object],
) -> None:
    codec = Raising(is_client=False, max_message_size=100, max_fragments=5)
    engine = Engine(codec)
    engine.receive_data(frame(1, b"a"))
    with pytest.raises(MemoryError):
        call(engine)
    assert engine.failed
    engine.receive_data(frame(1, b"b"))
    assert engine.next_event() is None
    assert engine.take_messages(2) == []
