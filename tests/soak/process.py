"""Servers as processes of their own, and what the system says about them.

In: an event loop's name. Out: a server that runs, samples of what it takes, and what it
had to complain of.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio
import psutil
import trustme
from anyio.abc import Process

from anyio_websocket import WebSocketConnection, __version__, open_websocket

from ..support.ports import own_port
from . import log
from .level import Sample

ROOT: Final = Path(__file__).parent.parent.parent
SERVER: Final = f"{__package__}.server"
CERTIFICATE: Final = "server.pem"
LOOPS: Final = ("asyncio", "uvloop", "trio")


def look(pid: int, tasks: int) -> Sample:
    """Look at a process."""
    process = psutil.Process(pid)
    return Sample(process.memory_info().rss / 2**20, process.num_fds(), tasks)


class Server:
    """A process of servers; after a stop it can be started again, on the same ports.

    :param loop: asyncio, uvloop or trio
    :param folder: for its files; has the certificate that it presents
    :param ports: its own, also while it does not run: without TLS, with TLS, and one
        without TLS that scripts crowd

    """

    def __init__(self, loop: str, folder: Path, ports: Sequence[int]) -> None:
        self.loop = loop
        self.port, self.tls_port, self.crowded_port = self._ports = ports
        self.complaints: list[str] = []
        #: how often it wrote what a row promises
        self.promised: Counter[str] = Counter()
        self._started = 0.0
        self._certificate = folder / CERTIFICATE
        self._log = folder / f"{loop}.log"
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it; return when it listens."""
        # What is not closed by who opened it shall say so.
        python = sys.executable, "-W", "always::ResourceWarning"
        ports = map(str, self._ports)
        self._started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = await anyio.open_process(
                [*python, "-m", SERVER, self.loop, str(self._certificate), *ports],
                stderr=log,
                cwd=ROOT,
            )
        assert self._process.stdout is not None
        line = b""
        with anyio.fail_after(30):
            while not line.endswith(b"\n"):
                line += await self._process.stdout.receive()
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Have it do what it does once, such as to start the one task on trio."""
        async with open_websocket("127.0.0.1", self.port, "/", use_ssl=False) as ws:
            for _ in range(20):
                await ws.send_message("hello")
            for _ in range(20):
                await ws.get_message()

    async def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        assert self._process is not None
        self._process.terminate()
        with anyio.move_on_after(30) as scope:
            await self._process.wait()
        if scope.cancelled_caught:
            self.complaints.append("did not stop within 30 s")
        elif self._process.returncode:
            self.complaints.append(f"ended with {self._process.returncode}")
        await self.kill()
        promised, complaints = log.read(
            self._log.read_text(errors="replace"),
            servers=len(self._ports),
            seconds=time.monotonic() - self._started,
        )
        self.promised += promised
        if complaints:
            text = "\n".join(complaints)
            self.complaints.append(f"complained: {text[-2000:]}")

    async def kill(self) -> None:
        """Make sure that it does not run."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.aclose()

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[Watch]:
        """Be connected to it, so as to ask for its tasks."""
        assert self._process is not None
        async with open_websocket(
            "127.0.0.1", self.port, "/stats", use_ssl=False, connect_timeout=30
        ) as ws:
            yield Watch(self._process.pid, ws)


class Watch:
    """A connection over which a server tells how it is."""

    def __init__(self, pid: int, ws: WebSocketConnection) -> None:
        self._pid = pid
        self._ws = ws

    async def sample(self) -> Sample:
        """Look at the server."""
        await self._ws.send_message("how are you?")
        return look(self._pid, int(await self._ws.get_message()))


@asynccontextmanager
async def running(loops: Sequence[str]) -> AsyncGenerator[tuple[list[Server], Path]]:
    """Run servers while the block lasts; give whom to trust as well."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as ports:
        folder = Path(name)
        authority, trusted = trustme.CA(), folder / "trusted.pem"
        identity = authority.issue_cert("127.0.0.1")
        identity.private_key_and_cert_chain_pem.write_to_path(folder / CERTIFICATE)
        authority.cert_pem.write_to_path(trusted)
        servers = [
            Server(loop, folder, [ports.enter_context(own_port()) for _ in range(3)])
            for loop in loops
        ]
        try:
            for server in servers:
                await server.start()
            yield servers, trusted
        finally:
            with anyio.CancelScope(shield=True):
                for server in servers:
                    await server.kill()


# -- this process --------------------------------------------------------------


def watch_unraisable(broken: Callable[[str], None]) -> None:
    """Have it told what Python could not raise: exceptions of finalizers, and so on."""
    sys.unraisablehook = lambda what: broken(f"{what.err_msg}: {what.exc_value!r}")


async def settled(tasks_now: Callable[[], int], tasks: int, seconds: float) -> int:
    """Wait until there are no more tasks than before; return how many there are."""
    with anyio.move_on_after(seconds):
        while tasks_now() > tasks:
            await anyio.sleep(0.05)
    gc.collect()
    return tasks_now()


# -- what all reports say ------------------------------------------------------


def conditions() -> str:
    """Say when and where this is."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: anyio_websocket {__version__}, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
    )


class Progress:
    """A line that says how far it is: in place, or now and then where none can be."""

    def __init__(self, every: float = 10.0) -> None:
        self._in_place = sys.stdout.isatty()
        self._every = every
        self._next = 0.0

    def show(self, text: str) -> None:
        """Say how far it is."""
        if self._in_place:
            print(f"\r{text[:110]}\x1b[K", end="", flush=True)
        elif anyio.current_time() >= self._next:
            self._next = anyio.current_time() + self._every
            print(text, flush=True)

    def done(self) -> None:
        """Leave the line as it is."""
        if self._in_place:
            print()
