"""The code in the documentation is code, and calls what there is."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import anyio_websocket

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.rst") if "_build" not in path.parts)

# A block of Python, up to the next line that is not indented.
BLOCK = re.compile(
    r"^(?P<indent> *)\.\. code-block:: python\n\n(?P<code>(?:(?P=indent)  .*\n|\n)+)",
    re.M,
)


def blocks(page: Path) -> Iterator[str]:
    for match in BLOCK.finditer(page.read_text("utf-8") + "\n"):
        yield textwrap.dedent(match["code"])


def parse(code: str) -> ast.Module:
    # What a page shows may be the inside of a function.
    tree = compile(
        code,
        "<docs>",
        "exec",
        ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    assert isinstance(tree, ast.Module)
    return tree


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_in_the_docs(page: Path) -> None:
    for code in blocks(page):
        for node in ast.walk(parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module == "anyio_websocket":
                for alias in node.names:
                    known = alias.name == "*" or hasattr(anyio_websocket, alias.name)
                    module = f"anyio_websocket.{alias.name}"
                    assert known or find_spec(module), (page.name, alias.name)
            if isinstance(node, ast.Call):
                check_keywords(node, page)


def check_keywords(call: ast.Call, page: Path) -> None:
    """Check the keyword arguments of a call of one of our functions."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    arguments = call.args
    if name == "partial" and arguments and isinstance(arguments[0], ast.Name):
        name = arguments[0].id
    if name not in anyio_websocket.__all__:
        return
    public = getattr(anyio_websocket, name)
    if hasattr(public, "__optional_keys__"):  # the options themselves
        known = set(public.__optional_keys__)
    else:
        known = set(inspect.signature(public).parameters)
    used = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    assert used <= known, (page.name, name, used - known)


def test_the_pages_have_code() -> None:
    assert sum(len(list(blocks(page))) for page in PAGES) > 40
