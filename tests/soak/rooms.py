"""What a room in many processes is made of: Redis, those processes, and a proxy.

In: the event loops of the processes. Out: the address of the room. The processes are
those of ``examples/scale_out``, on two "machines", which are two addresses of this one.
Those of a machine share a port.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import anyio
import psutil
from anyio.abc import Process

from ..interop.proxies import running
from ..support.ports import own_port
from .process import ROOT

EXAMPLE: Final = ROOT / "examples" / "scale_out"
Proxy = Literal["nginx", "haproxy"]
MACHINES: Final = ("127.0.0.1", "127.0.0.2")


@dataclass
class Service:
    """What runs beside the guests.

    :param url: of the room
    :param redis_port: where Redis listens
    :param processes: those of the room

    """

    url: str
    redis_port: int
    processes: list[Process]


@asynccontextmanager
async def service(
    loops: Sequence[str], folder: Path, proxy: Proxy = "nginx"
) -> AsyncGenerator[Service]:
    """Run Redis, a proxy, and a process of the room for each of the loops."""
    with ExitStack() as stack:
        port, redis_port, site_port = (
            stack.enter_context(own_port()) for _ in range(3)
        )
        redis = ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1"]
        redis += ["--save", "", "--appendonly", "yes"]
        stack.enter_context(running(redis, _made(folder / "redis"), redis_port))
        async with AsyncExitStack() as rooms:
            processes = []
            for number, loop in enumerate(loops):
                host = MACHINES[number % len(MACHINES)]
                arguments = [loop, host, str(port), f"redis://127.0.0.1:{redis_port}"]
                process = await rooms.enter_async_context(_room(arguments))
                processes.append(process)
            for process in processes:
                await _until_it_serves(process)
            start = _nginx if proxy == "nginx" else _haproxy
            command = start(_made(folder / proxy), port, site_port)
            stack.enter_context(running(command, folder / proxy, site_port))
            url = f"ws://127.0.0.1:{site_port}/rooms/all"
            yield Service(url, redis_port, processes)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@asynccontextmanager
async def _room(arguments: list[str]) -> AsyncGenerator[Process]:
    """Run a process of the room; kill it if it is still there in the end."""
    program = [sys.executable, str(EXAMPLE / "room.py"), *arguments]
    async with await anyio.open_process(program, stderr=None) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def _until_it_serves(process: Process) -> None:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive()


def _example(name: str, port: int, **changes: str) -> str:
    """Return a configuration of the example, with the addresses of this machine."""
    text = (EXAMPLE / name).read_text("utf-8")
    for machine, example in zip(MACHINES, ("10.0.0.1", "10.0.0.2"), strict=True):
        changes[f"{example}:8765"] = f"{machine}:{port}"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def _haproxy(folder: Path, port: int, site_port: int) -> list[str]:
    """Configure HAProxy for two machines; return the command that runs it."""
    at = {"bind :80": f"bind 127.0.0.1:{site_port}"}
    text = _example("haproxy.cfg", port, **at)
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def _nginx(folder: Path, port: int, site_port: int) -> list[str]:
    """Configure nginx for two machines; return the command that runs it."""
    at = {"listen 80;": f"listen 127.0.0.1:{site_port};"}
    site = _example("nginx.conf", port, **at)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(f"""
        daemon off;
        pid {folder}/nginx.pid;
        worker_processes 2;
        events {{ worker_connections 10000; }}
        http {{
            access_log off;
            {folders}
            {site}
        }}
    """)
    log = str(folder / "error.log")
    return ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", log]


def mebibytes(pid: int) -> float:
    """Return the memory that a process takes."""
    return psutil.Process(pid).memory_info().rss / 2**20


def cpu_times() -> dict[str, float]:
    """Return the CPU time of the programs that run, in seconds."""
    times = {"rooms": 0.0, "proxy": 0.0, "redis-server": 0.0}
    for process in psutil.Process().children(recursive=True):
        name = process.name().replace("nginx", "proxy").replace("haproxy", "proxy")
        name = name if name in times else "rooms"
        spent = process.cpu_times()
        times[name] += spent.user + spent.system
    return times
