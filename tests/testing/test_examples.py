"""The tests that examples/ has are run, as they stand."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_tests_of_the_examples(tmp_path: Path) -> None:
    has_trio = importlib.util.find_spec("trio") is not None
    for name in ("tested.py", "tested_by_clock.py") if has_trio else ("tested.py",):
        shutil.copy(EXAMPLES / name, tmp_path / f"test_{name}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    chosen = "asyncio or trio or clock" if has_trio else "asyncio"
    done = subprocess.run(
        [*command, "-p", "anyio", "-p", "anyio_websocket", "-k", chosen],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"{9 if has_trio else 4} passed" in said
