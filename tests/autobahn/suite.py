"""Installs the suite, runs it four ways, some at once, and reads what it found.

``python -m tests.autobahn.suite FOLDER [SIZE] [ROLE ...] [BACKEND ...]``: FOLDER keeps
the suite's environment between runs. SIZE is ``quick`` for the cases without
compression, ``most`` for all but the largest messages (every parameter of compression
is among them, and it takes a quarter of the time), which is the default, or ``full``.
A whole full run writes its result to full.md, to be committed with a change of codec or
compression.

The suite is a program for Python 2.7. It exits with 0 whatever it found, and leaves out
of its report what it could not run; so the report is read here, and counted.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from ..support.ports import own_port

HERE = Path(__file__).parent
ROLES = ("server", "client")
BACKENDS = ("asyncio", "trio")
# The last number of a case in groups 12 and 13 tells the size of its messages; these
# have 64 KiB and 128 KiB, or 1000 of 8 KiB and more.
LARGE = (9, 10, 14, 15, 16, 17, 18)
# What is left out, and how many cases are left then.
SIZES: dict[str, tuple[list[str], int]] = {
    "quick": (["12.*", "13.*"], 301),
    # A pattern is a regular expression of the suite's own kind, anchored at the start.
    "most": (
        [f"{group}.*.{last}$" for group in (12, 13) for last in LARGE],
        433,
    ),
    "full": ([], 517),
}
# The last virtualenv that makes environments for Python 2.7.
VIRTUALENV = "virtualenv==20.21.1"
GOOD = {"OK", "INFORMATIONAL"}
FULL = """# All cases of the Autobahn|Testsuite

What the last whole run found, written by `nox -s autobahn -- full`. Groups 1 to 10
are the protocol, 12 and 13 permessage-deflate. The INFORMATIONAL cases are 7.1.6,
7.13.1 and 7.13.2, in which the suite judges nothing.
"""


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit status."""
    folder, *wanted = arguments
    size = next((word for word in wanted if word in SIZES), "most")
    roles = [role for role in ROLES if role in wanted] or ROLES
    backends = [backend for backend in BACKENDS if backend in wanted] or BACKENDS
    wstest = install(Path(folder).resolve())
    if wstest is None:
        print("skipped: the suite needs Python 2.7, and there is none here")
        return 0
    explained: dict[str, str] = json.loads((HERE / "expected.json").read_text())
    bad = 0
    tables: list[str] = []
    ways = list(product(roles, backends))

    def timed(way: tuple[str, str]) -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        with own_port() as port:
            return run(wstest, size, *way, port), time.monotonic() - started

    # The suite and its peer mostly wait for each other, but where they compress.
    with ThreadPoolExecutor(len(ways) if size == "quick" else 2) as threads:
        results = threads.map(timed, ways)
        for (role, backend), (report, seconds) in zip(ways, results, strict=True):
            problems = list(judge(report, SIZES[size][1], explained))
            title = f"{role} on {backend}: {len(report)} cases"
            tables.append("\n".join([f"## {title}", "", *table(report), *problems, ""]))
            print(f"\n{title} in {seconds:.0f} s", *table(report), sep="\n")
            print(*problems, sep="\n", flush=True)
            bad += len(problems)
    if size == "full" and len(tables) == len(ROLES) * len(BACKENDS):
        (HERE / "full.md").write_text("\n".join([FULL, *tables]))
    print(f"\n{bad} problems" if bad else "\nno problems")
    return 1 if bad else 0


def table(report: dict[str, Any]) -> Iterator[str]:
    """Write how many cases of each group ended with which verdict."""
    verdicts = sorted({case["behavior"] for case in report.values()})
    groups: dict[int, Counter[str]] = {}
    for name, case in report.items():
        groups.setdefault(int(name.split(".")[0]), Counter())[case["behavior"]] += 1
    yield f"| group | {' | '.join(verdicts)} |"
    yield "| --- |" + " ---: |" * len(verdicts)
    for group, counts in sorted(groups.items()):
        cells = " | ".join(str(counts[verdict]) for verdict in verdicts)
        yield f"| {group} | {cells} |"
    total = Counter(case["behavior"] for case in report.values())
    yield f"| all | {' | '.join(str(total[verdict]) for verdict in verdicts)} |"


