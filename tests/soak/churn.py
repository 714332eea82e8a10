"""Clients that come and go, and many that stay: ``nox -s churn -- COUNT [LOOP ...]``.

COUNT clients connect to a server and leave, a bounded number at once, every other one
of them rudely. Then ten thousand connections of our own client are held for a while,
through the pings that keep them alive, and one more has its echoes in time. The memory,
descriptors and tasks of the server have to stay level, and to be back in the end.
``churn.md`` says what was seen.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from anyio_websocket import WebSocketConnection, connect_websocket, open_websocket
from anyio_websocket.testing import Frame, ScriptedPeer, handshake_request

from ..support.frames import CLOSE, TEXT
from .hostile.script import leave_with_a_reset, opened
from .level import Sample, growth
from .process import (
    LOOPS,
    Progress,
    Server,
    Watch,
    conditions,
    look,
    running,
    settled,
)
from .server import tasks_now
from .settings import PING_INTERVAL

HERE: Final = Path(__file__).parent
COUNT: Final = 100_000
AT_ONCE: Final = 50
IDLE: Final = 10_000
SAMPLES: Final = 100  # in a run
SPARE: Final = 100  # descriptors for all but connections
# The ports of one address are used up by connections that TCP remembers for a minute.
SOURCES: Final = [f"127.0.0.{number}" for number in range(2, 10)]
# What a server may have more than before: of fifty clients some are there, some not.
SLACK: Final = Sample(resident=1.0, descriptors=AT_ONCE, tasks=AT_ONCE)
LARGEST: Final = 20.0  # KiB; of an idle connection, on average
SLOWEST: Final = 1.0  # seconds; of an echo meanwhile (p99)

Way = Callable[[ScriptedPeer], Awaitable[None]]


# -- ways to come and go -------------------------------------------------------


async def leaves_politely(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(TEXT, b"hello")
    if await peer.receive_frame() != Frame(TEXT, b"hello"):
        raise ValueError("a wrong echo")
    await peer.send_close(1000)
    await peer.receive_all()


async def lets_the_server_leave(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/leave")
    if (await peer.receive_frame()).opcode == CLOSE:
        await peer.send_close(1000)
    await peer.receive_all()


async def is_refused(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request(key=None))
    await peer.receive_all()


async def resets_at_once(peer: ScriptedPeer) -> None:
    await leave_with_a_reset(peer)


async def leaves_in_the_request(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request()[:50])


async def resets_in_a_frame(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.stream.send(peer.frame(TEXT, b"hello")[:5])
    await leave_with_a_reset(peer)


async def leaves_without_a_close(peer: ScriptedPeer) -> None:
    await opened(peer)


async def leaves_with_a_mistake(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_frame(3)


async def leaves_behind_its_close(peer: ScriptedPeer) -> None:
    await opened(peer)
    await peer.send_close(1000)


POLITE: Final[list[Way]] = [leaves_politely, lets_the_server_leave, is_refused]
RUDE: Final[list[Way]] = [
    resets_at_once,
    leaves_in_the_request,
    resets_in_a_frame,
    leaves_without_a_close,
    leaves_with_a_mistake,
    leaves_behind_its_close,
]


async def come_and_go(port: int, number: int) -> None:
    """Be one of the clients; every other one is rude, and some are of our own make."""
    turn, is_rude = divmod(number, 2)
    if not is_rude and turn % 8 == 0:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            await ws.send_message("hello")
            if await ws.get_message() != "hello":
                raise ValueError("a wrong echo")
        return
    ways = RUDE if is_rude else POLITE
    source = SOURCES[number % len(SOURCES)]
    async with await anyio.connect_tcp("127.0.0.1", port, local_host=source) as stream:
        await ways[turn % len(ways)](ScriptedPeer(stream, is_client=True))


# -- what is done with a server ------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What was seen of a server.

    :param per_connection: KiB of an idle connection

    """

    loop: str
    count: int
    seconds: float
    before: Sample
    samples: list[Sample]
    after: Sample
    idle: int
    per_connection: float
    p99: float  # ms
    idling: Sample
    left: Sample  # when the idle ones had gone
    again: Sample  # with as many idle ones as before
    broken: list[str]


