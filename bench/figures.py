"""What is measured: one function per figure, which takes one sample per call."""

from __future__ import annotations

import math
import selectors
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from health_checks import check, round_trips
from load import BINARY, TIMEOUT, Connection, Shape, header, masked_frame
from processes import HERE, Process, Subject, pin

BROADCAST = 125  # bytes of a message to all clients
STUCK_SIZE = 65_000  # bytes of each message until a peer that does not read is slow
STUCK_ROUNDS = 80  # 5 MB: more than the system stores for it
FLOOR = "bytes over anyio"
MODULES = {
    "anyio_websocket": "{loop}; from anyio_websocket import serve_websocket",
    "websockets": "{loop}, websockets.{loop}.server",
    "aiohttp": "aiohttp.web",
    "picows": "picows",
    "picows.websockets": "picows.websockets",
    "trio-websocket": "trio_websocket",
}


@dataclass(frozen=True)
class Sample:
    """One measurement.

    :param value: the value in the unit of its section: mostly µs of CPU time
    :param wall: µs of wall-clock time for the same
    :param p50: µs of a round trip, median
    :param p99: µs of a round trip, 99th percentile

    """

    value: float
    wall: float = 0.0
    p50: float = 0.0
    p99: float = 0.0


def client_context(certificate: Path) -> ssl.SSLContext:
    """Return a context that trusts the certificate of the measured servers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context


def echo(
    server: Process,
    shape: Shape,
    seconds: float,
    context: ssl.SSLContext | None = None,
    *,
    raw: bool = False,
) -> Sample:
    """Measure the CPU time of a server per message that it echoes."""
    connection = Connection(server.port, context, shape.compressed, raw)
    try:
        batch = connection.batch(shape)
        connection.rounds(batch, seconds / 10)  # warms up caches
        before = server.cpu()
        took = connection.rounds(batch, seconds)
        messages = len(took) * shape.count
        cpu = (server.cpu() - before) / messages * 1e6
    finally:
        connection.close()
    micros = sorted(nanos / 1e3 for nanos in took)
    return Sample(
        cpu,
        sum(micros) / messages,
        statistics.median(micros),
        micros[len(micros) * 99 // 100],
    )


def handshakes(
    server: Process,
    count: int,
    context: ssl.SSLContext | None = None,
    *,
    resumed: bool = False,
) -> Sample:
    """Measure the CPU time of a server per connection, with both handshakes.

    :param context: the context for TLS; ``None`` does not use TLS
    :param resumed: whether each resumes the TLS session of an earlier connection

    """
    session = None
    if resumed:
        session = Connection(server.port, context).closing_handshake()
    before, start = server.cpu(), time.perf_counter()
    for _ in range(count):
        connection = Connection(server.port, context, session=session)
        if isinstance(connection.socket, ssl.SSLSocket):
            assert connection.socket.session_reused is resumed
        connection.closing_handshake()
    took = time.perf_counter() - start
    return Sample((server.cpu() - before) / count * 1e6, took / count * 1e6)


def busy(server: Process, count: int, seconds: float) -> Sample:
    """Measure the CPU time of a server per message, with all connections busy.

    Each sends a message of 16 bytes as soon as the one before has come back.
    """
    with crowd(server, count) as connections, selectors.DefaultSelector() as selector:
        batch = connections[0].batch(Shape("16 B", 16))
        sent = {}
        before, start = server.cpu(), time.perf_counter()
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            sent[connection] = time.perf_counter_ns()
            connection.socket.sendall(batch.data)
        took: list[float] = []
        while sent:
            ready = selector.select(TIMEOUT)
            if not ready:
                raise RuntimeError("the server is silent")
            for key, _ in ready:
                key.data.skip(batch.reply)
                now = time.perf_counter_ns()
                took.append((now - sent.pop(key.data)) / 1e3)
                if time.perf_counter() < start + seconds:
                    sent[key.data] = now
                    key.data.socket.sendall(batch.data)
        wall = (time.perf_counter() - start) / len(took) * 1e6
        cpu = (server.cpu() - before) / len(took) * 1e6
    took.sort()
    return Sample(cpu, wall, took[len(took) // 2], took[len(took) * 99 // 100])


@contextmanager
def crowd(server: Process, count: int) -> Iterator[list[Connection]]:
    """Open many connections, and close them at the end."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(Connection(server.port))) for _ in range(count)
        ]


def memory(server: Process, count: int) -> Sample:
    """Measure the resident KiB of a server per idle connection."""
    Connection(server.port).batch(Shape("one", 16))
    before = server.resident()
    with crowd(server, count):
        time.sleep(0.5)  # servers do more after the handshake
        return Sample((server.resident() - before) / count / 1024)


