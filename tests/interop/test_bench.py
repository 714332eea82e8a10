"""The benchmark runs, with all that it measures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
# Its scripts find each other by their folder.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}


@pytest.mark.timeout(300)
def test_all_figures(tmp_path: Path) -> None:
    words = ["--rounds", "1", "--seconds", "0.02", "--crowd", "12", "--most", "10"]
    subprocess.run(
        [sys.executable, BENCH / "run.py", *words, "--out", tmp_path],
        check=True,
        env=ENVIRONMENT,
    )
    report = (tmp_path / "report.md").read_text()
    lines = [line for line in report.splitlines() if line.startswith("| anyio")]
    # Eleven sections, each with three event loops, and the targets.
    assert len(lines) >= 11 * 3
    assert (
        "| Clients, 1 MiB | anyio_websocket, trio | websockets, trio | 1.00 |" in report
    )
    for plot in ("echo", "latency", "clients", "memory", "growth"):
        assert (tmp_path / f"{plot}.png").read_bytes().startswith(b"\x89PNG")


def test_a_server_that_does_not_start() -> None:
    # Not a benchmark that goes on without it.
    code = (
        "import processes\n"
        "with processes.started('servers.py', 'nobody', 'asyncio'): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BENCH,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert "servers.py nobody asyncio did not start" in done.stderr
