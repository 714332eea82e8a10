"""The numbers of a connection: every default with its unit and where it comes from.

In: what a user passed. Out: frozen, checked ``ConnectionSettings``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import UnionType
from typing import Final

MESSAGE_QUEUE_SIZE: Final = 16  # messages; what websockets ships
MAX_MESSAGE_SIZE: Final = 2**20  # bytes (1 MiB); what trio-websocket ships
# bytes: few large reads cost less CPU for each. With what Python and malloc put around
# it, this is a block of just less than 128 KiB; a larger one is mapped anew each time
RECEIVE_BUFFER_SIZE: Final = 131_000
CONNECT_TIMEOUT: Final = 10.0  # seconds; websockets' open timeout
DISCONNECT_TIMEOUT: Final = 10.0  # seconds; websockets' close timeout
PING_INTERVAL: Final = 20.0  # seconds; websockets' default, below any proxy's idle time
PING_TIMEOUT: Final = 20.0  # seconds; websockets' default
# handshakes of a server that are not answered yet; some 32 KiB each, and no peer's
# library has a bound
MAX_PENDING_HANDSHAKES: Final = 1000

# seconds to wait for the peer's FIN once all is said, as Chromium does (2 s)
LINGER_TIMEOUT: Final = 2.0
# bytes; holds any ordinary handshake at once, and bounds what a peer that sends
# frames too early can make us keep
HANDSHAKE_RECEIVE_SIZE: Final = 8192


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What a connection needs to know for life, checked once.

    :param message_queue_size: received messages that may wait for the application;
        0 hands each message over in person; ``math.inf`` for no bound by number
    :param max_message_size: bytes of payload in one received message
    :param receive_buffer_size: bytes to ask of the network at once; ``None`` leaves
        it to the stream
    :param connect_timeout: seconds until the connection must be open; ``None`` or
        ``math.inf`` for no limit
    :param disconnect_timeout: seconds that a whole close may take; ``None`` or
        ``math.inf`` for no limit
    :param ping_interval: seconds between the pings that keep the connection alive;
        ``None`` for none
    :param ping_timeout: seconds in which something must come from the peer then;
        ``None`` for no limit
    :raises ValueError: if a number is negative, NaN, or zero where that can't work
    :raises TypeError: if a number is not one

    """

    message_queue_size: float = MESSAGE_QUEUE_SIZE
    max_message_size: float = MAX_MESSAGE_SIZE
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE
    connect_timeout: float | None = CONNECT_TIMEOUT
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT
    ping_interval: float | None = PING_INTERVAL
    ping_timeout: float | None = PING_TIMEOUT

    def __post_init__(self) -> None:
        check("message_queue_size", self.message_queue_size, zero=True)
        check("max_message_size", self.max_message_size)
        if self.receive_buffer_size is not None:
            check("receive_buffer_size", self.receive_buffer_size, kind=int)
        for name in (
            "connect_timeout",
            "disconnect_timeout",
            "ping_interval",
            "ping_timeout",
        ):
            if getattr(self, name) is not None:
                check(name, getattr(self, name))

    @property
    def connect_seconds(self) -> float:
        """``connect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.connect_timeout is None else self.connect_timeout

    @property
    def disconnect_seconds(self) -> float:
        """``disconnect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.disconnect_timeout is None else self.disconnect_timeout


def check(
    name: str,
    value: float,
    *,
    zero: bool = False,
    kind: type | UnionType = int | float,
) -> None:
    """Check that a number of a user's can be right.

    :param name: what it is called there
    :param value: what was passed
    :param zero: whether it may be zero
    :param kind: of which type it must be; a bool is none
    :raises ValueError: if it is negative, NaN, or zero where that can't work
    :raises TypeError: if it is not of that type

    """
    if not isinstance(value, kind) or isinstance(value, bool):
        what = "an int" if kind is int else "a number"
        raise TypeError(f"{name} must be {what}, not {value!r}")
    if not (value > 0 or (zero and value == 0)):  # NaN compares false with everything
        least = "zero or more" if zero else "more than zero"
        raise ValueError(f"{name} must be {least}, not {value!r}")
