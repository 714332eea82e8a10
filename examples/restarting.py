"""A server that can be restarted without anyone noticing.

Start the new one, which shares the port, and then send SIGTERM to the old one. A second
signal makes it end at once.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import Final

import anyio

from anyio_websocket import WebSocketRequest, serve_websocket

PORT: Final = 8765
DRAIN: Final = 10.0  # seconds in which clients can leave by themselves
SPREAD: Final = 30.0  # seconds over which the others are closed


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def main() -> None:
    """Serve until a signal arrives."""
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, echo, "127.0.0.1", PORT, None, reuse_port=True)
        server = await tasks.start(serve)

        async def stop() -> None:
            # 1012 tells the clients that they can come back.
            await server.aclose(1012, "restart", drain=DRAIN, spread=SPREAD)
            tasks.cancel_scope.cancel()

        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print("serving", flush=True)
            is_stopping = False
            async for _ in signals:
                if is_stopping:
                    tasks.cancel_scope.cancel()
                else:
                    is_stopping = True
                    tasks.start_soon(stop)
                    print(f"{len(server.connections)} clients may leave", flush=True)
    print("all clients are gone")


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
