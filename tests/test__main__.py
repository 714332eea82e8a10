"""The program, as Python and a shell start it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anyio_websocket import __main__, __version__, _cli
from anyio_websocket.__main__ import main


def test_ctrl_c_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_cli, "main", interrupted)
    assert main([]) == 130


def test_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anyio_websocket", "--version"])
    # Not by runpy, which cannot run what pytest has rewritten.
    path = Path(__main__.__file__)
    program = compile(path.read_text("utf-8"), path, "exec")
    with pytest.raises(SystemExit, match="0"):
        exec(program, {"__name__": "__main__", "__package__": "anyio_websocket"})
    assert capsys.readouterr().out == f"anyio-websocket {__version__}\n"
