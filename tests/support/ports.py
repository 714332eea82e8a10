"""Ports for servers that have to be told theirs, or that come back to the one they had.

A port that is found by binding port 0 and given back is no longer ours: the system may
give it to whoever asks for port 0 next, or to an outgoing connection. So these ports
are outside of the range that the system gives away. All processes that run tests share
them: whoever takes one holds the UDP port of the same number meanwhile, as a sign to
the others. A server for TCP can listen all the same.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
_LOWEST: Final = 10_000  # well-known servers have their ports below
_GIVEN_AWAY: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")  # on Linux
_DYNAMIC: Final = range(49_152, 65_536)  # RFC 6335 section 6; macOS and Windows obey
_TRIES: Final = 100


def given_away() -> range:
    """Return from which ports the system takes one when it is to choose."""
    try:
        first, last = map(int, _GIVEN_AWAY.read_text().split())
    except (OSError, ValueError):
        return _DYNAMIC
    return range(first, last + 1)


def outside(given: range) -> Sequence[int]:
    """Return the ports to take; where all are given away, those that are."""
    ports = range(_LOWEST, 65_536)
    return [port for port in ports if port not in given] or ports


@contextmanager
def own_port(among: Sequence[int] | None = None) -> Generator[int]:
    """Have a port of 127.0.0.1 to oneself while the block lasts.

    :param among: which ones to choose from; ``None`` for all that can be had
    :raises RuntimeError: if none of them is free

    """
    ports = outside(given_away()) if among is None else among
    # Not the global generator, which Hypothesis sets to the same state for each test.
    for port in random.SystemRandom().sample(ports, min(len(ports), _TRIES)):
        with socket.socket(type=socket.SOCK_DGRAM) as sign:
            if _is_taken(port, sign):
                yield port
                return
    raise RuntimeError("there is no free port")


def _is_taken(port: int, sign: socket.socket) -> bool:
    """Take a port, if nobody has it."""
    try:
        sign.bind((HOST, port))
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
