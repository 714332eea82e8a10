"""Pings in flight: which pong answers which ping (RFC 6455 section 5.5.3)."""

from __future__ import annotations

import pytest

from anyio_websocket._pings import Pings


def test_a_pong_answers_its_ping() -> None:
    pings = Pings()
    ping = pings.add(b"1")
    assert not ping.is_answered()
    assert pings.answer(b"1")
    assert ping.is_answered()
    assert not pings.answer(b"1")  # repeated


def test_E6_a_pong_answers_all_earlier_pings() -> None:
    pings = Pings()
    first, second, third = pings.add(b"1"), pings.add(b"2"), pings.add(b"3")
    assert pings.answer(b"2")
    assert first.answered
    assert second.answered
    assert not third.answered
    assert not pings.answer(b"1")  # late


def test_E6_unknown_pong() -> None:
    pings = Pings()
    ping = pings.add(b"1")
    assert not pings.answer(b"x")
    assert not ping.answered


def test_E6_same_payload_twice() -> None:
    pings = Pings()
    ping = pings.add(b"1")
    with pytest.raises(ValueError, match="in flight"):
        pings.add(b"1")
    pings.discard(ping)
    pings.add(b"1")


def test_discarding_an_answered_ping_leaves_its_namesake() -> None:
    pings = Pings()
    old = pings.add(b"1")
    pings.answer(b"1")
    new = pings.add(b"1")
    pings.discard(old)
    assert pings.answer(b"1")
    assert new.answered
