"""The library ws of npm, under Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from .javascript import NODE, messages, visited
from .peer import PATIENCE, Seen, Server, Tls, Visit


class Peer:
    compresses = True
    answers: int | None = None

    def __init__(self) -> None:
        node = shutil.which("node")
        if node is None:
            pytest.skip("node is not installed")
        if not (NODE / "node_modules/ws").is_dir():
            pytest.skip("npm's ws is not installed: npm ci in tests/interop/node")
        self._node = node

    @contextmanager
    def serving(self, tls: Tls | None) -> Generator[Server]:
        command = self._command("server.mjs", tls and tls.certificate)
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            assert process.stdout is not None
            read = process.stdout.readline
            try:
                yield Server(int(read()), lambda: Seen(**json.loads(read())))
            finally:
                process.terminate()

    def visit(self, url: str, tls: Tls | None) -> Visit:
        finished = subprocess.run(
            self._command("client.mjs", url, tls and tls.authority),
            input=json.dumps(messages()),
            stdout=subprocess.PIPE,
            check=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        return visited(json.loads(finished.stdout))

    def _command(self, script: str, *arguments: object) -> list[str]:
        given = [str(argument) for argument in arguments if argument is not None]
        return [self._node, str(NODE / script), *given]