def broadcast(server: Process, count: int, rounds: int = 20) -> Sample:
    """Measure the CPU time of a server per recipient of a broadcast."""
    message = masked_frame(BINARY, bytes(BROADCAST))
    reply = len(header(BINARY, BROADCAST)) + BROADCAST
    with crowd(server, count) as connections:
        before, start = server.cpu(), time.perf_counter()
        for _ in range(rounds):
            connections[0].socket.sendall(message)
            for connection in connections:
                connection.skip(reply)
        took = time.perf_counter() - start
        cpu = server.cpu() - before
    return Sample(cpu / rounds / count * 1e6, took / rounds / count * 1e6)


def stuck(server: Process, count: int, rounds: int = 20) -> Sample:
    """Measure how long a broadcast takes to peers that read, among some that do not.

    One in a hundred never reads. These are sent so much first that they are slow.

    :return: the resident KiB of the server for each peer that does not read; ``p50``
        and ``p99`` are of the time until each of the others has the message
    """
    large = masked_frame(BINARY, bytes(STUCK_SIZE))
    small = masked_frame(BINARY, bytes(BROADCAST))
    reply = len(header(BINARY, BROADCAST)) + BROADCAST
    number = max(1, count // 100)
    with crowd(server, number) as silent:
        with crowd(server, 1) as (sender,):
            before = server.resident()
            for _ in range(STUCK_ROUNDS):
                sender.socket.sendall(large)
                sender.skip(len(header(BINARY, STUCK_SIZE)) + STUCK_SIZE)
            grown = (server.resident() - before) / len(silent) / 1024
        with crowd(server, count - number) as others:
            took: list[float] = []
            for _ in range(rounds):
                start = time.perf_counter()
                others[0].socket.sendall(small)
                for connection in others:
                    connection.skip(reply)
                    took.append((time.perf_counter() - start) * 1e6)
    took.sort()
    return Sample(grown, 0.0, took[len(took) // 2], took[len(took) * 99 // 100])


def growth(server: Process, count: int, seconds: float) -> Sample:
    """Measure CPU time per message of 16 bytes, on ten of many connections."""
    with crowd(server, count) as connections:
        active = connections[:: max(1, count // 10)][:10]
        batch = active[0].batch(Shape("16 B", 16))
        messages = 0
        before, start = server.cpu(), time.perf_counter()
        while time.perf_counter() < start + seconds:
            for connection in active:
                connection.socket.sendall(batch.data)
                connection.skip(batch.reply)
            messages += len(active)
        took = time.perf_counter() - start
        cpu = server.cpu() - before
    return Sample(cpu / messages * 1e6, took / messages * 1e6)


def health_checks(server: Process, count: int) -> Sample:
    """Measure the CPU time of a server per health check, one after the other."""
    check(server.port)
    before, start = server.cpu(), time.perf_counter()
    for _ in range(count):
        check(server.port)
    took = time.perf_counter() - start
    return Sample((server.cpu() - before) / count * 1e6, took / count * 1e6)


def beside_health_checks(
    server: Process, rate: int, count: int, seconds: float
) -> Sample:
    """Measure how long busy connections wait for an echo while checks are made.

    The checks come from a process of their own, so that they delay nothing but the
    server. They are on the core of the load.

    :param rate: checks a second; 0 for none
    :param count: how many connections are busy
    :return: the 99th percentile as its value, which is infinite if the server did not
        answer so many checks

    """
    with crowd(server, count) as connections:
        batch = connections[0].batch(Shape("125 B", 125))
        round_trips(connections, batch, 0.5)  # warms up caches
        words = (str(server.port), str(rate), str(seconds))
        with ExitStack() as stack:
            made = 0
            if rate:
                checks = stack.enter_context(running("health_checks.py", *words))
                assert checks.stdout is not None
                checks.stdout.readline()
            took = round_trips(connections, batch, seconds)
            if rate:
                made = int(checks.communicate(timeout=120)[0])
    micros = sorted(nanos / 1e3 for nanos in took)
    p99 = micros[len(micros) * 99 // 100]
    kept_up = made >= 0.95 * rate * seconds
    return Sample(p99 if kept_up else math.inf, 0.0, statistics.median(micros), p99)


def client(subject: Subject, shape: Shape, seconds: float, peer: Process) -> Sample:
    """Measure the CPU time of a client per message sent and received."""
    output = run_script(
        "clients.py",
        *(subject.name, subject.loop, str(shape.size), str(shape.count)),
        *(str(seconds), str(peer.port)),
        environment=subject.environment(),
    )
    return Sample(float(output))


def importing(subject: Subject) -> Sample:
    """Measure the CPU milliseconds of a Python process that imports a server."""
    modules = MODULES[subject.name].format(
        loop="trio" if subject.loop == "trio" else "asyncio"
    )
    code = f"import {modules}; import time; print(time.process_time() * 1e3)"
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=subject.environment(),
    ).stdout
    return Sample(float(output))


def run_script(*command: str, environment: dict[str, str]) -> str:
    """Run a script on the core that is measured; return its output."""
    with running(*command, environment=environment) as process:
        pin(process.pid, -1)
        output, _ = process.communicate(timeout=120)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return output


def running(
    *command: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a script of this folder."""
    return subprocess.Popen(
        [sys.executable, HERE / command[0], *command[1:]],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
