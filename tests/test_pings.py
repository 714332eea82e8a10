"""Pings in flight: which pong answers which ping (RFC 6455 section 5.5.3)."""

from __future__ import annotations

import pytest

from anyio_websocket._pings import Pings


def test_a_pong_answers_its_ping() -> None:
    pings = Pings()
    ping = pings.add(b"1", 0)
    assert not ping.is_answered()
    assert pings.answer(b"1", 1)
    assert ping.is_answered()
    assert not pings.answer(b"1", 1)  # repeated


def test_E6_a_pong_answers_all_earlier_pings() -> None:
    pings = Pings()
    first, second, third = pings.add(b"1", 0), pings.add(b"2", 0), pings.add(b"3", 0)
    assert pings.answer(b"2", 1)
    assert first.answered
    assert second.answered
    assert not third.answered
    assert not pings.answer(b"1", 1)  # late


def test_E6_unknown_pong() -> None:
    pings = Pings()
    ping = pings.add(b"1", 0)
    assert not pings.answer(b"x", 1)
    assert not ping.answered


def test_E6_same_payload_twice() -> None:
    pings = Pings()
    ping = pings.add(b"1", 0)
    with pytest.raises(ValueError, match="in flight"):
        pings.add(b"1", 0)
    pings.discard(ping)
    pings.add(b"1", 0)


def test_discarding_an_answered_ping_leaves_its_namesake() -> None:
    pings = Pings()
    old = pings.add(b"1", 0)
    pings.answer(b"1", 1)
    new = pings.add(b"1", 0)
    pings.discard(old)
    assert pings.answer(b"1", 1)
    assert new.answered


def test_E4_how_long_the_last_one_took() -> None:
    assert Pings().latency is None
    pings = Pings()
    pings.add(b"1", 10)
    pings.add(b"2", 11)
    pings.answer(b"1", 12.5)
    assert pings.latency == 2.5
    pings.answer(b"1", 13)  # late
    assert pings.latency == 2.5


def test_E4_only_the_last_ping_of_the_keepalive_counts() -> None:
    pings = Pings()
    users = pings.add(b"1", 0)
    pings.renew(b"2", 20)
    pings.renew(b"3", 40)
    assert not pings.answer(b"2", 41)
    assert pings.answer(b"3", 41)
    assert users.answered
    pings.renew(b"4", 60)
    assert pings.answer(b"4", 62)
    assert pings.latency == 2
