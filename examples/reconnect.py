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
    async for message in connection:
        print("received:", message)
        await connection.send_message("thanks")


async def where(attempt: Attempt) -> tuple[str, dict[str, Any]]:
    if attempt.number == 1 and attempt.error is not None:
        print("again, because", attempt.error)
    return f"ws://127.0.0.1:{PORT}/", {}  # a fresh token would be an option


async def greet(text: str, thanked: anyio.Event, request: WebSocketRequest) -> None:
    connection = await request.accept()
    await connection.send_message(text)
    await connection.get_message()
    thanked.set()
    await connection.wait_closed()


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        delays = partial(reconnect_delays, first=0.2)  # it is the only client
        tasks.start_soon(partial(reconnecting, where, show, delays=delays))
        for text in ("hello", "here I am again"):
            thanked = anyio.Event()
            handler = partial(greet, text, thanked)
            serve = partial(serve_websocket, handler, "127.0.0.1", PORT, None)
            server = await tasks.start(serve)
            await thanked.wait()
            if text == "hello":
                await server.aclose(1001, "new version")
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    for backend in sys.argv[1:] or ["asyncio", "trio"]:
        print(f"-- on {backend}")
        anyio.run(main, backend=backend)
