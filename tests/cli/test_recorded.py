"""The docs show what the program does."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("no pseudo-terminals", allow_module_level=True)

from .recorded import FOLDER, sessions, without_times


def test_the_docs_show_what_the_program_prints() -> None:
    """If this fails on purpose: ``python -m tests.cli.recorded``."""
    played = sessions()
    shown = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.txt")}
    assert {name: without_times(text) for name, text in shown.items()} == {
        name: without_times(text) for name, text in played.items()
    }