def judge(
    report: dict[str, Any], count: int, explained: dict[str, str]
) -> Iterator[str]:
    """Say what is wrong with a report."""
    if len(report) != count:
        yield f"{len(report)} cases were run, not {count}"
    for case, result in report.items():
        verdict, close = result["behavior"], result["behaviorClose"]
        strict = verdict in GOOD or (verdict == "NON-STRICT" and case in explained)
        if not strict or close not in GOOD:
            yield f"{case}: {verdict}, close {close}"


# -- the suite ------------------------------------------------------------------


def install(folder: Path) -> Path | None:
    """Return the path of ``wstest``, installed if need be; ``None`` if it can't be."""
    python = find_python()
    if python is None:
        return None
    wstest = folder / "suite" / "bin" / "wstest"
    if not wstest.exists():
        shutil.rmtree(folder, ignore_errors=True)
        # Settings of pip that are meant for Python 3 would be obeyed by 2.7's.
        env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_CONSTR")}
        subprocess.run([sys.executable, "-m", "venv", folder / "boot"], check=True)
        boot = str(folder / "boot" / "bin" / "python")
        pip = ["-m", "pip", "install", "-q"]
        subprocess.run([boot, *pip, VIRTUALENV], check=True, env=env)
        target = str(folder / "suite")
        environment = [boot, "-m", "virtualenv", "-q", "-p", python, target]
        subprocess.run(environment, check=True, env=env)
        pins = ["--no-deps", "-r", str(HERE / "requirements.txt")]
        suite = folder / "suite" / "bin" / "python"
        subprocess.run([suite, *pip, *pins], check=True, env=env)
    return wstest


def find_python() -> str | None:
    """Find a Python 2.7 that works: pyenv's shims may have nothing behind them."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [
        os.environ.get("PYTHON27", ""),
        *(str(path) for path in pyenv.glob("2.7.*/bin/python2.7")),
        *(shutil.which(name) or "" for name in ("python2.7", "python2")),
    ]
    code = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for candidate in filter(None, candidates):
        try:
            if subprocess.run([candidate, "-c", code], check=False).returncode == 0:
                return candidate
        except OSError:
            pass
    return None


def run(wstest: Path, size: str, role: str, backend: str, port: int) -> dict[str, Any]:
    """Run the suite against one of our peers; return its report by cases."""
    folder = wstest.parents[2] / "reports" / f"{role}-{backend}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    url = f"ws://127.0.0.1:{port}"
    cases = {"cases": ["*"], "exclude-cases": SIZES[size][0], "outdir": str(folder)}
    # A busy machine must not look like a peer that does not close.
    options = {"openHandshakeTimeout": 10, "closeHandshakeTimeout": 5}
    peer = [sys.executable, str(HERE / "peer.py"), role, backend, str(port)]
    suite = [str(wstest), "-s", str(folder / "spec.json"), "-m"]
    if role == "server":
        spec: dict[str, Any] = {
            "servers": [{"url": url, "agent": "anyio_websocket"}],
            "options": options | {"serverConnectionDropTimeout": 5},
        }
        background, foreground = peer, [*suite, "fuzzingclient"]
    else:
        spec = {"url": url, "options": options}
        background, foreground = [*suite, "fuzzingserver", "-u", "0"], peer
    (folder / "spec.json").write_text(json.dumps(spec | cases))
    log = folder / "log.txt"
    with log.open("w") as output, running(background, port, output):
        # Seconds: a run that hangs ends, and a busy machine has enough time.
        limit = 1800 if size == "quick" else 4 * 3600
        subprocess.run(
            foreground, check=True, stdout=output, stderr=output, timeout=limit
        )
    index = json.loads((folder / "index.json").read_text())
    report: dict[str, Any] = index["anyio_websocket"]
    return report


@contextmanager
def running(command: list[str], port: int, output: Any) -> Iterator[None]:
    """Run a process that listens, while the block lasts."""
    process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(60)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process listens."""
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not listen")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
