"""The engine: what counts after a Close, and what may still be sent."""

from __future__ import annotations

import struct

import pytest

from anyio_websocket._protocol import (
    Close,
    Engine,
    Event,
    Failure,
    Ping,
    close_code_to_send,
    close_reason_to_send,
)
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.frames import frame


def engine() -> Engine:
    return Engine(WsprotoCodec(is_client=False, max_message_size=100, max_fragments=5))


def events(engine: Engine, *chunks: bytes) -> list[Event]:
    results: list[Event] = []
    for chunk in chunks:
        engine.receive_data(chunk)
        while (event := engine.next_event()) is not None:
            results.append(event)
    return results


def test_C8_nothing_counts_after_a_close() -> None:
    side = engine()
    close = frame(8, struct.pack("!H", 1000))
    assert events(side, frame(1, b"a") + close + frame(1, b"b"), frame(1, b"c")) == [
        "a",
        Close(1000, ""),
    ]
    assert side.close_received == Close(1000, "")


def test_C8_nothing_counts_after_a_mistake() -> None:
    side = engine()
    (failure,) = events(side, frame(3) + frame(1, b"a"), frame(1, b"b"))
    assert isinstance(failure, Failure)
    assert failure.code == 1002
    assert side.failed


def test_close_is_sent_once() -> None:
    side = engine()
    assert side.frame_close(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert side.frame_close(1000, "") == b""
    assert side.close_sent == Close(1001, "bye")


def test_E8_a_ping_is_not_answered_after_our_close() -> None:
    side = engine()
    assert side.frame_pong(b"1") == b"\x8a\x011"
    side.frame_close(1000, "")
    assert events(side, frame(9, b"1")) == [Ping(b"1")]
    assert side.frame_pong(b"1") == b""


def test_a_close_without_a_code_is_answered_alike() -> None:
    side = engine()
    assert events(side, frame(8)) == [Close(1005, "")]
    assert side.frame_close(1005, "") == b"\x88\x00"


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_E10_codes_that_may_be_sent(code: int) -> None:
    assert close_code_to_send(code) == code


@pytest.mark.parametrize("code", [1005, 1006, 1015])
def test_E10_codes_that_stand_for_no_close(code: int) -> None:
    assert close_code_to_send(code) == 1000


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1016, 2999, 5000, 70000])
def test_E10_codes_that_may_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_code_to_send(code)


@pytest.mark.parametrize("code", ["1000", None, True, 1000.0])
def test_E10_codes_that_are_none(code: object) -> None:
    with pytest.raises(TypeError):
        close_code_to_send(code)


def test_E10_reasons() -> None:
    assert close_reason_to_send(None) == ""
    assert close_reason_to_send("x" * 123) == "x" * 123
    assert close_reason_to_send("x" * 124) == "x" * 123
    assert close_reason_to_send("é" * 62) == "é" * 61  # 124 bytes, cut between two
    with pytest.raises(ValueError, match="surrogates"):
        close_reason_to_send("\ud800")
    with pytest.raises(TypeError):
        close_reason_to_send(b"bye")
