"""The entry point, as a shell calls it."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Generator

import pytest
from anyio.from_thread import start_blocking_portal

from anyio_websocket import ConnectionClosed
from anyio_websocket.__main__ import main
from anyio_websocket._cli import _main
from anyio_websocket._cli._arguments import parse
from anyio_websocket._cli._main import explained

from ..support.commands import ended, pipe
from ..support.servers import answering, raw_server, serving

BACKENDS = ["asyncio", "trio"] if importlib.util.find_spec("trio") else ["asyncio"]


@pytest.fixture
def url() -> Generator[str]:
    """The URL of a server in another thread, which echoes."""
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(serving()) as port:
            yield f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_ping(backend: str, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--backend", backend, "ping", "-c", "1", url]) == 0
    shown = capfd.readouterr()
    assert shown.out.startswith(f"pong from {url}: seq=1 ")
    assert shown.err == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_is_one_line(backend: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = ["connect", "--backend", backend, "ws://me:secret@127.0.0.1:1/"]
    assert main(line) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("anyio-websocket: could not connect to the server at ")
    assert shown.err.count("\n") == 1
    assert main([*line, "--debug"]) == 1
    shown = capfd.readouterr()
    assert "Traceback (most recent call last):\n" in shown.err
    assert "secret" not in shown.err
    assert shown.err.splitlines()[-1].startswith("anyio-websocket: could not connect")


def test_nobody_reads_the_output(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pipe() as (reader, writer):
        reader.close()
        monkeypatch.setattr(sys, "stdout", writer)
        assert main(["ping", url]) == 141
    assert capfd.readouterr().err == ""


def test_nobody_reads_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["connect", "nothing:"]) == 2


def test_without_trio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["serve", "--backend", "trio"]) == 1
    assert capsys.readouterr().err == (
        "anyio-websocket: trio is not installed: pip install 'anyio_websocket[trio]'\n"
    )


def test_what_an_exception_means() -> None:
    assert explained(BaseExceptionGroup("", [KeyboardInterrupt()])) == (130, "")
    assert explained(ImportError("no socksio")) == (1, "no socksio")
    assert explained(ConnectionClosed(None)) == (3, "the connection is closed")
    code, text = explained(KeyError("x"))
    assert (code, text) == (1, "unexpected KeyError: 'x'; --debug shows where")


def test_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("anyio_websocket.access")

    def logged(*line: str) -> str:
        with _main.logging_to_stderr(parse(line)):
            logger.debug("debug")
            logger.info("info")
            try:
                raise KeyError("x")
            except KeyError:
                logger.warning("warning", exc_info=True)
        return capsys.readouterr().err

    level = logging.getLogger("anyio_websocket").level
    assert [line[-7:] for line in logged("ping", "x").splitlines()] == ["warning"]
    lines = logged("serve").splitlines()
    assert [line.split()[-1] for line in lines] == ["info", "warning"]
    shown = logged("serve", "--debug")
    assert "DEBUG debug\n" in shown
    assert shown.endswith("KeyError: 'x'\n")
    assert logging.getLogger("anyio_websocket").level == level


@pytest.mark.parametrize("command", ["connect", "ping"])
async def test_a_redirect(command: str) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: ws://h/?s3cret\r\n\r\n"
    async with raw_server(answering(moved)) as port:
        url = f"ws://127.0.0.1:{port}"
        code, error = await ended(command, "--proxy", "none", url)
    assert code == 1
    assert error.startswith("the server answered 302, a redirect, which the command ")
    assert error.endswith("; connect to the URL that it leads to")
