"""A client that reconnects when its server restarts, on asyncio and on trio."""

from __future__ import annotations

import sys
from typing import Final

import anyio

from anyio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketRequest,
    open_websocket_url,
    reconnect_delays,
    serve_websocket,
)

PORT: Final = 8765  # where the second server takes over from the first


async def follow(url: str) -> None:
    """Print what the server sends, and reconnect when the connection is lost."""
    delays = reconnect_delays(first=0.2)  # short, since this is the only client
    while True:
        try:
            async with open_websocket_url(url) as connection:
                async for message in connection:
                    print("received:", message)
                    await connection.send_message("thanks")
                    delays = reconnect_delays(first=0.2)  # it worked: start over
        except ConnectionClosed as exc:
            print("lost:", exc.reason)
        except HandshakeError:
            pass  # the server is not up yet
        await anyio.sleep(next(delays))


async def main() -> None:
    """Run two servers, one after the other, and a client that follows both."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, f"ws://127.0.0.1:{PORT}/")
        for text in ("hello", "here I am again"):
            thanked = anyio.Event()

            async def greet(
                request: WebSocketRequest,
                text: str = text,
                thanked: anyio.Event = thanked,
            ) -> None:
                connection = await request.accept()
                await connection.send_message(text)
                await connection.get_message()
                thanked.set()
                await connection.wait_closed()

            server = await tasks.start(serve_websocket, greet, "127.0.0.1", PORT, None)
            await thanked.wait()
            if text == "hello":
                await server.aclose(1012, "new version")
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    for backend in sys.argv[1:] or ["asyncio", "trio"]:
        print(f"-- on {backend}")
        anyio.run(main, backend=backend)
