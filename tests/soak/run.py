"""A server among many clients, some of them hostile: ``nox -s soak -- SECONDS [LOOP]``.

Nine in ten clients are honest: they send numbered messages of random sizes, want them
back in order, none lost and none twice, and come and go. The others are of ``hostile``.
In the middle the server is restarted. While that goes on its memory, descriptors and
tasks are watched, and how long an echo takes. What breaks a promise ends the run with
an error; ``report.md`` and ``soak.png`` say what was seen.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import psutil

from anyio_websocket import (
    ConnectionClosed,
    HandshakeError,
    __version__,
    open_websocket,
    reconnect_delays,
)

from .hostile import SCRIPTS

HERE = Path(__file__).parent
CLIENTS = 1000
HOSTILE = CLIENTS // 10
PAUSE = 1.0  # seconds between an honest client's messages, on average
WARM_UP = 0.3  # of the time of a server, after which its memory has to stay level
SLOWEST = 2.0  # seconds; bound of the 99th percentile, with all on one small machine


class Sample(NamedTuple):
    """What was seen in a moment."""

    at: float  # seconds since the start
    life: int  # which server it was
    resident: float  # MiB
    descriptors: int
    tasks: int
    p99: float  # ms


class Soak:
    """One run.

    :param seconds: how long
    :param loop: asyncio, uvloop or trio

    """

    def __init__(self, seconds: float, loop: str) -> None:
        self.seconds = seconds
        self.loop = loop
        self.samples: list[Sample] = []
        self.messages = self.connections = self.attacks = 0
        self.broken: list[str] = []
        self._latencies: list[float] = []
        self._port = 0
        self._life = 0
        self._is_down = False
        self._server: subprocess.Popen[str] | None = None

    async def run(self) -> None:
        """Run all of it."""
        await self._start()
        async with anyio.create_task_group() as tasks:
            started = time.monotonic()
            for i in range(CLIENTS):
                client = self._attack if i < HOSTILE else self._talk
                tasks.start_soon(client, random.Random(i))
            tasks.start_soon(self._restart)
            while (now := time.monotonic() - started) < self.seconds:
                await anyio.sleep(1)
                await self._watch(now)
            tasks.cancel_scope.cancel()
        await self._stop()
        self._judge()

    # -- the server ------------------------------------------------------------

    async def _start(self) -> None:
        command = [sys.executable, "-m", "tests.soak.server", self.loop]
        self._server = await anyio.to_thread.run_sync(
            partial(
                subprocess.Popen,
                [*command, str(self._port)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=HERE.parent.parent,
            )
        )
        assert self._server.stdout is not None
        line = await anyio.to_thread.run_sync(self._server.stdout.readline)
        self._port = int(line)
        self._life += 1

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.terminate()
        _, said = await anyio.to_thread.run_sync(partial(self._server.communicate))
        if self._server.returncode:
            self.broken.append(f"the server ended with {self._server.returncode}")
        if said.strip():
            self.broken.append(f"the server complained: {said[-2000:]}")

    async def _restart(self) -> None:
        await anyio.sleep(self.seconds / 2)
        with anyio.CancelScope(shield=True):
            self._is_down = True
            await self._stop()
            await self._start()
            self._is_down = False

    # -- the clients -----------------------------------------------------------

    async def _talk(self, chance: random.Random) -> None:
        await anyio.sleep(chance.uniform(0, 5))
        delays = reconnect_delays(first=1, longest=3, rng=chance)
        while True:
            life = self._life
            try:
                await self._connection(chance)
            except (OSError, HandshakeError) as exc:
                if life == self._life and not self._is_down:
                    self.broken.append(f"could not connect: {exc!r}")
                await anyio.sleep(next(delays))
            except ConnectionClosed as exc:
                if exc.reason is None or exc.reason.code != 1001:
                    self.broken.append(f"an honest client was closed: {exc!r}")
                await anyio.sleep(next(delays))

    async def _connection(self, chance: random.Random) -> None:
        async with open_websocket(
            "127.0.0.1", self._port, "/", use_ssl=False, connect_timeout=30
        ) as ws:
            self.connections += 1
            number = 0
            for _ in range(chance.randrange(5, 40)):
                burst = [
                    f"{number + i} ".encode() + chance.randbytes(self._size(chance))
                    for i in range(chance.choice((1, 1, 1, 5)))
                ]
                number += len(burst)
                sent = time.perf_counter()
                for message in burst:
                    await ws.send_message(message)
                for message in burst:
                    if await ws.get_message() != message:
                        self.broken.append("a message was lost, doubled or damaged")
                self._latencies.append(time.perf_counter() - sent)
                self.messages += len(burst)
                await anyio.sleep(chance.expovariate(1 / PAUSE))

    @staticmethod
    def _size(chance: random.Random) -> int:
        return int(min(10 ** chance.uniform(0, 5), 50_000))

    async def _attack(self, chance: random.Random) -> None:
        while True:
            await anyio.sleep(chance.uniform(0, 2))
            script = chance.choice(SCRIPTS)
            try:
                async with await anyio.connect_tcp("127.0.0.1", self._port) as stream:
                    self.attacks += 1
                    await script(stream)
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
                pass

    # -- what is seen ----------------------------------------------------------

    async def _watch(self, now: float) -> None:
        assert self._server is not None
        latencies, self._latencies = sorted(self._latencies), []
        try:
            async with open_websocket(
                "127.0.0.1", self._port, "/stats", use_ssl=False
            ) as ws:
                tasks = int(await ws.get_message())
            process = psutil.Process(self._server.pid)
            sample = Sample(
                now,
                self._life,
                process.memory_info().rss / 2**20,
                process.num_fds(),
                tasks,
                latencies[int(len(latencies) * 0.99)] * 1e3 if latencies else 0.0,
            )
        except (OSError, HandshakeError, ConnectionClosed, psutil.Error):
            return  # it is being restarted
        self.samples.append(sample)
        if sys.stdout.isatty() or len(self.samples) % 30 == 0:
            print(
                f"{now:5.0f} s  {self.messages} messages, {self.connections} "
                f"connections, {self.attacks} attacks; {sample.resident:.0f} MiB, "
                f"{sample.descriptors} descriptors, {sample.tasks} tasks, "
                f"p99 {sample.p99:.0f} ms; broken: {len(self.broken)}",
                flush=True,
            )

    def _judge(self) -> None:
        for life in range(1, self._life + 1):
            samples = [s for s in self.samples if s.life == life]
            warm = samples[int(len(samples) * WARM_UP) :]
            half = len(warm) // 2
            for name, value, slack in (
                ("resident", lambda s: s.resident, 8.0),
                ("descriptors", lambda s: s.descriptors, 60.0),
                ("tasks", lambda s: s.tasks, 60.0),
            ):
                early = statistics.median(map(value, warm[:half]))
                late = statistics.median(map(value, warm[half:]))
                if late > early * 1.1 + slack:
                    self.broken.append(f"{name} grew from {early} to {late}")
            slowest = statistics.median(s.p99 for s in warm)
            if slowest > SLOWEST * 1e3:
                self.broken.append(f"echoes take {slowest:.0f} ms (p99)")


def report(soak: Soak) -> str:
    """Write down what was seen."""
    lines = [
        "# A server among many clients",
        "",
        (
            f"`nox -s soak -- {soak.seconds:.0f} {soak.loop}`, "
            f"{datetime.now(UTC):%Y-%m-%d}: anyio_websocket {__version__}, "
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{platform.system()}, {os.cpu_count()} cores."
        ),
        "",
        (
            f"{CLIENTS} clients, {HOSTILE} of them hostile; the server was restarted "
            f"once. {soak.messages} messages came back in order, over "
            f"{soak.connections} connections, during {soak.attacks} attacks."
        ),
        "",
        "| second | server | resident, MiB | descriptors | tasks | p99, ms |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    step = max(1, len(soak.samples) // 20)
    lines += (
        f"| {s.at:.0f} | {s.life} | {s.resident:.1f} | {s.descriptors} | {s.tasks} | "
        f"{s.p99:.0f} |"
        for s in soak.samples[::step]
    )
    lines += ["", "![RSS and p99 over time](soak.png)", "", "## Broken promises", ""]
    lines += [f"- {text}" for text in soak.broken] or ["None."]
    return "\n".join([*lines, ""])


def plot(soak: Soak, path: Path) -> None:
    """Draw memory and latency over time."""
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, sharex=True, figsize=(8, 5))
    times = [s.at for s in soak.samples]
    above.plot(times, [s.resident for s in soak.samples])
    above.set_ylabel("resident, MiB")
    above.set_ylim(bottom=0)
    below.plot(times, [s.p99 for s in soak.samples], color="tab:orange")
    below.set_ylabel("p99 of an echo, ms")
    below.set_xlabel("seconds")
    below.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("loop", nargs="?", default="asyncio")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    soak = Soak(args.seconds, args.loop)
    anyio.run(soak.run)
    (args.out / "report.md").write_text(report(soak), encoding="utf-8")
    plot(soak, args.out / "soak.png")
    if soak.broken:
        sys.exit("\n".join(["broken promises:", *soak.broken[:20]]))


if __name__ == "__main__":
    main()
