"""Health checks over HTTP, as a load balancer makes them, and busy clients beside them.

``python health_checks.py PORT RATE SECONDS`` makes so many checks a second of a server
on this machine. It prints when it begins, and then how many it made.
"""

from __future__ import annotations

import selectors
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, perf_counter_ns, sleep

from load import TIMEOUT, Batch, Connection

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
AT_ONCE = 20  # checks that wait for their answers, at most
BUSY = 5  # messages a second on each busy connection


def check(port: int) -> None:
    """Make one check, and see to it that it is answered."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.sendall(REQUEST)
        answer = b""
        while data := sock.recv(4096):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def make_checks(port: int, rate: float, seconds: float) -> int:
    """Make checks at a rate, as far as the server keeps up; return how many."""

    def make_some(number: int) -> int:
        # Those of the threads alternate.
        count, start = 0, perf_counter() + number / rate
        while (passed := perf_counter() - start) < seconds:
            due = count * AT_ONCE / rate
            if passed >= due:
                check(port)
                count += 1
            else:
                sleep(due - passed)
        return count

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(threads.map(make_some, range(AT_ONCE)))


def round_trips(
    connections: Sequence[Connection], batch: Batch, seconds: float
) -> list[int]:
    """Send on many connections in turn, each at its rate, and receive the echoes.

    :return: the nanoseconds from when each message was sent to its echo

    """
    took: list[int] = []
    sent: dict[int, int] = {}  # when, of messages whose echo has not come, by socket
    interval = 1 / BUSY / len(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        count = 0
        start = perf_counter()
        while (passed := perf_counter() - start) < seconds or sent:
            for key, _ in selector.select(max(0.0, count * interval - passed)):
                key.data.skip(batch.reply)
                took.append(perf_counter_ns() - sent.pop(key.fd))
            while passed < seconds and count * interval <= perf_counter() - start:
                sock = connections[count % len(connections)].socket
                # One that is late gets no second message: that would be another load.
                if sock.fileno() not in sent:
                    sent[sock.fileno()] = perf_counter_ns()
                    sock.sendall(batch.data)
                count += 1
            if passed > seconds + TIMEOUT:
                raise RuntimeError("the server is silent")
    return took


if __name__ == "__main__":
    port, rate, seconds = sys.argv[1:]
    print("begins", flush=True)
    print(make_checks(int(port), float(rate), float(seconds)))
