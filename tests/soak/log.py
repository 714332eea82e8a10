"""What a server may write into its log: the lines that the contract promises.

In: the log of a server process. Out: how often each promised line is there, and all
other lines, which are complaints.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

# How a line about a client begins, after its level (logging.BASIC_FORMAT).
_CLIENT: Final = r'anyio_websocket:Endpoint\(address="127\.0\.0\.1", [^)]*\): '


@dataclass(frozen=True)
class Promise:
    """A line that the contract promises.

    :param row: the row that does so
    :param pattern: what the line is like, as a regular expression
    :param interval: seconds from one to the next, of one server; 0 if there is one for
        each client

    """

    row: str
    pattern: str
    interval: float = 0.0


PROMISED: Final = [
    Promise(
        "A14",
        f"ERROR:{_CLIENT}the handler handler returned without calling "
        r"request\.accept\(\) or request\.reject\(\), so the request is rejected with "
        "status 500",
    ),
    Promise(
        "A21",
        f"WARNING:{_CLIENT}rejected with status 403: pages of the Origin '.*' may not "
        "connect to the Host '.*': .*",
        60.0,
    ),
    Promise(
        "B15",
        rf"WARNING:{_CLIENT}the TLS handshake failed: SSLError\(.*\)",
        60.0,
    ),
    Promise(
        "G12",
        "WARNING:anyio_websocket:clients (have to wait|without a complete request are "
        r"dropped): \d+ handshakes are pending, "
        "as many as max_pending_handshakes allows",
        60.0,
    ),
]


def read(text: str, servers: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Read the log of a process.

    :param text: the log
    :param servers: how many servers of ours wrote to it
    :param seconds: for how long
    :return: how often each row's line is there, and what is not promised: other lines,
        and lines that are more frequent than promised

    """
    counts: Counter[str] = Counter()
    complaints: list[str] = []
    for line in text.splitlines():
        for promise in PROMISED:
            if re.fullmatch(promise.pattern, line):
                counts[promise.row] += 1
                break
        else:
            complaints.append(line)
    for promise in PROMISED:
        if promise.interval:
            most = servers * (1 + int(seconds / promise.interval))
            if counts[promise.row] > most:
                row, count = promise.row, counts[promise.row]
                complaints.append(f"{count} lines of row {row} in {seconds:.0f} s")
    return counts, complaints
