"""A WebSocket through an HTTP client that the program has anyway."""

import sys

import anyio
import httpx

from anyio_websocket.httpx import open_websocket


async def main(url: str) -> None:
    # Its proxies, certificates, cookies, headers, auth and redirects count.
    async with (
        httpx.AsyncClient(base_url=url, auth=("ann", "secret")) as client,
        open_websocket(client, "echo", compression=True) as connection,
    ):
        await connection.send_message("hello")
        print(await connection.get_message())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
