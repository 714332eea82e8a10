"""A pseudo-terminal in which somebody types, and what an emulator shows of it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TextIO

import anyio
import pyte

COLUMNS: Final = 60
LINES: Final = 20
ENTER: Final = "\r"
UP: Final = "\x1b[A"
LEFT: Final = "\x1b[D"
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"


class Terminal:
    """The user's side of a terminal.

    :param master: the descriptor of this side
    :param slave: the program's side

    """

    def __init__(self, master: int, slave: int) -> None:
        self._master = master
        self._slave = slave
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream: Any = pyte.ByteStream(self._screen)
        #: all that the program has written
        self.written = b""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without what is empty at their ends."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor(self) -> tuple[int, int]:
        """The column and the line of the cursor, from 0."""
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set: raw, or with an echo and lines."""
        return termios.tcgetattr(self._slave)

    async def until(self, shows: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen shows something; return its lines."""
        try:
            with anyio.fail_after(10):
                while not shows(self.lines):
                    data = await self._read()
                    self.written += data
                    self._stream.feed(data)
        except TimeoutError:
            raise AssertionError(f"the screen is {self.lines}") from None
        return self.lines

    async def drain(self, done: Callable[[], bool]) -> None:
        """Read what is written until something else has happened, and forget it."""
        with anyio.fail_after(10):
            while not done():
                with anyio.move_on_after(0.01):
                    await self._read()

    async def _read(self) -> bytes:
        await anyio.wait_readable(self._master)
        return os.read(self._master, 65_536)

    async def until_lines(self, *last: str) -> list[str]:
        """Wait until these are the last lines on the screen; return all."""
        return await self.until(lambda lines: lines[-len(last) :] == list(last))


@contextmanager
def terminal() -> Generator[tuple[Terminal, TextIO, TextIO]]:
    """Open a terminal; the block gets it, and the program's stdin and stdout."""
    master, slave = pty.openpty()
    try:
        size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        with (
            open(slave, encoding="utf-8", closefd=False) as stdin,
            open(slave, "w", encoding="utf-8", closefd=False) as stdout,
        ):
            yield Terminal(master, slave), stdin, stdout
    finally:
        os.close(slave)
        os.close(master)
