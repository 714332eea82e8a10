"""A restart that nobody shall notice: ``nox -s restart -- COUNT [LOOP ...]``.

COUNT clients of ours that reconnect are connected to a server. A second one begins to
listen on the same port, and the first one is told to stop, by SIGTERM: it lets its
clients leave, and closes them spread over SECONDS. No client may see anything but its
Close with code 1012 and its new connection. ``restart.md`` says what was seen.

Clients that come back at once show at which rate the second server has to take them.
Ours wait for 5 to 30 seconds after code 1012, unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process

from anyio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    is_transient,
    reconnect_delays,
    reconnecting,
    serve_websocket,
)
from anyio_websocket._client import _transient

from ..support.ports import HOST, own_port
from .process import LOOPS, ROOT, conditions

HERE: Final = Path(__file__).parent
COUNT: Final = 2000
SPREAD: Final = 20.0  # seconds
DRAIN: Final = 1.0
AT_ONCE: Final = 50  # clients that connect in the beginning
# The checkout comes last, so that an installed package is the one that serves.
SERVER: Final = f"""
import runpy, sys
sys.path.append({str(ROOT)!r})
runpy.run_module("{__package__}.restart", run_name="__main__", alter_sys=True)
"""
PARTS: Final = 20  # of the spread, in which clients are counted


# -- the servers ---------------------------------------------------------------


async def serve(port: int, drain: float, spread: float) -> None:
    """Serve until SIGTERM, then let the clients leave, and say what there was."""

    async def echo(request: WebSocketRequest) -> None:
        connection = await request.accept()
        async for message in connection:
            await connection.send_message(message)

    async with anyio.create_task_group() as tasks:
        listen = partial(serve_websocket, echo, HOST, port, None, reuse_port=True)
        server = await tasks.start(listen)
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            print("serving", flush=True)
            async for _ in signals:
                break
        await server.aclose(1012, "restart", drain=drain, spread=spread)
    numbers = server.statistics()
    print(json.dumps([numbers.accepted, numbers.rejected, numbers.failed]), flush=True)


@asynccontextmanager
async def server_process(
    loop: str, port: int, drain: float, spread: float
) -> AsyncGenerator[Process]:
    """Run a server while the block lasts, from when it listens."""
    arguments = ["0", loop, "--serve", str(port)]
    times = ["--drain", str(drain), "--spread", str(spread)]
    program = [sys.executable, "-c", SERVER, *arguments, *times]
    async with await anyio.open_process(program, stderr=None, cwd=ROOT) as process:
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await process.stdout.receive()
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def last_words(process: Process) -> list[int]:
    """Return what a server counted: accepted, rejected and failed handshakes."""
    assert process.stdout is not None
    text = b"".join([part async for part in process.stdout])
    assert await process.wait() == 0
    numbers: list[int] = json.loads(text)
    return numbers


# -- the clients ---------------------------------------------------------------


@dataclass
class Outcome:
    """What the clients have seen."""

    loop: str
    count: int
    drain: float
    spread: float
    comes_back: str
    closed: list[float] = field(default_factory=list)  # seconds after the first Close
    back: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def rates(self, times: list[float]) -> list[float]:
        """How many there were in each part of the time, per second."""
        width = self.spread / PARTS
        counts = Counter(max(0, int(time / width)) for time in times)
        return [counts[part] / width for part in range(max(PARTS - 1, *counts) + 1)]


class Clients:
    """Clients that reconnect, and what they see.

    :param count: how many
    :param outcome: where to note it

    """

    def __init__(self, count: int, outcome: Outcome) -> None:
        self._count = count
        self._outcome = outcome
        self._connecting = anyio.Semaphore(AT_ONCE)
        self._connected = 0
        self.are_connected = anyio.Event()
        self.are_back = anyio.Event()

    async def run(self, port: int, delays: Callable[[], Iterator[float]]) -> None:
        """Connect, and come back once."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._count):
                await self._connecting.acquire()
                tasks.start_soon(self._run_one, f"ws://{HOST}:{port}/", delays)

    async def _run_one(self, url: str, delays: Callable[[], Iterator[float]]) -> None:
        connections = 0

        async def session(ws: WebSocketConnection) -> None:
            nonlocal connections
            connections += 1
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            if connections == 1:
                self._connecting.release()
                self._connected += 1
                if self._connected == self._count:
                    self.are_connected.set()
                await ws.get_message()  # raises what the server closes with
            self._outcome.back.append(anyio.current_time())
            if len(self._outcome.back) == self._count:
                self.are_back.set()
            await self.are_back.wait()

        def retry(error: Exception) -> bool:
            reason = error.reason if isinstance(error, ConnectionClosed) else None
            if reason is None or (reason.code, reason.reason) != (1012, "restart"):
                self._outcome.broken.append(repr(error))
            else:
                self._outcome.closed.append(anyio.current_time())
            return is_transient(error)

        await reconnecting(url, session, delays=delays, retry=retry)


