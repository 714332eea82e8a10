"""Write a message to a file while it comes, without having it in memory."""

import sys

import anyio

from anyio_websocket import ClientOptions, open_websocket_url

LIMIT = 2**30  # bytes; the default of 1 MiB is for messages in memory


async def main(url: str, path: anyio.Path) -> None:
    options: ClientOptions = {
        "max_message_size": LIMIT,
        "message_queue_size": 1,  # while the disk is slow, the server waits
    }
    async with open_websocket_url(url, **options) as ws:
        async with ws.receive_fragments() as parts, await path.open("wb") as file:
            async for part in parts:
                assert isinstance(part, bytes)  # a text has parts of type str
                await file.write(part)
        print("the server says:", await ws.get_message())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], anyio.Path(sys.argv[3]), backend=sys.argv[2])
