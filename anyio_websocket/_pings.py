"""Pings in flight, oldest first.

In: the payloads of our pings and of the pongs that come. Out: which pings are
answered (RFC 6455 section 5.5.3), and how long that took.
"""

from __future__ import annotations


class PingInFlight:
    """One ping that waits for its pong.

    :param payload: what the pong must say
    :param asked: when it was made, in seconds of the event loop's clock

    """

    __slots__ = ("answered", "asked", "payload")

    def __init__(self, payload: bytes, asked: float) -> None:
        self.payload: bytes = payload
        self.asked: float = asked
        self.answered: bool = False

    def is_answered(self) -> bool:
        """Say whether the pong was here."""
        return self.answered


class Pings:
    """The pings of one connection."""

    __slots__ = ("_in_flight", "_of_ours", "latency")

    def __init__(self) -> None:
        self._in_flight: dict[bytes, PingInFlight] = {}
        self._of_ours = b""  # the payload of the keepalive's last one
        #: seconds from the last ping that was answered to its pong
        self.latency: float | None = None

    def add(self, payload: bytes, now: float) -> PingInFlight:
        """Note a ping that is about to be sent.

        :raises ValueError: if one with this payload is in flight: their pongs could
            not be told apart

        """
        if payload in self._in_flight:
            raise ValueError(f"a ping with payload {payload!r} is in flight already")
        ping = self._in_flight[payload] = PingInFlight(payload, now)
        return ping

    def renew(self, payload: bytes, now: float) -> None:
        """Note a ping of the keepalive; the one before it does not count any more."""
        self._in_flight.pop(self._of_ours, None)
        self._of_ours = payload
        self._in_flight[payload] = PingInFlight(payload, now)

    def discard(self, ping: PingInFlight) -> None:
        """Forget a ping, answered or not."""
        # An answered one is gone already, and its payload may be in use again.
        if self._in_flight.get(ping.payload) is ping:
            del self._in_flight[ping.payload]

    def answer(self, payload: bytes, now: float) -> bool:
        """Note a pong; say whether it answers any ping.

        A peer that got several pings may answer the last alone (section 5.5.3), so
        the earlier ones count as answered too. A pong that nobody asked for means
        nothing.
        """
        if payload not in self._in_flight:
            return False
        self.latency = now - self._in_flight[payload].asked
        while payload in self._in_flight:
            oldest = self._in_flight.pop(next(iter(self._in_flight)))
            oldest.answered = True
        if not self._in_flight:
            self._in_flight = {}  # one that had an entry takes four times as much
        return True
