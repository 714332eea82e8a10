"""Send what has come together meanwhile with one call, in one write."""

import sys

import anyio

from anyio_websocket import open_websocket_url


async def main(url: str) -> None:
    async with open_websocket_url(url) as ws:
        async for request in ws:
            rows = [f"row {number}" for number in range(int(request))]
            await ws.send_messages(rows)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
