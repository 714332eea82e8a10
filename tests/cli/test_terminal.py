"""``connect`` as a person types: in a pseudo-terminal, with an emulator to look at."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio import CancelScope

from anyio_websocket import ConnectionClosed, WebSocketRequest
from anyio_websocket._cli import _terminal
from anyio_websocket._cli._arguments import parse
from anyio_websocket._cli._failure import Failure
from anyio_websocket._cli._main import explained, run
from anyio_websocket._cli._terminal import LineEditor

from ..support.servers import echo, serving

if sys.platform == "win32":
    pytest.skip("no pseudo-terminals", allow_module_level=True)

from ..support.terminals import (
    CTRL_C,
    CTRL_D,
    ENTER,
    LEFT,
    UP,
    Terminal,
    terminal,
)

HELLO = "connected; Ctrl-D closes the connection"


class Session:
    """A user, and the command that runs in the terminal."""

    def __init__(self, screen: Terminal) -> None:
        self.screen = screen
        self.code: int | None = None
        self.error: str | None = None


@asynccontextmanager
async def connected(
    monkeypatch: pytest.MonkeyPatch,
    *options: str,
    handler: Callable[[WebSocketRequest], Awaitable[object]] = echo,
) -> AsyncGenerator[Session]:
    """Run ``connect`` in a terminal; it has to end in the block, or soon after."""
    async with serving(handler) as port:
        with terminal() as (screen, stdin, stdout):
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "stdout", stdout)
            monkeypatch.setenv("TERM", "xterm")
            session = Session(screen)
            modes = screen.modes
            arguments = parse(["connect", f"ws://127.0.0.1:{port}", *options])

            async def command() -> None:
                try:
                    session.code = await run(arguments)
                except Exception as exc:
                    session.code, session.error = explained(exc)

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(command)
                    await screen.until_lines(HELLO, ">")
                    yield session
            assert screen.modes == modes


async def test_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as session:
        screen = session.screen
        screen.type("hello" + ENTER)
        await screen.until_lines(HELLO, "> hello", "< hello", ">")
        screen.type("wörld" + ENTER)
        await screen.until_lines("> wörld", "< wörld", ">")
        screen.type(UP + UP)
        await screen.until_lines("> hello")
        screen.type("!" + ENTER)
        lines = await screen.until_lines("> hello!", "< hello!", ">")
        assert lines == [
            *(HELLO, "> hello", "< hello", "> wörld", "< wörld"),
            *("> hello!", "< hello!", ">"),
        ]
        screen.type(CTRL_D)
    assert session.code == 0


async def test_messages_come_while_a_line_is_being_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = anyio.Event()
    typed: list[str | bytes] = []

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await said.wait()
        await connection.send_message("\x1b[2J\x1b]0;mine\x07\x9b1mhé\u202e")
        await connection.send_message("{\n\t1\n}")
        await connection.send_message(b"\x1b[2J")
        await connection.send_message("x" * 100)
        async for message in connection:
            typed.append(message)
            await connection.aclose(1000, "\x1b[2J")

    async with connected(monkeypatch, handler=handler) as session:
        screen = session.screen
        screen.type("hello wrld" + LEFT * 3)
        await screen.until_lines(HELLO, "> hello wrld")
        assert screen.cursor == (9, 1)
        said.set()
        lines = await screen.until_lines("x" * 42, "> hello wrld")
        assert lines == [
            HELLO,
            r"< \x1b[2J\x1b]0;mine\x07\x9b1mhé\u202e",
            "< {",
            "        1",  # a tab
            "  }",
            r"< b'\x1b[2J'",
            "< " + "x" * 58,
            "x" * 42,
            "> hello wrld",
        ]
        assert screen.cursor == (9, 8)
        screen.type("o" + ENTER)
        closed = "the peer closed the connection with code 1000 (NORMAL_CLOSURE)"
        await screen.until(lambda lines: "".join(lines).endswith(r"reason '\x1b[2J'"))
        assert closed in "".join(screen.lines)
    assert typed == ["hello world"]
    assert session.code == 0
    assert b"\x1b]" not in screen.written


async def test_what_cannot_be_sent_stays_in_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connected(monkeypatch, "--json") as session:
        screen = session.screen
        screen.type('{"a": 1' + ENTER)
        await screen.until(lambda lines: lines[-1] == '> {"a": 1' and len(lines) > 2)
        why = "not sent: it is not JSON: "
        assert screen.lines[1].startswith(why)
        screen.type("}" + ENTER)
        await screen.until_lines('> {"a": 1}', '< {"a": 1}', ">")
        screen.type(CTRL_C)
    assert session.code == 130


async def test_the_terminal_is_left_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as session:
        session.screen.type("hello")
        await session.screen.until_lines("> hello")
        os.kill(os.getpid(), signal.SIGTERM)
    assert session.code == 143

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.get_message()
        await connection.aclose(1011, "broken")

    async with connected(monkeypatch, handler=handler) as session:
        session.screen.type("hello" + ENTER)
    assert session.code == 3
    closed = "the peer closed the connection with code 1011 (INTERNAL_ERROR)"
    assert session.error == f"{closed}, reason 'broken'"


async def test_ctrl_c_while_the_server_floods_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await said.wait()
        with suppress(ConnectionClosed):
            while True:
                await connection.send_message("x" * 100)

    async with connected(monkeypatch, handler=handler) as session:
        said.set()
        await session.screen.until(lambda lines: len(session.screen.written) > 10_000)
        session.screen.type(CTRL_C)
        await session.screen.drain(lambda: session.code is not None)
    assert session.code == 130


async def test_a_terminal_that_hangs_holds_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_terminal, "_PATIENCE", 0.01)
    threads = set(threading.enumerate())
    with terminal() as (screen, stdin, stdout):
        editor = LineEditor(stdin, stdout, str)
        async with editor.editing():
            with anyio.move_on_after(0.05):
                await editor.show("x" * 500_000)
                raise AssertionError
        (thread,) = set(threading.enumerate()) - threads
        assert thread.daemon
        await screen.drain(lambda: not thread.is_alive())


async def test_cancelled_while_the_editor_starts() -> None:
    with terminal() as (screen, stdin, stdout):
        modes = screen.modes
        editor = LineEditor(stdin, stdout, str)
        with CancelScope() as scope:
            scope.cancel()
            async with editor.editing():
                pass
        await editor.show("it is gone\n")
        await screen.until_lines("it is gone")
        assert screen.modes == modes


async def test_cancelled_before_the_editor_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def busy(_: object) -> bool:
        """Find no thread that is free."""
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(_terminal, "_PATIENCE", 0.01)
    monkeypatch.setattr(_terminal, "in_thread", busy)
    with terminal() as (_, stdin, stdout):
        editor = LineEditor(stdin, stdout, str)
        with CancelScope() as scope:
            scope.cancel()
            async with editor.editing():
                pass
        assert not editor.interrupted


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    with terminal() as (_, stdin, stdout):
        with pytest.raises(Failure, match=r"pip install 'anyio_websocket\[cli\]'"):
            LineEditor(stdin, stdout, str)
