"""The echo server and the echo client that the suite talks to.

``python peer.py server|client BACKEND PORT``
"""

from __future__ import annotations

import sys
from functools import partial

import anyio

from anyio_websocket import (
    ConnectionClosed,
    PerMessageDeflate,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

MAX_MESSAGE_SIZE = 32 * 2**20  # bytes; the largest of the suite has 16 MiB
# Every window that the suite asks for is used, and every message compressed.
COMPRESSION = PerMessageDeflate(
    server_max_window_bits=15, client_max_window_bits=15, threshold=0
)
AGENT = "anyio_websocket"


async def echo(connection: WebSocketConnection) -> None:
    """Send every message back until the suite closes, in whatever way."""
    try:
        async for message in connection:
            await connection.send_message(message)
    except ConnectionClosed:
        pass  # most cases are about how it ends


async def handler(request: WebSocketRequest) -> None:
    """Serve one case."""
    await echo(await request.accept())


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    await serve_websocket(
        *(handler, "127.0.0.1", port, None),
        max_message_size=MAX_MESSAGE_SIZE,
        compression=COMPRESSION,
    )


async def ask(port: int) -> None:
    """Run all cases, one after the other."""
    connect = partial(
        open_websocket_url,
        max_message_size=MAX_MESSAGE_SIZE,
        compression=COMPRESSION,
    )
    url = f"ws://127.0.0.1:{port}"
    async with connect(f"{url}/getCaseCount") as connection:
        count = int(await connection.get_message())
    for case in range(1, count + 1):
        async with connect(f"{url}/runCase?case={case}&agent={AGENT}") as connection:
            await echo(connection)
    # A case is recorded when its TCP connection is gone on the suite's side, too.
    await anyio.sleep(3)
    async with connect(f"{url}/updateReports?agent={AGENT}") as connection:
        await connection.wait_closed()


if __name__ == "__main__":
    role, backend, port = sys.argv[1:]
    anyio.run({"server": serve, "client": ask}[role], int(port), backend=backend)
