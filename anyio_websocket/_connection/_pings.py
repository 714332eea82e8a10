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

    __slots__ = ("answered", "asked", "payload", "sent")

    def __init__(self, payload: bytes, asked: float) -> None:
        self.payload: bytes = payload
        self.asked: float = asked
        self.answered: bool = False
        #: whether its frame was made, so that the peer may answer
        self.sent: bool = False

    def is_answered(self) -> bool:
        """Say whether the pong was here."""
        return self.answered


class Pings:
    """The pings of one connection."""

    __slots__ = ("_given_up", "_in_flight", "_of_ours", "latency")

    def __init__(self) -> None:
        self._in_flight: dict[bytes, PingInFlight] = {}
        self._of_ours = b""  # the payload of the keepalive's last one
        self._given_up: PingInFlight | None = None  # see `discard`
        #: seconds from the last ping that was answered to its pong
        self.latency: float | None = None

    def add(self, payload: bytes, now: float) -> PingInFlight:
        """Note a ping that is about to be sent.

        :raises ValueError: if one with this payload is in flight: their pongs could
            not be told apart

        """
        if (other := self._in_flight.get(payload)) is not None:
            if other is not self._given_up:
                raise ValueError(
                    f"a ping with payload {payload!r} is in flight already"
                )
            del self._in_flight[payload]
        ping = self._in_flight[payload] = PingInFlight(payload, now)
        return ping

    def renew(self, payload: bytes, now: float) -> None:
        """Note a ping of the keepalive; the one before it does not count any more."""
        self._in_flight.pop(self._of_ours, None)
        self._of_ours = payload
        ping = self._in_flight[payload] = PingInFlight(payload, now)
        ping.sent = True  # it goes before anything else

    def discard(self, ping: PingInFlight) -> None:
        """Forget a ping that nobody waits for any more, answered or not.

        A peer that got several pings may answer the last alone (section 5.5.3). So the
        last that was sent is kept while earlier ones wait, for its pong may be the only
        one there is. There is one of these at the most.
        """
        # An answered one is gone already, and its payload may be in use again.
        if self._in_flight.get(ping.payload) is not ping:
            return
        if ping.sent and self._is_last_sent(ping):
            self._drop_given_up()
            self._given_up = ping
        else:
            del self._in_flight[ping.payload]
        if next(iter(self._in_flight.values()), None) is self._given_up:
            self._drop_given_up()  # nobody waits before it

    def answer(self, payload: bytes, now: float) -> bool:
        """Note a pong; say whether it answers any ping.

        The pings that were sent before count as answered too; a pong that nobody asked
        for means nothing.
        """
        ping = self._in_flight.get(payload)
        if ping is None or not ping.sent:
            return False
        self.latency = now - ping.asked
        answered = [ping]
        oldest_first = iter(self._in_flight.values())
        while (earlier := next(oldest_first)) is not ping:
            if earlier.sent:
                answered.append(earlier)
        for each in answered:
            each.answered = True
            del self._in_flight[each.payload]
        if not self._in_flight:
            self._in_flight = {}  # one that had an entry takes four times as much
        return True

    def _is_last_sent(self, ping: PingInFlight) -> bool:
        return ping is next(
            other for other in reversed(self._in_flight.values()) if other.sent
        )

    def _drop_given_up(self) -> None:
        ping, self._given_up = self._given_up, None
        if ping is not None and self._in_flight.get(ping.payload) is ping:
            del self._in_flight[ping.payload]
