"""Fixtures of the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.commands import Commands


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)
