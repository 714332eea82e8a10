"""A server and a client in one program, first on asyncio and then on trio."""

from __future__ import annotations

import sys
import time

import anyio

from anyio_websocket import (
    ConnectionClosed,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)


async def echo(request: WebSocketRequest) -> None:
    """Send every message back."""
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


async def main() -> None:
    """Start the server, exchange messages with it, and stop it."""
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, "127.0.0.1", 0, None)
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket_url(url) as connection:
            for message in ("hello", "wörld", b"\x00\x01\x02"):
                await connection.send_message(message)
                print("echoed:", repr(await connection.get_message()))
            started = time.perf_counter()
            await connection.ping()
            print(f"ping: {(time.perf_counter() - started) * 1000:.2f} ms")
            await connection.aclose(1000, "bye")
            try:
                await connection.get_message()
            except ConnectionClosed as exc:
                print("closed:", exc.reason)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    for backend in sys.argv[1:] or ["asyncio", "trio"]:
        print(f"-- on {backend}")
        anyio.run(main, backend=backend)
