"""Send a file as one message, without having it in memory."""

import sys
from collections.abc import AsyncIterator

import anyio

from anyio_websocket import open_websocket_url

SIZE = 65_536  # bytes to read at once


async def content(path: anyio.Path) -> AsyncIterator[bytes]:
    async with await path.open("rb") as file:
        while data := await file.read(SIZE):
            yield data


async def main(url: str, path: str) -> None:
    async with open_websocket_url(url) as ws:
        await ws.send_message(content(anyio.Path(path)))
        print("the server says:", await ws.get_message())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[3], backend=sys.argv[2])
