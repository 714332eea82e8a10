"""Fuzzes the targets, guided by coverage: ``nox -s fuzz -- SECONDS``.

Each target runs in processes of its own, two at a time, for its share of the time. A
finding ends the run with the input that shows it; put that into ``seeds.py``, where a
test will see it from then on. What was done is written to ``report.md``.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
AT_ONCE = 2
EVERY = (
    25  # inputs, of which one is also measured in steps, which takes ten times longer
)


class Outcome(NamedTuple):
    """What came of a target."""

    name: str
    inputs: int
    features: int
    finding: str


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    atheris: Any = import_module("atheris")  # has no types
    with atheris.instrument_imports(include=["anyio_websocket", "h11"]):
        import anyio_websocket  # noqa: F401
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS, Steps

    for i, seed in enumerate(SEEDS[name]):
        (folder / f"seed{i}").write_bytes(seed)
    target = TARGETS[name]
    count = 0

    def run(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % EVERY:
            target(data)
        else:
            with Steps(len(data)):
                target(data)

    limits = ["-max_len=20000", "-timeout=10", "-rss_limit_mb=1024"]
    quiet = [
        "-verbosity=1",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/found-",
    ]
    total = f"-max_total_time={seconds}"
    atheris.Setup([sys.argv[0], str(folder), total, *limits, *quiet], run)
    atheris.Fuzz()


def in_process(name: str, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fuzz.run", "--target", name]
        done = subprocess.run(
            [*command, "--folder", folder, str(seconds)],
            capture_output=True,
            text=True,
            cwd=HERE.parent.parent,
            errors="replace",
            timeout=seconds + 120,
        )
        found = [path.read_bytes() for path in Path(folder).glob("found-*")]
    text = done.stdout + done.stderr
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    features = re.findall(r"ft: (\d+)", text)
    finding = ""
    if done.returncode:
        finding = f"{text[-3000:]}\ninput: {found[0]!r}" if found else text[-3000:]
    return Outcome(
        name,
        int(inputs.group(1)) if inputs else 0,
        int(features[-1]) if features else 0,
        finding,
    )


def report(outcomes: Iterable[Outcome], seconds: int) -> str:
    """Write down what was done."""
    from anyio_websocket import __version__

    lines = [
        "# What fuzzing found",
        "",
        (
            f"`nox -s fuzz -- {seconds}`, {datetime.now(UTC):%Y-%m-%d}; "
            f"anyio_websocket {__version__}, {platform.python_implementation()} "
            f"{platform.python_version()}, {platform.system()} {platform.machine()}."
        ),
        "",
        "| target | inputs | features of coverage | findings |",
        "| --- | ---: | ---: | --- |",
    ]
    lines += (
        f"| {one.name} | {one.inputs} | {one.features} | "
        f"{'**one**' if one.finding else 'none'} |"
        for one in outcomes
    )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=60)
    parser.add_argument("--target", help="only this one, in this process")
    parser.add_argument("--folder", type=Path, help="where its inputs are kept")
    args = parser.parse_args()
    if args.target is not None:
        fuzz(args.target, args.folder, args.seconds)
        return
    from tests.fuzz.targets import TARGETS

    share = max(1, args.seconds * AT_ONCE // len(TARGETS))
    started = time.monotonic()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda name: in_process(name, share), TARGETS):
            outcomes.append(outcome)
            passed = time.monotonic() - started
            print(
                f"{passed:5.0f} s  {outcome.name}: {outcome.inputs} inputs, "
                f"{'a finding' if outcome.finding else 'no finding'}",
                flush=True,
            )
    (HERE / "report.md").write_text(report(outcomes, args.seconds), encoding="utf-8")
    for outcome in outcomes:
        if outcome.finding:
            print(f"\n{outcome.name}:\n{outcome.finding}")
    if any(outcome.finding or not outcome.inputs for outcome in outcomes):
        sys.exit("there are findings, or a target that did not run")


if __name__ == "__main__":
    main()
