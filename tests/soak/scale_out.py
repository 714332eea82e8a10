"""A room for thousands in many processes, of which one dies: ``nox -s scale-out``.

COUNT guests are in a room that PROCESSES serve, with Redis between them and nginx or
HAProxy in front (``rooms.py``). Some of them talk. Then all processes lose their
subscription, and later one is killed. Its guests come back elsewhere, and no other
guest may notice. Each has to hear all that Redis has, once and in order.
``scale_out.md`` says what was seen.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import coredis

from anyio_websocket import WebSocketConnection, open_reconnecting, reconnect_delays

from .process import conditions
from .rooms import EXAMPLE, Proxy, cpu_times, mebibytes, service

HERE: Final = Path(__file__).parent
COUNT: Final = 2000
PROCESSES: Final = 4
SECONDS: Final = 20.0  # of talk before the end, and after all are back
SPEAKERS: Final = 20
PAUSE: Final = 20.0  # seconds of a speaker between two texts
ROOM: Final = "room:{all}"  # as Redis calls it
AT_ONCE: Final = 50  # guests that connect in the beginning


# -- the guests ----------------------------------------------------------------


def _new_guest(url: str) -> Any:
    """Return a guest of the example."""
    spec = importlib.util.spec_from_file_location("guest", EXAMPLE / "guest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Guest(url)


@dataclass
class Outcome:
    """What was seen."""

    loops: str
    count: int
    proxy: Proxy = "nginx"
    #: messages that Redis has in the end
    said: int = 0
    #: guests that were connected to the process that died
    cut_off: int = 0
    #: seconds after its end when each of them was connected again
    back: list[float] = field(default_factory=list)
    #: messages that each of them had missed by then
    missed: list[int] = field(default_factory=list)
    #: seconds from when something was said until somebody heard it: at first, when the
    #: subscriptions were lost, and after the end of the process, where that process had
    #: a part neither in saying nor in hearing it
    at_first: list[float] = field(default_factory=list)
    unsubscribed: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    #: MiB of a process when nobody was there, and with its guests
    memory: list[tuple[float, float]] = field(default_factory=list)
    #: CPU time by program for each message that a guest heard, in microseconds
    cpu: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


class Member:
    """A guest, and where it was connected."""

    def __init__(self, guest: Any) -> None:
        self.guest = guest
        self.served_by: list[int] = []  # processes
        self.heard = 0  # a hash of all that it heard
        self.is_cut_off = False


class Crowd:
    """The guests of a room.

    :param url: of the room
    :param outcome: where to note what they see
    :param pause: seconds of a speaker between two texts
    :param delays: how long they wait before they come back

    """

    def __init__(
        self,
        url: str,
        outcome: Outcome,
        pause: float,
        delays: Callable[[], Iterable[float]],
    ) -> None:
        self.members = [Member(_new_guest(url)) for _ in range(outcome.count)]
        self.texts: list[str] = []
        self.are_connected = anyio.Event()
        self.are_back = anyio.Event()
        self.is_talking = False
        self.delays = outcome.at_first  # where to note how long messages take
        self._outcome = outcome
        self._pause = pause
        self._waits = delays
        self._cut_off_at = 0.0
        self._connecting = anyio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Be in the room."""
        async with anyio.create_task_group() as tasks:
            for number, member in enumerate(self.members):
                await self._connecting.acquire()
                tasks.start_soon(self._run_one, number, member)

    async def _run_one(self, number: int, member: Member) -> None:
        guest = member.guest

        async def on_connect(connection: WebSocketConnection) -> None:
            headers = dict(connection.handshake_headers)
            member.served_by.append(int(headers[b"x-served-by"].split(b":")[1]))
            if len(member.served_by) == 1:
                self._connecting.release()
                if all(member.served_by for member in self.members):
                    self.are_connected.set()
            elif member.is_cut_off and len(member.served_by) == 2:
                self._note_return(member)
            await guest.on_connect(connection)

        async with (
            open_reconnecting(
                guest.where, on_connect=on_connect, delays=self._waits
            ) as room,
            anyio.create_task_group() as tasks,
        ):
            if number < SPEAKERS:
                tasks.start_soon(self._speak, number, member, room)
            while True:
                last = guest.last
                text = await guest.hear(room)
                if guest.last != last + 1:
                    self._outcome.broken.append(f"{guest.last} came after {last}")
                self._note_heard(member, text)

    def _note_return(self, member: Member) -> None:
        outcome = self._outcome
        outcome.back.append(anyio.current_time() - self._cut_off_at)
        latest = max(it.guest.last for it in self.members)
        outcome.missed.append(latest - member.guest.last)
        if len(outcome.back) == outcome.cut_off:
            self.are_back.set()

    async def _speak(self, number: int, member: Member, room: Any) -> None:
        await anyio.sleep(self._pause * number / SPEAKERS)  # one after the other
        while True:
            if self.is_talking:
                text = f"{len(self.texts)} {number} {anyio.current_time()}"
                self.texts.append(text)
                await member.guest.say(room, text)
            await anyio.sleep(self._pause)

    def _note_heard(self, member: Member, text: str) -> None:
        member.heard = hash((member.heard, text))
        _, speaker, time = text.split()
        if not (member.is_cut_off or self.members[int(speaker)].is_cut_off):
            self.delays.append(anyio.current_time() - float(time))

    def cut_off(self, pid: int) -> None:
        """Note who is connected to a process that is about to die."""
        self._cut_off_at = anyio.current_time()
        self.delays = self._outcome.after
        for member in self.members:
            member.is_cut_off = member.served_by[-1] == pid
        self._outcome.cut_off = sum(member.is_cut_off for member in self.members)

    async def stop_talking(self) -> None:
        """Say no more; return when all that was said was heard by who said it."""
        self.is_talking = False
        while any(member.guest.pending for member in self.members[:SPEAKERS]):
            await anyio.sleep(0.02)

    async def until_heard(self, number: int) -> None:
        """Wait until everybody has heard a message."""
        while any(member.guest.last < number for member in self.members):
            await anyio.sleep(0.02)

    def check(self, said: list[str]) -> None:
        """Hold what was heard against what Redis has."""
        broken = self._outcome.broken
        self._outcome.said = len(said)
        if sorted(said) != sorted(self.texts):
            broken.append(f"{len(self.texts)} were said, and Redis has {len(said)}")
        heard = 0
        for text in said:
            heard = hash((heard, text))
        for member in self.members:
            if member.heard != heard:
                broken.append(f"somebody heard {member.guest.last} of {len(said)}")
            connections = 2 if member.is_cut_off else 1
            if len(member.served_by) != connections:
                broken.append(f"somebody had {len(member.served_by)} connections")


