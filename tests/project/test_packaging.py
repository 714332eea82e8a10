"""What the package says of itself."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

import anyio_websocket

ROOT = Path(__file__).parents[2]
LINKS = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))


def test_the_version_is_the_one_that_the_code_says() -> None:
    assert version("anyio_websocket") == anyio_websocket.__version__


@pytest.mark.parametrize("link", LINKS)
def test_links_of_the_readme_work_in_a_checkout(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link.partition("#")[0]).exists()