async def restart(
    loop: str, count: int, drain: float, spread: float, *, at_once: bool
) -> Outcome:
    """Restart a server among clients.

    :param loop: the event loop of both servers
    :param count: how many clients
    :param drain: seconds in which they are left in peace
    :param spread: seconds over which they are closed
    :param at_once: whether they come back at once

    """
    comes_back = "at once" if at_once else "5 to 30 s later"
    outcome = Outcome(loop, count, drain, spread, comes_back)
    clients = Clients(count, outcome)
    delays = (lambda: repeat(0.0)) if at_once else reconnect_delays
    asked = _transient._RESTART
    if at_once:
        _transient._RESTART = (0.0, 0.0)  # type: ignore[misc]
    try:
        with own_port() as port:
            async with (
                server_process(loop, port, drain, spread) as old,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(clients.run, port, delays)
                await clients.are_connected.wait()
                async with server_process(loop, port, 0, 0) as new:
                    old.terminate()
                    expect("the old server", outcome, await last_words(old), count)
                    await clients.are_back.wait()
                    new.terminate()
                    expect("the new server", outcome, await last_words(new), count)
    finally:
        _transient._RESTART = asked  # type: ignore[misc]
    start = min(outcome.closed, default=0)
    outcome.closed = sorted(time - start for time in outcome.closed)
    outcome.back = sorted(time - start for time in outcome.back)
    return outcome


def expect(what: str, outcome: Outcome, numbers: list[int], count: int) -> None:
    """Note what a server counted if that is not what it should have."""
    if numbers != [count, 0, 0]:
        outcome.broken.append(f"{what} accepted, rejected and lost {numbers}")


# -- the report ----------------------------------------------------------------


def report(outcomes: list[Outcome]) -> str:
    """Write down what was seen."""
    first = outcomes[0]
    text = f"""# A restart

`nox -s restart -- {first.count}`, {conditions()}.

{first.count} clients of ours are connected to a server. Another one listens on the \
same port, and the first is told to stop: `aclose(1012, drain={first.drain:g}, \
spread={first.spread:g})`. Evenly, these are {first.count / first.spread:g} Closes a \
second; rates are counted in {first.spread / PARTS:g} s each. After code 1012 ours \
wait for 5 to 30 seconds, unless told otherwise: "at once" is the worst for the \
second server.

| servers | clients come back | saw anything else | Closes, 1/s | the last after, s \
| come back, 1/s at most | all are back after, s |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
    for it in outcomes:
        closes = it.rates(it.closed)[:PARTS]
        text += (
            f"| {it.loop} | {it.comes_back} | {len(it.broken)} "
            f"| {min(closes):.0f} to {max(closes):.0f} | {it.closed[-1]:.1f} "
            f"| {max(it.rates(it.back)):.0f} | {it.back[-1]:.1f} |\n"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=COUNT)
    parser.add_argument("loops", nargs="*", default=[], help=", ".join(LOOPS))
    parser.add_argument("--drain", type=float, default=DRAIN, metavar="SECONDS")
    parser.add_argument("--spread", type=float, default=SPREAD, metavar="SECONDS")
    parser.add_argument("--serve", type=int, metavar="PORT", help="be a server")
    parser.add_argument("--out", type=Path, default=HERE)
    args: Any = parser.parse_args()
    if unknown := set(args.loops) - set(LOOPS):
        parser.error(f"there is no loop named {', '.join(unknown)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if args.serve is not None:
        (loop,) = args.loops
        run_on(loop, serve, args.serve, args.drain, args.spread)
        return
    outcomes: list[Outcome] = []
    for loop in args.loops or LOOPS:
        for at_once in (True, False):
            go = partial(restart, at_once=at_once)
            outcomes.append(anyio.run(go, loop, args.count, args.drain, args.spread))
    (args.out / "restart.md").write_text(report(outcomes), encoding="utf-8")
    broken = [f"{it.loop}: {text}" for it in outcomes for text in it.broken]
    for text in broken[:20]:
        print(f"seen: {text}", file=sys.stderr)
    if broken:
        sys.exit(1)


def run_on(loop: str, function: Callable[..., Any], *arguments: Any) -> None:
    anyio.run(
        function,
        *arguments,
        backend="trio" if loop == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if loop == "uvloop" else {},
    )


if __name__ == "__main__":
    main()
