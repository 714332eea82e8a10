"""What the package says of itself on PyPI, and the README in both places."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

import anyio_websocket

ROOT = Path(__file__).parents[2]
LINK = r"!?\[[^]]*\]\(([^)]+)\)"
PACKAGE = metadata("anyio_websocket")
URLS = dict(url.split(", ") for url in PACKAGE.get_all("Project-URL") or [])


def test_the_version_is_the_one_that_the_code_says() -> None:
    assert PACKAGE["Version"] == anyio_websocket.__version__


@pytest.mark.parametrize(
    "link", re.findall(LINK, (ROOT / "README.md").read_text("utf-8"))
)
def test_links_of_the_readme_work_in_a_checkout(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link.partition("#")[0]).exists()


def test_links_of_the_readme_work_on_pypi() -> None:
    description = str(PACKAGE.json["description"])
    links = re.findall(LINK, description)
    assert len(links) == len(re.findall(LINK, (ROOT / "README.md").read_text("utf-8")))
    version = f"v{anyio_websocket.__version__}"
    for link in links:
        assert link.startswith("https://"), link
        if link.startswith(pages := f"{URLS['Documentation']}en/{version}/"):
            page = link.removeprefix(pages).partition("#")[0].replace(".html", ".rst")
            assert (ROOT / "docs" / page).is_file(), link
        elif link.startswith(URLS["Source"]):
            kind, tag, path = link.removeprefix(f"{URLS['Source']}/").split("/", 2)
            assert kind in {"blob", "raw", "tree"}
            assert (tag, (ROOT / path).is_dir()) == (version, kind == "tree")
            assert (ROOT / path).exists(), link
