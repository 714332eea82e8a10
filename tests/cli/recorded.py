"""The sessions that the docs show, from real runs of the program.

``python -m tests.cli.recorded`` writes them; a test plays them again and compares.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import anyio
from anyio.from_thread import start_blocking_portal

from anyio_websocket import WebSocketRequest

from ..support.servers import serving
from ..support.terminals import CTRL_D, ENTER, Terminal, terminal

FOLDER: Final = Path(__file__).parents[2] / "docs" / "howto" / "terminal"
PORT: Final = "8765"  # what the docs show
PIPES: Final = (
    r"printf 'one\ntwo\n' | anyio-websocket connect ws://127.0.0.1:8765",
    "anyio-websocket ping -c 2 -i 0.2 ws://127.0.0.1:8765",
)


async def echo(request: WebSocketRequest) -> None:
    """Send every message back, and end after the last, to save the time to wait."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)
        if message == "two":
            break


def sessions() -> dict[str, str]:
    """Run the program, and return what it shows, by the names of the files."""
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(serving(echo)) as port:
            return {
                "typed.txt": _typed(port),
                "pipes.txt": _in_pipes(port),
            }


def without_times(text: str) -> str:
    """Leave out how long it took, which differs from run to run."""
    return re.sub(r"\d+\.\d{3}|(?<=time )\d+(?= ms)", "T", text)


def _typed(port: int) -> str:
    line = ["connect", f"ws://127.0.0.1:{port}"]
    with terminal() as (screen, stdin, stdout):
        process = subprocess.Popen(
            [sys.executable, "-m", "anyio_websocket", *line],
            stdin=stdin,
            stdout=stdout,
            stderr=stdout,
            env=os.environ | {"TERM": "xterm"},
            start_new_session=True,
        )
        try:
            shown = anyio.run(_type, screen)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    command = f"$ anyio-websocket connect ws://127.0.0.1:{PORT}"
    return "\n".join([command, *shown, ""])


async def _type(screen: Terminal) -> list[str]:
    await screen.until_lines(">")
    for text in ("hello", "is anybody there?"):
        screen.type(text + ENTER)
        await screen.until_lines(f"> {text}", f"< {text}", ">")
    shown = screen.lines
    screen.type(CTRL_D)
    return [*await screen.until(lambda lines: lines == shown[:-1]), ">"]


def _in_pipes(port: int) -> str:
    shown: list[str] = []
    program = f"{sys.executable} -m anyio_websocket"
    for line in PIPES:
        command = line.replace("anyio-websocket", program).replace(PORT, str(port))
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
        shown += [f"$ {line}", done.stdout.replace(str(port), PORT)]
    return "\n".join(shown).replace("\n\n", "\n")


if __name__ == "__main__":
    for name, text in sessions().items():
        (FOLDER / name).write_text(text, "utf-8")
