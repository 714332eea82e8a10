"""The server that is soaked: echoes on most paths, and does what scripts need on some.

``python -m tests.soak.server LOOP PORT PEM``; prints its port and the one for TLS, and
SIGTERM stops it, with time for the handlers to end. ``PEM`` has the certificate.
"""

from __future__ import annotations

import logging
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
from anyio.lowlevel import current_token

from anyio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

from .settings import CONNECT_TIMEOUT, DISCONNECT_TIMEOUT, PING_INTERVAL, PING_TIMEOUT

OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "disconnect_timeout": DISCONNECT_TIMEOUT,
    "ping_interval": PING_INTERVAL,
    "ping_timeout": PING_TIMEOUT,
}


def tasks_now() -> int:
    """Count the tasks of the event loop."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return int(trio.lowlevel.current_statistics().tasks_living)
    asyncio = sys.modules["asyncio"]
    return len(asyncio.all_tasks(current_token().native_token))


# -- once the client is connected ----------------------------------------------


async def echo(ws: WebSocketConnection) -> None:
    while True:  # and no variable keeps the last message until the next has come
        await ws.send_message(await ws.get_message())


async def tell(ws: WebSocketConnection) -> None:
    async for _ in ws:
        await ws.send_message(str(tasks_now()))


async def leave(ws: WebSocketConnection) -> None:
    pass


async def leave_loudly(ws: WebSocketConnection) -> None:
    with anyio.move_on_after(0.5):  # more than the network takes of it
        await ws.send_message(bytes(6_000_000))


PATHS: Final[dict[str, Callable[[WebSocketConnection], Awaitable[None]]]] = {
    "/stats": tell,
    "/leave": leave,
    "/loud": leave_loudly,
}


async def handler(request: WebSocketRequest) -> None:
    if request.path == "/unanswered":
        return
    if request.path == "/undecided":
        await anyio.sleep(2)
    if request.path == "/unsendable":
        try:
            await request.accept(extra_headers=[(b"x", b"a\r\nb: c")])
        except ValueError:
            return
    try:
        ws = await request.accept()
        await PATHS.get(request.path, echo)(ws)
    except ConnectionClosed:
        pass  # many a client is rude


async def main(port: int, tls_port: int, certificate: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    serve = partial(serve_websocket, compression=True, **OPTIONS)
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            servers = [
                await tasks.start(serve, handler, "127.0.0.1", port, None),
                await tasks.start(serve, handler, "127.0.0.1", tls_port, context),
            ]
            print(*(server.port for server in servers), flush=True)
            async for _ in signals:
                async with anyio.create_task_group() as ends:
                    for server in servers:
                        ends.start_soon(server.aclose)
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    loop = sys.argv[1]
    anyio.run(
        main,
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4],
        backend="trio" if loop == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if loop == "uvloop" else {},
    )
