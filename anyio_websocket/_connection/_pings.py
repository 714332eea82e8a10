"""Our Pings that wait for their Pongs, oldest first.

The payloads of Pings that are sent and of Pongs that are received come in. Which Pings
are answered (RFC 6455 section 5.5.3), and how long that took, comes out.
"""

from __future__ import annotations


class PingInFlight:
    """One Ping that waits for its Pong.

    :param payload: what the Pong must contain
    :param created_at: when the Ping was made, in seconds of the event loop's clock

    """

    __slots__ = ("answered", "created_at", "payload", "sent")

    def __init__(self, payload: bytes, created_at: float) -> None:
        self.payload: bytes = payload
        self.created_at: float = created_at
        self.answered: bool = False
        #: whether its frame was made, so that the peer may answer
        self.sent: bool = False

    def is_answered(self) -> bool:
        """Return whether the Pong was received."""
        return self.answered


class Pings:
    """The Pings of one connection."""

    __slots__ = ("_abandoned", "_in_flight", "_keepalive", "latency")

    def __init__(self) -> None:
        self._in_flight: dict[bytes, PingInFlight] = {}
        # The payload of the keepalive's last Ping; an application's may be b"".
        self._keepalive: bytes | None = None
        self._abandoned: PingInFlight | None = None  # see `discard`
        #: seconds from the last Ping that was answered to its Pong
        self.latency: float | None = None

    def add(self, payload: bytes, now: float) -> PingInFlight:
        """Record a Ping that is about to be sent.

        :raises ValueError: if a Ping with this payload is in flight, because their
            Pongs could not be told apart

        """
        if (other := self._in_flight.get(payload)) is not None:
            if other is not self._abandoned:
                raise ValueError(
                    f"a ping with payload {payload!r} is in flight already"
                )
            del self._in_flight[payload]
        ping = self._in_flight[payload] = PingInFlight(payload, now)
        return ping

    def add_keepalive(self, payload: bytes, now: float) -> None:
        """Record a Ping of the keepalive, and forget the one before it."""
        if self._keepalive is not None:
            self._in_flight.pop(self._keepalive, None)
        self._keepalive = payload
        ping = self._in_flight[payload] = PingInFlight(payload, now)
        ping.sent = True  # it is sent before anything else

    def discard(self, ping: PingInFlight) -> None:
        """Forget a Ping that no task waits for any more, answered or not.

        A peer that got several Pings may answer only the last (section 5.5.3). So if
        this is the last one sent, it is kept while earlier ones wait, because its Pong
        may be the only one that comes. At most one Ping is kept like this.
        """
        # An answered one was removed before, and its payload may be in use again.
        if self._in_flight.get(ping.payload) is not ping:
            return
        if ping.sent and self._is_last_sent(ping):
            self._drop_abandoned()
            self._abandoned = ping
        else:
            del self._in_flight[ping.payload]
        if next(iter(self._in_flight.values()), None) is self._abandoned:
            self._drop_abandoned()  # there is no earlier one that waits

    def answer(self, payload: bytes, now: float) -> bool:
        """Record a Pong; return whether it answers any Ping.

        The Pings that were sent before are answered too. A Pong that was not asked for
        answers none.
        """
        ping = self._in_flight.get(payload)
        if ping is None or not ping.sent:
            return False
        self.latency = now - ping.created_at
        answered = [ping]
        oldest_first = iter(self._in_flight.values())
        while (earlier := next(oldest_first)) is not ping:
            if earlier.sent:
                answered.append(earlier)
        for each in answered:
            each.answered = True
            del self._in_flight[each.payload]
        if not self._in_flight:
            # A dictionary that once had an entry takes four times as much memory.
            self._in_flight = {}
        return True

    def _is_last_sent(self, ping: PingInFlight) -> bool:
        return ping is next(
            other for other in reversed(self._in_flight.values()) if other.sent
        )

    def _drop_abandoned(self) -> None:
        ping, self._abandoned = self._abandoned, None
        if ping is not None and self._in_flight.get(ping.payload) is ping:
            del self._in_flight[ping.payload]
