"""The benchmark runs, with all that it measures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import anyio_websocket

BENCH = Path(__file__).parents[2] / "bench"
# Its scripts find each other by their folder.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}


LOOPS = {
    "anyio_websocket": ["asyncio", "uvloop", "trio"],
    "picows": ["asyncio", "uvloop"],
    "picows.websockets": ["asyncio", "uvloop"],
    "aiohttp": ["asyncio", "uvloop"],
    "websockets": ["asyncio", "uvloop", "trio"],
    "trio-websocket": ["trio"],
}
ROWS = {f"{name}, {loop}" for name, loops in LOOPS.items() for loop in loops}
IN_C = {"C, epoll"} if sys.platform == "linux" and shutil.which("cc") else set[str]()
OURS = {row for row in ROWS if row.startswith("anyio_websocket, ")}
# In groups, so that none takes long.
SECTIONS = [
    ["Echo"],
    ["Echo, load on the same core"],
    ["Echo over TLS", "Echo with permessage-deflate"],
    ["Clients"],
    ["Clients, load on the same core"],
    ["Opening and closing", "Memory"],
    ["Broadcast", "Broadcast among stuck peers", "Growth", "Importing"],
    ["Health checks", "Beside health checks"],
]
# Variants of others, with two libraries: all of them would take long.
VARIANTS = {
    "Echo over TLS, load on the same core": {"aiohttp", "picows.websockets"},
    "Echo with permessage-deflate at level 1, load on the same core": {"aiohttp"},
    "Echo with permessage-deflate at level 6, load on the same core": {
        "picows.websockets"
    },
    "Busy connections": {"aiohttp", "picows.websockets"},
    "Opening and closing over TLS": {"aiohttp", "picows.websockets"},
}
EXPECTED = {
    "Echo": ROWS | IN_C,
    "Echo, load on the same core": ROWS | IN_C,
    "Echo with permessage-deflate": {
        row for row in ROWS if not row.startswith(("picows, ", "trio-websocket, "))
    },
    "Broadcast among stuck peers": OURS,
    "Growth": OURS,
    "Health checks": {
        row
        for row in ROWS
        if not row.startswith(("picows.websockets, ", "trio-websocket, "))
    },
    "Beside health checks": OURS,
}
TARGETS = {
    "Clients": [
        "125 B x 100 | anyio_websocket, uvloop | picows.websockets, uvloop | 1.00",
    ],
    "Echo": ["16 B | anyio_websocket, trio | websockets, trio | 0.40"],
    "Echo, load on the same core": [
        "125 B x 100 | anyio_websocket, asyncio | picows.websockets, asyncio | 0.45",
        "4 KiB x 32 | anyio_websocket, trio | picows.websockets, asyncio | 0.50",
        *(f"16 B | anyio_websocket, uvloop | {row} | 1.35" for row in IN_C),
    ],
    "Opening and closing": [
        "4 | anyio_websocket, uvloop | aiohttp, uvloop | 1.10",
    ],
    "Memory": ["anyio_websocket, trio | KiB | 8.50"],
}
MARK = r"(yes|\*\*no\*\*)"
# Each client of each column is a process of its own. The other columns are the same.
COLUMNS = {
    "Clients": ["125 B x 100", "1 MiB"],
    "Clients, load on the same core": ["16 B"],
}
FAST = ["--rounds", "1", "--seconds", "0.02", "--crowd", "12", "--most", "10"]


def run(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCH / "run.py", *FAST, *map(str, words)],
        check=check,
        stdout=subprocess.PIPE,
        stderr=None if check else subprocess.PIPE,  # pytest shows it with a failure
        text=True,
        env=ENVIRONMENT,
    )


def tables(report: str) -> dict[str, set[str]]:
    """Return the first column of the tables in each section."""
    found = {}
    for section in report.split("\n## ")[1:]:
        title = section.partition("\n")[0].partition(" (")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ")]
        found[title] = {row.split(" | ")[0][2:] for row in rows[1:]} - {"", "---"}
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("titles", SECTIONS, ids=lambda titles: titles[0])
def test_every_library_in_every_section(titles: list[str], tmp_path: Path) -> None:
    columns = [column for title in titles for column in COLUMNS.get(title, [])]
    run(
        *("--out", tmp_path),
        *(word for title in titles for word in ("--only", title)),
        *(word for column in columns for word in ("--column", column)),
    )
    report = (tmp_path / "report.md").read_text()
    found = tables(report)
    assert found.keys() == {*titles, "Targets"}
    for title in titles:
        assert found[title] >= EXPECTED.get(title, ROWS), title
        for plot in (title, "latency") if title == "Echo" else (title,):
            name = plot.lower().replace(",", "").replace(" ", "-")
            assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        for target in TARGETS.get(title, []):
            found_target = re.search(
                rf"^\| {title}(: | \| ){re.escape(target)} \| \d.* \| {MARK} \|$",
                report,
                re.MULTILINE,
            )
            assert found_target, target


@pytest.mark.timeout(120)
def test_variants_of_the_sections(tmp_path: Path) -> None:
    run(
        *("--out", tmp_path),
        *(word for title in VARIANTS for word in ("--only", title)),
        *(
            word
            for name in ("aiohttp", "picows.websockets")
            for word in ("--library", name)
        ),
        *("--column", "16 B", "--column", "1 KiB of JSON", "--column", "resumed"),
    )
    found = tables((tmp_path / "report.md").read_text())
    assert found.keys() == {*VARIANTS, "Targets"}
    for title, libraries in VARIANTS.items():
        assert found[title] == {
            f"{name}, {loop}" for name in libraries for loop in LOOPS[name]
        }
    plot = (tmp_path / "busy-connections-latency.png").read_bytes()
    assert plot.startswith(b"\x89PNG")


def test_the_sections_are_all() -> None:
    done = run("--column", "16 kB", check=False)
    assert done.returncode == 2
    assert "no column '16 kB'; there are 16 B; 125 B x 100;" in done.stderr
    done = run("--only", "Ecko", check=False)
    assert done.returncode == 2
    _, listed = done.stderr.strip().split("no section 'Ecko'; there are ")
    titles = [*VARIANTS, *(title for titles in SECTIONS for title in titles)]
    assert sorted(listed.split("; ")) == sorted(titles)


@pytest.mark.timeout(120)
def test_some_sections_and_libraries_beside_an_earlier_version(tmp_path: Path) -> None:
    # The earlier version is a copy of this one that leaves a file when imported.
    assert anyio_websocket.__file__ is not None
    package = tmp_path / "anyio_websocket"
    shutil.copytree(Path(anyio_websocket.__file__).parent, package)
    with (package / "__init__.py").open("a") as module:
        module.write(
            "\nimport pathlib\npathlib.Path(__file__).with_name('used').touch()\n"
        )
    complete = (BENCH / "report.md").stat().st_mtime_ns
    report = run(
        *("--only", "Echo", "--only", "Importing", "--before", tmp_path),
        *("--library", "anyio_websocket", "--library", "picows.websockets"),
    ).stdout
    assert (BENCH / "report.md").stat().st_mtime_ns == complete
    assert (package / "used").exists()
    rows = {row for row in ROWS if row.startswith(("anyio_websocket,", "picows.web"))}
    rows |= {row.replace(",", " before,") for row in OURS}
    found = tables(report)
    assert found.keys() == {"Echo", "Importing", "Targets"}
    assert found["Echo"] == found["Importing"] == rows
    target = "| Echo: 16 B | anyio_websocket, trio | anyio_websocket before, trio |"
    assert target in report


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--library", "nobody"], "invalid choice: 'nobody'"),
        (["--before", "nowhere"], "nowhere has no anyio_websocket"),
    ],
)
def test_unknown_libraries_and_versions(words: list[str], error: str) -> None:
    done = run(*words, check=False)
    assert done.returncode == 2
    assert error in done.stderr


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
