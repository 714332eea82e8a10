"""``ping``: how long Pings take, as ping(8) tells it."""

from __future__ import annotations

import math
import sys
import time
from argparse import Namespace
from contextlib import suppress
from typing import Final

import anyio

from .. import ConnectionClosed, Endpoint, WebSocketConnection
from ._failure import ExitCode
from ._opening import lost, use_connection
from ._stop import Stop
from ._streams import Output

LINGER: Final = 10.0  # seconds that the last Pongs may take, as with ping(8)


async def ping(arguments: Namespace, stop: Stop) -> int:
    """Run the command; return its exit code, which is 0 if a Pong has come.

    :raises Failure: if nobody reads the output, or the connection ends
    :raises WebSocketError: if there is no connection

    """
    output = Output(sys.stdout)
    pings: Pings | None = None

    async def send_pings(connection: WebSocketConnection) -> None:
        nonlocal pings
        pings = Pings(connection, output)
        await pings.run(arguments.count, arguments.interval)
        stop.hurry()  # all is measured

    # The connection's own Pings would be answered first.
    failure = await use_connection(send_pings, arguments, stop, ping_interval=None)
    if pings is None:  # stopped before there was a connection
        return stop.exit_code or 0
    if failure is None or failure.code != ExitCode.OUTPUT_CLOSED:
        await output.write(pings.summary().encode())
    if failure is not None:
        raise failure
    return ExitCode.DONE if pings.times else ExitCode.FAILED


class Pings:
    """Pings over a connection, and what became of them.

    :param connection: an open connection
    :param output: where a line for each Pong is written

    """

    def __init__(self, connection: WebSocketConnection, output: Output) -> None:
        self._connection = connection
        self._output = output
        self._peer = name_of(connection.remote)
        self._sent = 0
        self._begun = time.perf_counter()
        #: the round trip times, in milliseconds
        self.times: list[float] = []

    async def run(self, count: float, interval: float) -> None:
        """Send Pings, and wait for their Pongs.

        :raises Failure: if the connection ends, or nobody reads the output

        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read)
            async with anyio.create_task_group() as pings:
                while self._sent < count:
                    if self._sent:
                        await anyio.sleep(interval)
                    self._sent += 1
                    pings.start_soon(self._ping, self._sent)
                pings.cancel_scope.deadline = anyio.current_time() + LINGER
            tasks.cancel_scope.cancel()

    async def _read(self) -> None:
        """Drop messages: unread ones would be in front of the Pongs."""
        try:
            while True:
                await self._connection.get_message()
        except ConnectionClosed as exc:
            raise lost(exc) from exc

    async def _ping(self, number: int) -> None:
        begun = time.perf_counter()
        with suppress(ConnectionClosed):  # the task that reads tells it
            await self._connection.ping()
            took = (time.perf_counter() - begun) * 1000
            self.times.append(took)
            text = f"pong from {self._peer}: seq={number} time={took:.3f} ms\n"
            await self._output.write(text.encode())

    def summary(self) -> str:
        """Return the statistics, in the words of ping(8)."""
        took = (time.perf_counter() - self._begun) * 1000
        received = len(self.times)
        missing = 100 * (self._sent - received) / max(self._sent, 1)
        lines = [f"--- {self._peer} ping statistics ---"]
        counts = f"{self._sent} pings sent, {received} pongs received"
        lines.append(f"{counts}, {missing:.0f}% lost, time {took:.0f} ms")
        if received:
            mean = sum(self.times) / received
            spread = math.sqrt(sum((t - mean) ** 2 for t in self.times) / received)
            figures = (min(self.times), mean, max(self.times), spread)
            joined = "/".join(f"{figure:.3f}" for figure in figures)
            lines.append(f"rtt min/avg/max/mdev = {joined} ms")
        return "\n".join([*lines, ""])


def name_of(remote: Endpoint | str) -> str:
    """Name a peer: a URL without path, or whatever else its stream is called."""
    return remote.url if isinstance(remote, Endpoint) else remote
