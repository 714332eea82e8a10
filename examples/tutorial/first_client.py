"""Tutorial, step 2: a client that sends a message and prints the answer."""

import anyio

from anyio_websocket import open_websocket_url


async def main() -> None:
    async with open_websocket_url("ws://127.0.0.1:8765/") as ws:
        await ws.send_message("hello")
        print(await ws.get_message())


anyio.run(main)
