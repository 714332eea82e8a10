"""Tutorial, step 3: vote, and watch the poll at the same time."""

import sys

import anyio

from anyio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url


async def watch(ws: WebSocketConnection) -> None:
    async for text in ws:
        print(text)


async def vote(ws: WebSocketConnection, choices: list[str]) -> None:
    for choice in choices:
        await ws.send_message(choice)
        await anyio.sleep(1)
    await ws.aclose()


async def main() -> None:
    async with open_websocket_url("ws://127.0.0.1:8765/") as ws:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch, ws)
                tasks.start_soon(vote, ws, sys.argv[1:])
        except* ConnectionClosed:
            print(ws.closed)


anyio.run(main)