# -- the course of it ----------------------------------------------------------


async def scale_out(
    loops: Sequence[str],
    outcome: Outcome,
    folder: Path,
    *,
    seconds: float,
    pause: float,
    delays: Callable[[], Iterable[float]] = reconnect_delays,
) -> None:
    """Have a process die while a room talks.

    :param loops: the event loops of the processes
    :param outcome: for how many guests, and where to note what was seen
    :param folder: an empty folder
    :param seconds: for how long they talk, before that and after all are back
    :param pause: seconds of a speaker between two texts
    :param delays: how long guests wait before they come back

    """
    async with service(loops, folder, outcome.proxy) as it:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(it.url, outcome, pause, delays)
            pids = [process.pid for process in it.processes]
            empty = [mebibytes(pid) for pid in pids]
            tasks.start_soon(crowd.run)
            await crowd.are_connected.wait()
            crowd.is_talking = True
            spent = cpu_times()
            await anyio.sleep(seconds)
            await crowd.until_heard(1)
            for name, time in cpu_times().items():
                outcome.cpu[name] = (time - spent[name]) / len(outcome.at_first) * 1e6
            for pid, before in zip(pids, empty, strict=True):
                outcome.memory.append((before, mebibytes(pid)))
            async with coredis.Redis(
                port=it.redis_port, decode_responses=True
            ) as redis:
                crowd.delays = outcome.unsubscribed
                await redis.client_kill(type_=coredis.PureToken.PUBSUB)
                said = await redis.xlen(ROOM)
                await anyio.sleep(seconds / 4)
                await crowd.until_heard(said + 1)
                crowd.cut_off(pids[0])
                it.processes[0].kill()
                await crowd.are_back.wait()
                await anyio.sleep(seconds)
                await crowd.stop_talking()
                entries = await redis.xrange(ROOM)
            await crowd.until_heard(len(entries))
            crowd.check([json.loads(it.field_values["said"])["text"] for it in entries])
            tasks.cancel_scope.cancel()
        for process in it.processes[1:]:
            process.terminate()
            if await process.wait():
                outcome.broken.append(f"a process ended with {process.returncode}")


