"""Send and receive at the same time: two tasks for one connection."""

import sys

import anyio

from anyio_websocket import WebSocketConnection, WebSocketRequest, serve_websocket


async def tick(ws: WebSocketConnection) -> None:
    """Send a number each tenth of a second, until somebody cancels it."""
    number = 0
    while True:
        await ws.send_message(str(number))
        number += 1
        await anyio.sleep(0.1)


async def handler(request: WebSocketRequest) -> None:
    """Count for the client, and answer it."""
    async with await request.accept() as ws, anyio.create_task_group() as tasks:
        tasks.start_soon(tick, ws)
        async for message in ws:  # ends when the client leaves
            await ws.send_message(f"you said {message!r}")
        tasks.cancel_scope.cancel()  # the other task has no reason to stop


if __name__ == "__main__":
    backend = (sys.argv[1:] or ["asyncio"])[0]
    anyio.run(serve_websocket, handler, "127.0.0.1", 8765, None, backend=backend)
