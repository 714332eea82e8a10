"""``connect``: messages from and to a terminal, files or pipes."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace

from .. import WebSocketConnection
from ._formats import FORMATS
from ._opening import use_connection
from ._pipes import Pipes
from ._stop import Stop
from ._streams import Lines, Output, is_terminal
from ._terminal import LineEditor, talk_in_terminal


async def connect(arguments: Namespace, stop: Stop) -> int:
    """Run the command; return its exit code.

    :raises Failure: if a line cannot be sent, nobody reads the output, or the
        connection ends, and not normally
    :raises WebSocketError: if there is no connection

    """
    style = FORMATS[arguments.format]
    is_shown = is_terminal(sys.stdout)
    editor: LineEditor | None = None
    if is_shown and is_terminal(sys.stdin) and os.environ.get("TERM") != "dumb":
        editor = LineEditor(sys.stdin, sys.stdout, style.typed)

    async def talk(connection: WebSocketConnection) -> None:
        if editor is not None:
            await talk_in_terminal(connection, style, editor)
            if editor.interrupted:
                stop.signal = signal.SIGINT
                stop.hurry()
            return
        lines, output = Lines(sys.stdin), Output(sys.stdout)
        pipes = Pipes(connection, style, lines, output, shows=is_shown)
        await pipes.talk(arguments.wait)

    size = arguments.max_size
    failure = await use_connection(talk, arguments, stop, max_message_size=size)
    if failure is not None:
        raise failure
    return stop.exit_code or 0
