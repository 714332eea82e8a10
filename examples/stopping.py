"""A server that closes its connections properly on SIGTERM and on Ctrl-C."""

from __future__ import annotations

import signal
import sys

import anyio

from anyio_websocket import WebSocketRequest, serve_websocket


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def main() -> None:
    """Serve until a signal arrives."""
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, "127.0.0.1", 0, None)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print(f"serving on port {server.port}", flush=True)
            async for _ in signals:
                # 1012 tells the clients that the server restarts.
                await server.aclose(1012, "back in a minute", timeout=5)
                break
    print("all clients are gone")


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
