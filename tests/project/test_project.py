"""The files around the package agree with each other."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import anyio_websocket

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(
        r"^```sh\n(.+?)\n```$", (ROOT / "README.md").read_text(), re.M
    )
    (command,) = [command for command in commands if "nox" in command]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_changelog_knows_the_version() -> None:
    version = re.escape(anyio_websocket.__version__)
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## (Unreleased|{version}\b)", changelog, re.M)


def test_the_reference_has_every_name() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.rst")
    reference = "\n".join(page.read_text("utf-8") for page in pages)
    documented = re.findall(r"^\.\. auto\w+:: (\w+)(?:\(\))?$", reference, re.M)
    assert sorted(documented) == sorted(anyio_websocket.__all__)


def test_the_design_page_lists_every_module() -> None:
    design = (ROOT / "docs" / "topics" / "design.rst").read_text("utf-8")
    listed = re.findall(r"^    (│   )?[├└]── (\w+\.(?:py|c)|\w+/) ", design, re.M)
    folder = package = ROOT / "anyio_websocket"
    missing = {path for path in package.rglob("*.py") if path.name != "__init__.py"}
    for is_inside, name in listed:
        path = (folder if is_inside else package) / name.rstrip("/")
        if name.endswith("/"):
            folder = path
        assert path.exists(), path
        missing.discard(path)
    assert not missing


def test_the_page_of_standards_lists_every_rfc() -> None:
    page = (ROOT / "docs" / "topics" / "standards.rst").read_text("utf-8")
    sources = (
        path.read_text("utf-8")
        for path in (ROOT / "anyio_websocket").rglob("*")
        if path.suffix in {".py", ".c"}
    )
    cited = {rfc for source in sources for rfc in re.findall(r"RFC\s(\d+)", source)}
    assert cited == set(re.findall(r":rfc:`(\d+)`", page))


def test_the_pages_have_the_figures_of_the_report() -> None:
    # Nobody types a figure: a complete run of the benchmark writes them, and so does
    # `python bench/tables.py`.
    tables = runpy.run_path(str(BENCH / "tables.py"))
    report = (BENCH / "report.md").read_text("utf-8")
    written = dict(tables["written"](report, (ROOT / "README.md").read_text("utf-8")))
    for name, text in written.items():
        assert (ROOT / name).read_text("utf-8") == text, name
    assert "\n| anyio_websocket, trio | " in written["README.md"]
    # Each of them is on a page.
    pages = [ROOT / "docs" / "topics" / "performance.rst", ROOT / "docs" / "index.rst"]
    text = "".join(page.read_text("utf-8") for page in pages)
    shown = {f"bench/{path}" for path in re.findall(r"/bench/(tables/\S+)", text)}
    assert shown == written.keys() - {"README.md"}
    plots = set(re.findall(r"/bench/(\S+\.png)", text))
    assert plots <= {path.name for path in BENCH.glob("*.png")}


def test_the_least_of_a_column_is_in_bold() -> None:
    tables = runpy.run_path(str(BENCH / "tables.py"))
    report = "x\n## Echo (µs)\n\n" + "\n".join(
        (
            "|  | 16 B | 1 MiB |",
            "| --- | ---: | ---: |",
            "| anyio_websocket, asyncio | 9.5 (9.9) | 90 (90) |",
            "| picows, asyncio | 9.4 (9.9) | 95 (95) |",
            "| aiohttp, asyncio | 10.0 (11.0) | 80 (99) |",
            "| anyio_websocket, uvloop | 9.1 (9.1) | 85 (85) |",
            "| aiohttp, uvloop | 9.0 (9.2) | 85 (85) |",
            "| anyio_websocket, trio | 30 (30) | 300 (300) |",
            "| websockets, trio | 60 (60) | 301 (301) |",
            "| C, epoll | 1.0 (1.0) | 1.0 (1.0) |",
        )
    )
    sections = tables["parsed"](report + "\n")
    cells = tables["_values"](sections["Echo"][0], is_contest=True)
    bold = {cell for row in cells for cell in row[1:] if cell.startswith("*")}
    assert bold == {"**9.0**", "**80**"}
    _, *ahead = tables["_ahead"](sections)
    assert ahead == [
        ["Echo: 16 B", "picows, asyncio", "1.01"],
        ["Echo: 16 B", "aiohttp, uvloop", "1.01"],
        ["Echo: 1 MiB", "aiohttp, asyncio", "1.12"],
    ]
