"""The processes that are measured, and what the kernel says about them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

IS_LINUX = platform.system() == "Linux"
HERE = Path(__file__).parent
# of the machine that we may use; none where the system does not say
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass(frozen=True, order=True)
class Subject:
    """A library on an event loop.

    :param pure: without its loops in C, for anyio_websocket

    """

    name: str
    loop: str
    pure: bool = False

    def __str__(self) -> str:
        return f"{self.name}{' in Python' if self.pure else ''}, {self.loop}"


@dataclass(frozen=True)
class Process:
    """A process that has announced its port."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of CPU time that it has taken so far."""
        time.sleep(0.005)  # what a process took is known once it waits, or at a tick
        if IS_LINUX:
            # Its own clock, to the nanosecond (clock_getcpuclockid(3)).
            return time.clock_gettime(~self.pid << 3 | 2)
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident(self) -> int:
        """Bytes of its memory that are resident."""
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def started(
    script: str, *arguments: str, pure: bool = False, core: int = -1
) -> Iterator[Process]:
    """Run a script of this folder, on a core of its own where there are two."""
    process = subprocess.Popen(
        [sys.executable, HERE / script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a client that leaves without a word draws
        text=True,
        env={**os.environ, "ANYIO_WEBSOCKET_PURE": str(int(pure))},
    )
    assert process.stdout is not None
    try:
        pin(process.pid, core)
        port = process.stdout.readline()
        if not port:
            raise RuntimeError(f"{script} {' '.join(arguments)} did not start")
        yield Process(process.pid, int(port))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def pin(pid: int, core: int) -> None:
    """Keep a process (0: this one) on one of the cores, counted from either end."""
    if CORES:
        os.sched_setaffinity(pid, {CORES[core]})


def machine() -> str:
    """Say where all this was measured."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(": ", 1)[1]
                break
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}"
    )
