"""The files around the package agree with each other."""

from __future__ import annotations

import re
from pathlib import Path

import anyio_websocket

ROOT = Path(__file__).parents[2]


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


def test_the_readme_has_the_figures_of_the_report() -> None:
    report = (ROOT / "bench" / "report.md").read_text("utf-8")

    def figures(section: str) -> dict[str, dict[str, str]]:
        table = re.split(r"^## ", report, flags=re.M)
        (text,) = [part for part in table if part.startswith(f"{section} (")]
        header, _, *rows = _cells(text)
        values = [[value.split(" (")[0] for value in row] for row in rows]
        return {row[0]: dict(zip(header, row, strict=True)) for row in values}

    echo, memory = figures("Echo"), figures("Memory")
    header, _, *rows = _cells((ROOT / "README.md").read_text("utf-8"))
    assert len(rows) == 7
    for row in rows:
        *sizes, kib = row[1:]
        assert sizes == [echo[row[0]][size] for size in header[1:-1]]
        assert [kib] == list(memory[row[0]].values())[1:]


def _cells(text: str) -> list[list[str]]:
    """Return the cells of the first table."""
    table = re.search(r"(^\|.+\n)+", text, re.M)
    assert table is not None
    lines = table[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
