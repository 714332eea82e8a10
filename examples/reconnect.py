"""A client that reconnects when its server restarts, on asyncio and on trio."""

import sys
from functools import partial
from typing import Any, Final

import anyio

from anyio_websocket import (
    Attempt,
    WebSocketConnection,
    WebSocketRequest,
    reconnect_delays,
    reconnecting,
    serve_websocket,
)

PORT: Final = 8765  # where the second server takes over from the first


async def show(connection: WebSocketConnection) -> None:
    """Print what the server sends, and thank it."""
    async for message in connection:
        print("received:", message)
        await connection.send_message("thanks")


async def where(attempt: Attempt) -> tuple[str, dict[str, Any]]:
    """Say where to connect: the place to get a fresh token."""
    if attempt.number == 1 and attempt.error is not None:
        print("again, because", attempt.error)
    return f"ws://127.0.0.1:{PORT}/", {}


async def greet(text: str, thanked: anyio.Event, request: WebSocketRequest) -> None:
    """Greet a client, and wait until it leaves."""
    connection = await request.accept()
    await connection.send_message(text)
    await connection.get_message()
    thanked.set()
    await connection.wait_closed()


async def main() -> None:
    """Run two servers, one after the other, and a client that follows both."""
    async with anyio.create_task_group() as tasks:
        # Short delays, since this is the only client.
        delays = partial(reconnect_delays, first=0.2)
        tasks.start_soon(partial(reconnecting, where, show, delays=delays))
        for text in ("hello", "here I am again"):
            thanked = anyio.Event()
            handler = partial(greet, text, thanked)
            server = await tasks.start(
                serve_websocket, handler, "127.0.0.1", PORT, None
            )
            await thanked.wait()
            if text == "hello":
                await server.aclose(1001, "new version")
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    for backend in sys.argv[1:] or ["asyncio", "trio"]:
        print(f"-- on {backend}")
        anyio.run(main, backend=backend)
