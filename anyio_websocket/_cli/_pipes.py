"""A connection between files and pipes: lines in, messages out."""

from __future__ import annotations

import anyio

from .. import ConnectionClosed, WebSocketConnection
from ._failure import ExitCode, Failure
from ._formats import Format
from ._receiver import Messages, Receiver
from ._streams import Lines, Output


class Pipes:
    """Sends each line of the input, and writes what is received.

    :param connection: an open connection
    :param style: what a line is as a message, and a message as a line
    :param lines: the input
    :param output: where messages are written
    :param shows: whether that is a terminal

    """

    def __init__(
        self,
        connection: WebSocketConnection,
        style: Format,
        lines: Lines,
        output: Output,
        *,
        shows: bool,
    ) -> None:
        self._connection = connection
        self._style = style
        self._lines = lines
        self._output = output
        self._shows = shows
        self._receiver = Receiver(connection, self._write)
        self._failure: Failure | None = None

    async def talk(self, wait: float) -> None:
        """Send and receive until either side has ended.

        :param wait: seconds of silence after the end of the input that end it, too
        :raises Failure: if a line cannot be sent, the connection ends, and not
            normally, or nobody reads the output

        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, wait)
            await self._receiver.run()
            tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _send(self, wait: float) -> None:
        number = 0
        try:
            async for line in self._lines:
                number += 1
                await self._connection.send_message(self._style.message(line))
        except ValueError as exc:
            text = f"line {number} of the input was not sent: {exc}"
            self._failure = Failure(ExitCode.BAD_INPUT, text)
        except ConnectionClosed:
            text = f"line {number} of the input was not sent: the connection has ended"
            self._failure = Failure(ExitCode.LOST, text)
            return  # the receiver knows why, and what else has come
        self._receiver.end_after(wait)

    async def _write(self, messages: Messages) -> None:
        if self._shows:
            text = "".join(f"< {self._style.shown(message)}\n" for message in messages)
            await self._output.write(text.encode(errors="backslashreplace"))
        else:
            lines = [self._style.line(message) for message in messages]
            await self._output.write(b"\n".join([*lines, b""]))
