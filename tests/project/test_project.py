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
