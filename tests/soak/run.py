"""Servers among many clients, some hostile: ``nox -s soak -- SECONDS [LOOP ...]``.

Nine in ten clients are honest: they send numbered messages of random sizes, plain or
compressed, over TCP or TLS, want them back in order, none lost and none twice, and come
and go. The others are of ``hostile``: they play every row of the contract that a peer
can play, and see to it that the promised happens. In the middle each server is told to
stop and started again. All the while, memory, descriptors, tasks and the time that an
echo takes are measured. A broken promise ends the run with an error; ``report.md`` and
``soak.png`` say what was measured.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import ssl
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import anyio
import psutil
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint_if_cancelled

from anyio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    open_websocket,
    reconnect_delays,
)
from anyio_websocket.testing import ScriptedPeer

from .course import Course, Moment, Restart, dealt
from .hostile import ATTACKS, TRAPS, Attack, BrokenPromise, fall_into, serve_traps
from .level import Sample, growth
from .process import (
    LOOPS,
    Progress,
    Server,
    look,
    running,
    settled,
    watch_unraisable,
)
from .report import write
from .server import tasks_now

HERE: Final = Path(__file__).parent
CLIENTS: Final = 1000
ATTACKERS: Final = 80
TRAPPED: Final = 20
PAUSE: Final = 2.0  # seconds between an honest client's messages, on average
HOSTILE_PAUSE: Final = 3.0  # seconds between two scripts of a client, on average
PATIENCE: Final = 30.0  # seconds; an answer that takes longer is lost
LATE: Final = 0.25  # seconds; who sleeps so much too long has not enough of the machine
MOST_UNJUDGED: Final = 0.05  # of the scripts
NEARLY_ALL: Final = 0.95  # of the clients that a server had before its restart
SLOWEST: Final = 2.0  # seconds; bound of the 99th percentile, with all on one machine
# by how much a process may differ from itself: of a thousand clients some come, some go
SLACK: Final = Sample(resident=8.0, descriptors=60, tasks=60)
LONG: Final = 60.0  # seconds; who has those plays every row, and becomes level


class Soak:
    """One run.

    :param seconds: how long
    :param servers: which run already
    :param trust: a context that trusts them

    """

    def __init__(
        self, seconds: float, servers: list[Server], trust: ssl.SSLContext
    ) -> None:
        self.seconds = seconds
        self.courses = [
            Course(server, dealt(ATTACKS, random.Random(i)))
            for i, server in enumerate(servers)
        ]
        self.trapped: Counter[str] = Counter()
        self.ours: list[tuple[float, Sample]] = []  # of this process, and when
        self.messages = self.connections = 0
        self.broken: Counter[str] = Counter()
        self.unjudged = 0  # outcomes of scripts that may be wrong for want of time
        self._late_at = -math.inf  # when this process was late
        self._trust = trust

    async def run(self) -> None:
        """Run all of it."""
        idle = [await self._look(course) for course in self.courses]
        before = self._look_at_ourselves()
        async with serve_traps(self._break) as port, anyio.create_task_group() as tasks:
            for i in range(CLIENTS):
                chance = random.Random(i)
                course = self.courses[i % len(self.courses)]
                if i < ATTACKERS:
                    tasks.start_soon(self._attack, course, chance)
                elif i < ATTACKERS + TRAPPED:
                    tasks.start_soon(self._fall, chance, port)
                else:
                    tasks.start_soon(self._talk, course, chance)
            tasks.start_soon(self._restart)
            tasks.start_soon(self._keep_time)
            await self._watch()
            tasks.cancel_scope.cancel()  # so they leave rudely, all at once
        for course, sample in zip(self.courses, idle, strict=True):
            await self._is_left_alone(course, sample)
            await self._stop(course)
        await settled(tasks_now, before.tasks, 10)
        after = self._look_at_ourselves()
        # The servers' pipes are closed by now, and were not before.
        if after.tasks > before.tasks or after.descriptors > before.descriptors:
            self._break(f"the clients left something behind: {before} became {after}")
        self._judge()

    def _break(self, text: str) -> None:
        self.broken[text] += 1

    # -- the servers -----------------------------------------------------------

    async def _restart(self) -> None:
        await anyio.sleep(self.seconds / 2)
        for course in self.courses:
            with anyio.CancelScope(shield=True):
                connected = course.connected
                course.is_down = True
                started = time.monotonic()
                await self._stop(course)
                took = time.monotonic() - started
                await course.server.start()
                course.life += 1
                course.is_down = False
                started = time.monotonic()
            while course.connected < NEARLY_ALL * connected:
                await anyio.sleep(0.05)
            course.restart = Restart(took, connected, time.monotonic() - started)

    async def _stop(self, course: Course) -> None:
        server = course.server
        await server.stop()
        for complaint in server.complaints:
            self._break(f"the server on {server.loop} {complaint}")
        server.complaints.clear()

    async def _is_left_alone(self, course: Course, idle: Sample) -> None:
        """Demand that a server forgets its clients."""
        with anyio.move_on_after(20):
            while True:
                now = await self._look(course)
                if now.tasks <= idle.tasks and now.descriptors <= idle.descriptors:
                    return
                await anyio.sleep(0.5)
        self._break(f"{course.server.loop} has {now} left, and had {idle} at first")

    # -- the clients -----------------------------------------------------------

    async def _talk(self, course: Course, chance: random.Random) -> None:
        await anyio.sleep(chance.uniform(0, 5))
        while True:
            delays = reconnect_delays(first=1, longest=3, rng=chance)
            while not await self._connection(course, chance):
                await anyio.sleep(next(delays))

    async def _connection(self, course: Course, chance: random.Random) -> bool:
        """Talk for a while; say whether the connection was of use."""
        life, was_connected = course.life, False
        try:
            async with self._opened(course, chance) as ws:
                was_connected = True
                course.connected += 1
                self.connections += 1
                number = 0
                for _ in range(chance.randrange(5, 40)):
                    number = await self._exchange(course, ws, number, chance)
                    await anyio.sleep(chance.expovariate(1 / PAUSE))
            return True
        except ConnectionClosed as exc:
            if exc.reason is not None and exc.reason.code == 1001:
                course.told += 1
            elif course.is_calm(life) or was_connected:
                self._break(f"{course.server.loop}: an honest client got {exc!r}")
        except HandshakeError as exc:
            if course.is_calm(life):
                self._break(f"{course.server.loop}: an honest client got {exc!r}")
        except TimeoutError:
            self._break(f"{course.server.loop}: a message was lost")
        finally:
            course.connected -= was_connected
        return False

    def _opened(
        self, course: Course, chance: random.Random
    ) -> AbstractAsyncContextManager[WebSocketConnection]:
        is_secure = chance.random() < 0.1
        return open_websocket(
            "127.0.0.1",
            course.server.tls_port if is_secure else course.server.port,
            "/",
            use_ssl=self._trust if is_secure else False,
            compression=chance.random() < 0.2 or None,
            connect_timeout=PATIENCE,
        )

    async def _exchange(
        self,
        course: Course,
        ws: WebSocketConnection,
        number: int,
        chance: random.Random,
    ) -> int:
        """Send one or a few messages and want them back; return the next number."""
        burst = [
            b"%d " % (number + i) + chance.randbytes(int(10 ** chance.uniform(0, 4.7)))
            for i in range(chance.choice((1, 1, 1, 5)))
        ]
        started = time.perf_counter()
        with anyio.fail_after(PATIENCE):
            for message in burst:
                await ws.send_message(message)
            for message in burst:
                if await ws.get_message() != message:
                    self._break("a message was lost, doubled or damaged")
        took = (time.perf_counter() - started) * 1e3
        course.latencies.append(took)
        course.spread[round(took)] += 1
        self.messages += len(burst)
        return number + len(burst)

    async def _attack(self, course: Course, chance: random.Random) -> None:
        while True:
            await anyio.sleep(chance.uniform(0, 2 * HOSTILE_PAUSE))
            row, attack = next(course.deck)
            life, started = course.life, time.monotonic()
            try:
                with anyio.fail_after(60):
                    async with await self._dial(course, attack, chance) as stream:
                        await attack.play(ScriptedPeer(stream, is_client=True))
            except Exception as exc:
                if course.is_calm(life):
                    name = f"{row} ({attack.play.__name__}) on {course.server.loop}"
                    after = f"after {time.monotonic() - started:.0f} s"
                    self._judge_script(f"{name}: {_told(exc)}, {after}", started)
            course.played[row] += 1

    async def _dial(
        self, course: Course, attack: Attack, chance: random.Random
    ) -> ByteStream:
        port, tls_port = course.server.port, course.server.tls_port
        if attack.over == "any" and chance.random() < 0.25:
            return await anyio.connect_tcp(
                *("127.0.0.1", tls_port),
                ssl_context=self._trust,
                tls_standard_compatible=False,
            )
        ports = {"bare": tls_port, "crowded": course.server.crowded_port}
        return await anyio.connect_tcp("127.0.0.1", ports.get(attack.over, port))

    async def _fall(self, chance: random.Random, port: int) -> None:
        numbers = {row: range(len(traps)) for row, traps in TRAPS.items()}
        deck = dealt(numbers, chance)
        while True:
            await anyio.sleep(chance.uniform(0, 2 * HOSTILE_PAUSE))
            row, number = next(deck)
            started = time.monotonic()
            try:
                await fall_into(row, number, port)
            except Exception as exc:
                await checkpoint_if_cancelled()  # what it ended with does not count
                name = TRAPS[row][number].play.__name__
                self._judge_script(f"{row} ({name}) on a client: {_told(exc)}", started)
            self.trapped[row] += 1

    def _judge_script(self, text: str, started: float) -> None:
        if started > self._late_at:
            self._break(text)
        else:
            self.unjudged += 1

    async def _keep_time(self) -> None:
        """Note when this process is late: then it cannot say that others are."""
        while True:
            due = time.monotonic() + 0.1
            await anyio.sleep(0.1)
            if time.monotonic() > due + LATE:
                self._late_at = time.monotonic()

    # -- what is seen ----------------------------------------------------------

    async def _watch(self) -> None:
        progress = Progress()
        started = time.monotonic()
        while (now := time.monotonic() - started) < self.seconds:
            await anyio.sleep(1)
            said: list[str] = []
            for course in self.courses:
                await self._see(course, now)
                moment = course.moments[-1]
                said.append(
                    f"{course.server.loop} {moment.sample.resident:.0f} MiB "
                    f"{moment.sample.tasks} tasks p99 {moment.p99:.0f} ms"
                )
            self.ours.append((now, self._look_at_ourselves()))
            attacks = sum(course.played.total() for course in self.courses)
            progress.show(
                f"{now:4.0f} s | {' | '.join(said)} | {self.messages} messages, "
                f"{attacks} attacks, {self.trapped.total()} traps, "
                f"{self.broken.total()} broken"
            )
        progress.done()

    async def _see(self, course: Course, now: float) -> None:
        latencies, course.latencies = sorted(course.latencies), []
        life = course.life
        try:
            sample = await self._look(course)
        except (OSError, HandshakeError, ConnectionClosed, psutil.Error) as exc:
            if course.is_calm(life):
                self._break(f"{course.server.loop} cannot be looked at: {exc!r}")
        else:
            p99 = latencies[int(len(latencies) * 0.99)] if latencies else 0.0
            course.moments.append(Moment(now, life, sample, p99))

    @staticmethod
    async def _look(course: Course) -> Sample:
        async with course.server.watched() as watch:
            return await watch.sample()

    @staticmethod
    def _look_at_ourselves() -> Sample:
        return look(os.getpid(), tasks_now())

    def _judge(self) -> None:
        scripts = self.trapped.total() + sum(c.played.total() for c in self.courses)
        if self.unjudged > MOST_UNJUDGED * scripts:
            self._break(f"{self.unjudged} scripts were not judged: the machine is slow")
        for course in self.courses:
            loop = course.server.loop
            if not course.told >= 1:
                self._break(f"{loop} told no client that it stopped")
            if (slowest := course.percentile(0.01)) > SLOWEST * 1e3:
                self._break(f"{loop}: echoes take {slowest} ms (p99)")
            if self.seconds < LONG:
                continue
            for life in range(1, course.life + 1):
                moments = [m for m in course.moments if m.life == life]
                for grown in growth([m.sample for m in moments], SLACK):
                    self._break(f"{loop}, start {life}: {grown}")
            for row in ATTACKS.keys() - course.played.keys():
                self._break(f"{loop}: row {row} was never played")
        if self.seconds >= LONG:
            for grown in growth([sample for _, sample in self.ours], SLACK):
                self._break(f"the clients: {grown}")
            for row in TRAPS.keys() - self.trapped.keys():
                self._break(f"row {row} was never played on a client")


def _told(exc: BaseException) -> str:
    """Say what an exception is about, or those in a group of them."""
    if isinstance(exc, BaseExceptionGroup):
        return ", ".join(_told(inner) for inner in exc.exceptions)
    return str(exc) if isinstance(exc, BrokenPromise) else repr(exc)


async def soak(seconds: float, loops: Sequence[str], clients: str, out: Path) -> bool:
    """Run, and write down what was seen; say whether every promise was kept."""
    async with running(loops) as (servers, trusted):
        run = Soak(seconds, servers, ssl.create_default_context(cafile=trusted))
        watch_unraisable(lambda text: run.broken.update([text]))
        await run.run()
    write(run, clients, out)
    for text, count in run.broken.most_common(30):
        print(f"broken promise, {count} times: {text}", file=sys.stderr)
    return not run.broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument(
        "loops", nargs="*", help="of the servers: asyncio, uvloop, trio", default=[]
    )
    parser.add_argument("--clients", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    if unknown := set(args.loops) - set(LOOPS):
        parser.error(f"there is no loop named {', '.join(unknown)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    loops = args.loops or ["asyncio", "trio"]
    arguments = (args.seconds, loops, args.clients, args.out)
    if not anyio.run(soak, *arguments, backend=args.clients):
        sys.exit(1)


if __name__ == "__main__":
    main()
