"""See the Pings of a server, and answer them only while the program is healthy."""

import sys

import anyio
from anyio import create_memory_object_stream

from anyio_websocket import open_websocket_url


async def main(url: str) -> None:
    # A Ping that comes while three wait for their answers is dropped.
    send, pings = create_memory_object_stream[bytes](3)

    def on_ping(payload: bytes) -> None:
        if send.statistics().current_buffer_used < 3:
            send.send_nowait(payload)

    async with (
        send,
        pings,
        open_websocket_url(url, on_ping=on_ping, auto_pong=False) as ws,
        anyio.create_task_group() as tasks,
    ):

        async def answer() -> None:
            async for payload in pings:
                print("pinged:", payload.decode())
                await ws.pong(payload)

        tasks.start_soon(answer)
        async for message in ws:
            print("received:", message)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
