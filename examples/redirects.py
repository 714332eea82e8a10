"""A client that follows redirects, and what it does about those that it does not."""

import sys

import anyio

from anyio_websocket import ConnectionRejected, open_websocket_url


async def main(url: str) -> None:
    try:
        async with open_websocket_url(url, max_redirects=5) as connection:
            print("connected to", connection.path)
    except ConnectionRejected as exc:
        print(exc)  # another status, or a redirect that was not followed, and why


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
