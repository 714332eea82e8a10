"""Starting the processes that are measured, and reading their CPU time and memory."""

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
# cores that this process may use; empty if the system cannot tell
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


IN_C = "C"  # the least that any server can take
IN_PYTHON = "in Python"
BEFORE = "before"
ONE_BY_ONE = "one by one"
# Variants of a library, and the environment variables that select them. run.py adds
# BEFORE when the command line says where the earlier version is.
VARIANTS: dict[str, dict[str, str]] = {
    "": {},
    IN_PYTHON: {"ANYIO_WEBSOCKET_PURE": "1"},
    ONE_BY_ONE: {ONE_BY_ONE: "1"},
}


@dataclass(frozen=True, order=True)
class Subject:
    """A library on an event loop.

    :param variant: for anyio_websocket: `IN_PYTHON` is without its functions in C,
        `BEFORE` is an earlier version; `ONE_BY_ONE` is a client that sends each message
        with a call of its own

    """

    name: str
    loop: str
    variant: str = ""

    @property
    def library(self) -> str:
        """The name without the event loop, as ``--library`` takes it."""
        return f"{self.name} {self.variant}".rstrip()

    def __str__(self) -> str:
        return f"{self.library}, {self.loop}"

    def environment(self) -> dict[str, str]:
        """Return the environment for a process that runs this library."""
        return {**os.environ, "ANYIO_WEBSOCKET_PURE": "0", **VARIANTS[self.variant]}


@dataclass(frozen=True)
class Process:
    """A process that has announced its port."""

    pid: int
    port: int

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has used."""
        time.sleep(0.005)  # the kernel updates it when the process waits, or at a tick
        if IS_LINUX:
            # The CPU clock of the process, in ns (clock_getcpuclockid(3)).
            return time.clock_gettime(~self.pid << 3 | 2)
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident(self) -> int:
        """Return the bytes of its memory that are resident."""
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def started(
    script: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    core: int = -1,
) -> Iterator[Process]:
    """Run a script of this folder on one of the cores, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, HERE / script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # tracebacks about clients that vanish
        text=True,
        env=environment,
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
    """Keep a process (0: this one) on a core: 0 is the first, -1 the last."""
    if CORES:
        os.sched_setaffinity(pid, {CORES[core]})


def machine() -> str:
    """Describe the machine and the Python."""
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
