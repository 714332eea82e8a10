"""Commands of the command line, run in the process of the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from anyio_websocket._cli._arguments import parse
from anyio_websocket._cli._main import explained, run


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, its output, and its line on stderr."""

    code: int
    output: bytes
    error: str = ""


class Commands:
    """Runs commands with files as their input and output.

    :param folder: where the files are

    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch

    async def __call__(self, *arguments: str, given: bytes = b"") -> Ended:
        """Run a command on the event loop of the test, with this input."""
        with self._files(given):
            code, error = await ended(*arguments)
        return Ended(code, (self._folder / "output").read_bytes(), error)

    @contextmanager
    def _files(self, given: bytes) -> Generator[None]:
        (self._folder / "input").write_bytes(given)
        with (
            open(self._folder / "input", encoding="utf-8") as stdin,
            open(self._folder / "output", "w", encoding="utf-8") as stdout,
            self._monkeypatch.context() as patch,
        ):
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "stdout", stdout)
            yield


async def ended(*arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code, and its line on stderr."""
    try:
        return await run(parse(arguments)), ""
    except Exception as exc:
        return explained(exc)


@contextmanager
def pipe() -> Generator[tuple[TextIO, TextIO]]:
    """Open a pipe; the block gets the end to read from, and the one to write to."""
    reading, writing = os.pipe()
    with (
        open(reading, encoding="utf-8") as reader,
        open(writing, "w", encoding="utf-8") as writer,
    ):
        yield reader, writer