class Churn:
    """What is done with one server.

    :param server: which runs already
    :param watch: tells how it is
    :param progress: where it is said how far this is

    """

    def __init__(self, server: Server, watch: Watch, progress: Progress) -> None:
        self.broken: list[str] = []
        self._server = server
        self._watch = watch
        self._progress = progress

    async def run(self, count: int, idle: int) -> Outcome:
        """Let clients come and go, and then some stay."""
        await self._come_and_go(count // 50, [])  # what is done once is done then
        before = await self._at_rest()
        samples: list[Sample] = []
        started = time.monotonic()
        await self._come_and_go(count, samples)
        seconds = time.monotonic() - started
        after = await self._is_left_alone(before)
        self.broken += growth(samples, SLACK, more=0)
        idling, p99 = await self._idle(idle)
        left = await self._is_left_alone(before)
        # What was freed is not always given back to the system, but is used again.
        again, _ = await self._idle(idle)
        await self._is_left_alone(before)
        if again.resident > idling.resident + SLACK.resident:
            self.broken.append(f"idle connections took {idling}, and then {again}")
        per_connection = (idling.resident - after.resident) * 1024 / idle
        if per_connection > LARGEST:
            self.broken.append(f"an idle connection takes {per_connection:.1f} KiB")
        if p99 > SLOWEST * 1e3:
            self.broken.append(f"an echo takes {p99:.0f} ms among idle connections")
        return Outcome(
            loop=self._server.loop,
            count=count,
            seconds=seconds,
            before=before,
            samples=samples,
            after=after,
            idle=idle,
            per_connection=per_connection,
            p99=p99,
            idling=idling,
            left=left,
            again=again,
            broken=self.broken,
        )

    async def _at_rest(self) -> Sample:
        """Look at the server while it has no other client."""
        samples: list[Sample] = []
        for _ in range(10):
            await anyio.sleep(0.3)
            samples.append(await self._watch.sample())
        return min(samples, key=lambda sample: (sample.tasks, sample.descriptors))

    async def _come_and_go(self, count: int, samples: list[Sample]) -> None:
        numbers = iter(range(count))
        done = 0

        async def client() -> None:
            nonlocal done
            for number in numbers:
                with anyio.fail_after(30):
                    await come_and_go(self._server.port, number)
                done += 1

        async def watch() -> None:
            while True:
                while done < count * len(samples) / SAMPLES:
                    await anyio.sleep(0.02)
                samples.append(await self._watch.sample())
                self._say(f"{done} of {count} came and went", samples[-1])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            async with anyio.create_task_group() as clients:
                for _ in range(AT_ONCE):
                    clients.start_soon(client)
            tasks.cancel_scope.cancel()

    async def _idle(self, count: int) -> tuple[Sample, float]:
        """Hold connections; tell of the server, and ms of an echo meanwhile (p99)."""
        held: list[WebSocketConnection] = []
        async with anyio.create_task_group() as tasks:
            url = "127.0.0.1", self._server.port, "/"
            connect = partial(connect_websocket, tasks, *url, use_ssl=False)
            took: list[float] = []
            async with anyio.create_task_group() as meanwhile:
                meanwhile.start_soon(self._echo, took)
                numbers = iter(range(count))

                async def open_some() -> None:
                    for _ in numbers:
                        ws = await connect(connect_timeout=60)
                        held.append(ws)

                async with anyio.create_task_group() as opening:
                    for _ in range(AT_ONCE):
                        opening.start_soon(open_some)
                    while len(held) < count:
                        await anyio.sleep(0.5)
                        sample = await self._watch.sample()
                        self._say(f"{len(held)} of {count} are there", sample)
                # Each is pinged meanwhile, more than once.
                for _ in range(int(PING_INTERVAL * 3)):
                    await anyio.sleep(1)
                    sample = await self._watch.sample()
                    self._say(f"{count} idle", sample)
                meanwhile.cancel_scope.cancel()
            if gone := sum(ws.closed is not None for ws in held):
                self.broken.append(f"{gone} of {count} idle connections were closed")
            for i, ws in enumerate(held):
                if i % 2:
                    tasks.start_soon(ws.aclose)
                if i % 100 == 0:
                    await anyio.sleep(0.01)
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()  # the other half goes without a word
        took.sort()
        return sample, took[int(len(took) * 0.99)] * 1e3

    async def _echo(self, took: list[float]) -> None:
        """Be an honest client, as long as it lasts."""
        async with open_websocket(
            "127.0.0.1", self._server.port, "/", use_ssl=False
        ) as ws:
            while True:
                started = time.perf_counter()
                await ws.send_message("hello")
                await ws.get_message()
                took.append(time.perf_counter() - started)
                await anyio.sleep(0.02)

    async def _is_left_alone(self, before: Sample) -> Sample:
        """Demand that the server forgets its clients."""
        with anyio.move_on_after(20):
            while True:
                now = await self._watch.sample()
                if now.tasks <= before.tasks and now.descriptors <= before.descriptors:
                    return now
                await anyio.sleep(0.2)
        self.broken.append(f"{now} is left, and before there was {before}")
        return now

    def _say(self, text: str, sample: Sample) -> None:
        self._progress.show(
            f"{self._server.loop}: {text} | {sample.resident:.1f} MiB, "
            f"{sample.descriptors} descriptors, {sample.tasks} tasks"
        )


async def churn(count: int, loops: Sequence[str], idle: int) -> list[Outcome]:
    """Do it with a server on each of some event loops."""
    outcomes: list[Outcome] = []
    for loop in loops:
        before = look(os.getpid(), tasks_now())
        async with running([loop]) as ([server], _):
            async with server.watched() as watch:
                progress = Progress()
                outcome = await Churn(server, watch, progress).run(count, idle)
                progress.done()
            await server.stop()
            outcome.broken.extend(server.complaints)
        await settled(tasks_now, before.tasks, 10)
        after = look(os.getpid(), tasks_now())
        if after.tasks > before.tasks or after.descriptors > before.descriptors:
            outcome.broken.append(f"the clients had {before} and have {after}")
        outcomes.append(outcome)
    return outcomes


def report(outcomes: Sequence[Outcome]) -> str:
    """Write down what was seen."""
    loops = [outcome.loop for outcome in outcomes]
    count, idle = outcomes[0].count, outcomes[0].idle
    lines = [
        "# Clients that come, go and stay",
        "",
        f"`nox -s churn -- {count} {' '.join(loops)}`, {conditions()}.",
        "",
        "## Come and go",
        "",
        (
            f"{count} clients, {AT_ONCE} at once, every other one of them rude: "
            "resets and ends at any point, mistakes, and leaving behind a Close. "
            f"Of {SAMPLES} samples on the way the first three tenths are left out; "
            "the medians of the two halves of the rest may not differ by more than "
            f"{SLACK.resident:.0f} MiB, {SLACK.descriptors} descriptors, "
            f"{SLACK.tasks} tasks. In the end descriptors and tasks are as before."
        ),
        "",
        "| server | seconds | | before | 3/10 | 6/10 | end | afterwards |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for it in outcomes:
        third, sixth = (it.samples[int(len(it.samples) * n)] for n in (0.3, 0.6))
        shown = it.before, third, sixth, it.samples[-1], it.after
        lines += _rows((it.loop, f"{it.seconds:.0f}"), shown)
    lines += [
        "",
        "## Stay",
        "",
        (
            f"{idle} connections of our own client, held while each of them was pinged "
            "more than once; one more client had its echoes all the time. Then half of "
            "them closed, and the other half went without a word; and all that once "
            f"more, which may take {SLACK.resident:.0f} MiB more than before, no more."
        ),
        "",
        "| server | KiB for each | p99, ms | | there | gone | there again |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for it in outcomes:
        first = it.loop, f"{it.per_connection:.1f}", f"{it.p99:.0f}"
        lines += _rows(first, (it.idling, it.left, it.again))
    lines += ["", "## Broken promises", ""]
    broken = [f"- {it.loop}: {text}" for it in outcomes for text in it.broken]
    return "\n".join([*lines, *(broken or ["None."]), ""])


def _rows(first: Sequence[str], samples: Sequence[Sample]) -> Iterator[str]:
    for i, name in enumerate(("resident, MiB", "descriptors", "tasks")):
        head = first if i == 0 else [""] * len(first)
        cells = [f"{it[i]:.1f}" if i == 0 else str(it[i]) for it in samples]
        yield f"| {' | '.join((*head, name, *cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    parser.add_argument("loops", nargs="*", default=[], help=", ".join(LOOPS))
    parser.add_argument("--idle", type=int, default=IDLE, help="connections to hold")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    if unknown := set(args.loops) - set(LOOPS):
        parser.error(f"there is no loop named {', '.join(unknown)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = args.idle + SPARE
    if 0 <= most < wanted:
        args.idle = most - SPARE
        print(f"only {args.idle} connections can be held here, by the limit of files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (args.idle + SPARE, most))
    outcomes = anyio.run(churn, args.count, args.loops or LOOPS, args.idle)
    (args.out / "churn.md").write_text(report(outcomes), encoding="utf-8")
    for it in outcomes:
        for text in it.broken:
            print(f"broken promise: {it.loop}: {text}", file=sys.stderr)
    if any(it.broken for it in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