# -- the report ----------------------------------------------------------------


def quantile(values: list[float], part: float) -> float:
    """Return the value below which a part of all values are."""
    if not values:
        return math.nan
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def report(outcomes: list[Outcome]) -> str:
    """Write down what was seen."""
    first = outcomes[0]
    text = f"""# A room in many processes

`nox -s scale-out -- {first.count}`, {conditions()}; Redis and {first.proxy} on the \
same machine, and all guests in one process. Load average when it ended: \
{os.getloadavg()[0]:.1f}.

{first.count} guests are in one room, which {PROCESSES} processes serve, two on a port \
of each of two addresses, behind {first.proxy}. {SPEAKERS} of them talk, each every \
{PAUSE:g} seconds. After a while, all processes lose their subscription, and have it \
again. Then one is killed. "Broken" counts guests that heard anything else than what \
Redis has, each message once and in order, and guests of other processes that had to \
connect again.

| processes | messages | heard | cut off | back after, s: median / last | had missed \
| broken |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""
    for it in outcomes:
        back = f"{quantile(it.back, 0.5):.1f} / {max(it.back):.1f}"
        missed = f"{min(it.missed)} to {max(it.missed)}"
        heard = it.said * it.count
        text += (
            f"| {it.loops} | {it.said} | {heard} | {it.cut_off} | {back} "
            f"| {missed} | {len(it.broken)} |\n"
        )
    text += """
Milliseconds from when something was said until a guest heard it, median / 99th \
percentile / longest: at first, when the subscriptions were lost, and from the end of \
the process on, among those that had nothing to do with it.

| processes | at first | subscriptions lost | a process killed |
| --- | ---: | ---: | ---: |
"""
    for it in outcomes:
        cells = [
            " / ".join(f"{quantile(delays, q) * 1e3:.0f}" for q in (0.5, 0.99, 1))
            for delays in (it.at_first, it.unsubscribed, it.after)
        ]
        text += f"| {it.loops} | {' | '.join(cells)} |\n"
    text += f"""
What it takes: memory of a process without guests, and for each guest; CPU time for \
each message that a guest hears.

| processes | MiB | KiB for each guest | rooms, µs | {first.proxy}, µs | Redis, µs |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
    for it in outcomes:
        empty = max(before for before, _ in it.memory)
        grown = sum(after - before for before, after in it.memory) * 2**10
        cpu = " | ".join(f"{it.cpu[name]:.1f}" for name in it.cpu)
        text += f"| {it.loops} | {empty:.0f} | {grown / it.count:.1f} | {cpu} |\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    parser.add_argument("loops", nargs="*", default=[], help="asyncio, trio")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--proxy", choices=["nginx", "haproxy"], default="nginx")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    if unknown := set(args.loops) - {"asyncio", "trio"}:
        parser.error(f"there is no loop named {', '.join(unknown)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    outcomes: list[Outcome] = []
    for loop in args.loops or ("asyncio", "trio"):
        outcome = Outcome(loop, args.count, args.proxy)
        go = partial(scale_out, seconds=args.seconds, pause=PAUSE)
        with TemporaryDirectory() as folder:
            anyio.run(go, [loop] * PROCESSES, outcome, Path(folder))
        outcomes.append(outcome)
    (args.out / "scale_out.md").write_text(report(outcomes), encoding="utf-8")
    broken = [f"{it.loops}: {text}" for it in outcomes for text in it.broken]
    for text in broken[:20]:
        print(f"seen: {text}", file=sys.stderr)
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    main()
