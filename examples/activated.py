"""A server whose listening sockets systemd opens, and keeps open while it restarts."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

import anyio
from anyio.abc import SocketListener

from anyio_websocket import WebSocketRequest, WebSocketServer

FIRST: Final = 3  # the descriptor of the first socket; see sd_listen_fds(3)


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def main() -> None:
    """Serve on the sockets that were passed, until a signal arrives."""
    count = int(os.environ.get("LISTEN_FDS", "0"))
    if count == 0:
        sys.exit("start this by a systemd socket unit, which passes it its sockets")
    listeners = [
        await SocketListener.from_socket(descriptor)
        for descriptor in range(FIRST, FIRST + count)
    ]
    server = WebSocketServer(echo, listeners)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                break
        # New clients wait in the kernel until the next server runs, so be quick.
        await server.aclose(1012, "restart", spread=3, timeout=3)


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
