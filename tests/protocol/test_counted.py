"""Which messages a codec counts, and that it does all that the codec below it does."""

from __future__ import annotations

import io

from anyio_websocket._protocol import Extensions, MessageCounts, Part, open_engine
from anyio_websocket._protocol._engine import NO_COPY_SIZE, Engine

from ..support.frames import BINARY, CONTINUATION, PING, TEXT, frame


def counting_engine(total: MessageCounts) -> Engine:
    return open_engine(
        Extensions(),
        is_client=False,
        max_message_size=2 * NO_COPY_SIZE,
        message_counts=total,
    )


def test_every_way_to_frame_a_message_counts_once() -> None:
    total = MessageCounts()
    plain = open_engine(Extensions(), is_client=False, max_message_size=1)
    engine, other = counting_engine(total), counting_engine(total)
    large = bytes(NO_COPY_SIZE)
    assert engine.frame_message("one") == plain.frame_message("one")
    assert engine.frame(b"two") == plain.frame(b"two")
    assert engine.frame(large) == plain.frame(large)
    assert engine.frame_large(large) == plain.frame_large(large)
    assert engine.framer(False)("five") == plain.framer(False)("five")
    counts = engine.counts
    assert counts is not None
    assert counts.sent == 5
    ours, theirs = engine.fragmenter(None), plain.fragmenter(None)
    assert ours("si", False) == theirs("si", False)
    assert counts.sent == 5
    assert ours("x", True) == theirs("x", True)
    for engine_of in (engine, plain):
        assert engine_of.frame_ping(b"") == b"\x89\0"
        assert engine_of.frame_pong(b"") == b"\x8a\0"
        assert engine_of.frame_close(1000, "") == b"\x88\x02\x03\xe8"
    other.frame_message("seven")
    # A frame for many connections counts once for each that is sent it.
    assert engine.frame_for_many("x", None, {}) == plain.frame_message("x")
    assert (counts.sent, total.sent) == (6, 7)
    engine.count_sent()
    plain.count_sent()
    assert (counts.sent, total.sent) == (7, 8)
    assert (counts.received, total.received) == (0, 0)
    assert plain.counts is None


def test_every_message_received_counts_once() -> None:
    total = MessageCounts()
    engine = counting_engine(total)
    assert not engine.has_more()
    wire = b"".join(
        (
            frame(TEXT, b"one"),
            frame(TEXT, b"two"),
            frame(PING),
            frame(BINARY, b"th", fin=False),
            frame(CONTINUATION, b"ree"),
        )
    )
    assert engine.take_received(wire[:9], 9) == (["one"], False)
    engine.receive_data(wire[9:])
    assert engine.has_more()
    assert engine.take_messages(9) == ["two"]
    events = [engine.next_event() for _ in range(3)]
    assert events[1:] == [b"three", None]
    counts = engine.counts
    assert counts is not None
    assert (counts.received, total.received) == (3, 3)
    assert engine.bytes_received == len(wire)


def test_a_message_in_parts_counts_once() -> None:
    engine = counting_engine(MessageCounts())
    counts = engine.counts
    assert counts is not None
    for count in (1, 2):  # given in parts, and joined after all
        engine.begin_parts()
        engine.receive_data(frame(BINARY, b"1", fin=False))
        assert engine.next_event() == Part(b"1", False)
        if count == 2:
            engine.join_parts(b"1")
        engine.receive_data(frame(CONTINUATION, b"2"))
        assert engine.next_event() == (Part(b"2", True) if count == 1 else b"12")
        assert counts.received == count


def test_a_message_received_in_its_place_counts_once() -> None:
    engine = counting_engine(MessageCounts())
    wire = frame(BINARY, bytes(2 * NO_COPY_SIZE))
    engine.receive_data(wire[:NO_COPY_SIZE])
    assert engine.next_event() is None
    rest = io.BytesIO(wire[NO_COPY_SIZE:])
    assert engine.receive_rest(rest.readinto) == len(wire) - NO_COPY_SIZE
    assert engine.next_event() == bytes(2 * NO_COPY_SIZE)
    assert engine.counts is not None
    assert engine.counts.received == 1
    assert engine.bytes_received == len(wire)
