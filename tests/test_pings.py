"""Pings in flight: which pong answers which ping (RFC 6455 section 5.5.3)."""

from __future__ import annotations

import pytest

from anyio_websocket._connection._pings import PingInFlight, Pings


def sent(pings: Pings, payload: bytes, now: float = 0) -> PingInFlight:
    ping = pings.add(payload, now)
    ping.sent = True
    return ping


def test_a_pong_answers_its_ping() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    assert not ping.is_answered()
    assert pings.answer(b"1", 1)
    assert ping.is_answered()
    assert not pings.answer(b"1", 1)  # repeated


def test_E6_a_pong_answers_all_earlier_pings() -> None:
    pings = Pings()
    first, second, third = sent(pings, b"1"), sent(pings, b"2"), sent(pings, b"3")
    assert pings.answer(b"2", 1)
    assert first.answered
    assert second.answered
    assert not third.answered
    assert not pings.answer(b"1", 1)  # late


def test_E6_a_pong_says_nothing_about_pings_that_wait_for_their_turn() -> None:
    pings = Pings()
    first, waiting = sent(pings, b"1"), pings.add(b"2", 0)
    pings.renew(b"3", 0)  # which goes before
    assert not pings.answer(b"2", 1)  # a guess
    assert pings.answer(b"3", 1)
    assert first.answered
    assert not waiting.answered
    waiting.sent = True
    assert pings.answer(b"2", 2)
    assert waiting.answered


def test_E6_the_last_of_those_given_up_answers_the_earlier_ones() -> None:
    pings = Pings()
    first = sent(pings, b"1")
    given_up = [sent(pings, payload) for payload in (b"2", b"3")]
    unsent = pings.add(b"4", 0)
    for ping in (*given_up, unsent):
        pings.discard(ping)
    assert list(pings._in_flight) == [b"1", b"3"]
    assert pings.answer(b"3", 1)
    assert first.answered
    assert not pings._in_flight


def test_E6_what_is_given_up_is_forgotten_with_those_before_it() -> None:
    pings = Pings()
    pairs = [(sent(pings, b"%d" % i), sent(pings, b"%d!" % i)) for i in range(3)]
    for _, given_up in pairs:
        pings.discard(given_up)
    for first, _ in pairs:
        assert pings._in_flight
        pings.discard(first)
    assert not pings._in_flight


def test_E6_the_payload_of_one_given_up_is_free() -> None:
    pings = Pings()
    first = sent(pings, b"1")
    pings.discard(sent(pings, b"2"))
    again = sent(pings, b"2")
    assert pings.answer(b"2", 1)
    assert first.answered
    assert again.answered


def test_E6_unknown_pong() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    assert not pings.answer(b"x", 1)
    assert not ping.answered


def test_E6_same_payload_twice() -> None:
    pings = Pings()
    ping = sent(pings, b"1")
    with pytest.raises(ValueError, match="in flight"):
        sent(pings, b"1")
    pings.discard(ping)
    sent(pings, b"1")


def test_discarding_an_answered_ping_leaves_its_namesake() -> None:
    pings = Pings()
    old = sent(pings, b"1")
    pings.answer(b"1", 1)
    new = sent(pings, b"1")
    pings.discard(old)
    assert pings.answer(b"1", 1)
    assert new.answered


def test_E4_how_long_the_last_one_took() -> None:
    assert Pings().latency is None
    pings = Pings()
    sent(pings, b"1", 10)
    sent(pings, b"2", 11)
    pings.answer(b"1", 12.5)
    assert pings.latency == 2.5
    pings.answer(b"1", 13)  # late
    assert pings.latency == 2.5


def test_E4_only_the_last_ping_of_the_keepalive_counts() -> None:
    pings = Pings()
    users = sent(pings, b"1")
    pings.renew(b"2", 20)
    pings.renew(b"3", 40)
    assert not pings.answer(b"2", 41)
    assert pings.answer(b"3", 41)
    assert users.answered
    pings.renew(b"4", 60)
    assert pings.answer(b"4", 62)
    assert pings.latency == 2
