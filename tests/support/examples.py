"""Examples that serve, run as a user runs them, but on a port of the test's."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_TRIES: Final = 400


@contextmanager
def serving_example(
    name: str,
    folder: Path,
    port: int,
    *arguments: str,
    changes: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[str]]:
    """Run an example while the block lasts, from when it listens.

    :param name: its path in the folder of examples
    :param folder: an empty folder, which gets what the example needs
    :param port: the port to put in the place of the example's
    :param arguments: for the program
    :param changes: what else is replaced in it

    """
    program = copy_of_example(name, folder, {"8765": str(port), **(changes or {})})
    with subprocess.Popen(
        [sys.executable, str(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.kill()


def wait_for_port(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until a process listens, which is to last for longer than that."""
    for _ in range(_TRIES):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)  # a process starts in real time
    raise AssertionError(f"nobody listens on port {port}")


def copy_of_example(name: str, folder: Path, changes: Mapping[str, str]) -> Path:
    """Copy an example, changed, with the files of the same name beside it."""
    example = EXAMPLES / name
    text = example.read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    for path in example.parent.glob(f"{example.stem}.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    copy = folder / example.name
    copy.write_text(text, "utf-8")
    return copy


def output_of(program: Path, *arguments: str) -> str:
    """Run a program that ends by itself, and return what it prints."""
    result = subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stderr == ""
    return result.stdout
