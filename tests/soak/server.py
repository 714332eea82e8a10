"""The server that is soaked: echoes on most paths, and does what scripts need on some.

``python -m tests.soak.server LOOP PEM PORT TLS_PORT CROWDED_PORT`` says when it
listens. SIGTERM stops it, with time for the handlers to end. ``PEM`` has the
certificate.
"""

from __future__ import annotations

import logging
import signal
import ssl
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint, current_token

from anyio_websocket import (
    ConnectionClosed,
    HTTPRequest,
    HTTPResponse,
    WebSocketConnection,
    WebSocketRequest,
    broadcast,
    healthz,
    serve_websocket,
)

from .settings import (
    CONNECT_TIMEOUT,
    CROWD,
    DISCONNECT_TIMEOUT,
    PING_INTERVAL,
    PING_TIMEOUT,
    SEND_TIMEOUT,
)


async def answer(request: HTTPRequest) -> HTTPResponse:
    """Answer plain HTTP: health checks, and with the body that was sent."""
    if request.path == "/undecided":
        await anyio.sleep(2)
    if request.path == "/healthz":
        return await healthz(request)
    return HTTPResponse(200, request.body)


OPTIONS: Final[dict[str, Any]] = {
    "http_handler": answer,
    "connect_timeout": CONNECT_TIMEOUT,
    "disconnect_timeout": DISCONNECT_TIMEOUT,
    "ping_interval": PING_INTERVAL,
    "ping_timeout": PING_TIMEOUT,
    "send_timeout": SEND_TIMEOUT,
}


def tasks_now() -> int:
    """Count the tasks of the event loop."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        # Without system tasks, which come when they are first needed, and stay.
        root = trio.lowlevel.current_root_task()
        system = sum(len(group.child_tasks) for group in root.child_nurseries[:-1])
        return int(trio.lowlevel.current_statistics().tasks_living) - system
    asyncio = sys.modules["asyncio"]
    return len(asyncio.all_tasks(current_token().native_token))


# -- once the client is connected ----------------------------------------------


async def echo(ws: WebSocketConnection) -> None:
    while True:  # and no variable keeps the last message until the next has come
        await ws.send_message(await ws.get_message())


async def echo_slowly(ws: WebSocketConnection) -> None:
    """Wait for something else, such as a database, before each answer."""
    async for message in ws:
        await anyio.sleep(3)
        await ws.send_message(message)


async def compute(ws: WebSocketConnection) -> None:
    """Compute before each answer, in short pieces."""
    async for message in ws:
        for _ in range(30):
            until = time.thread_time() + 0.01
            while time.thread_time() < until:
                pass
            await checkpoint()
        await ws.send_message(message)


async def drain(ws: WebSocketConnection) -> None:
    """Receive everything, and answer nothing."""
    async for _ in ws:
        pass


members: Final[set[WebSocketConnection]] = set()
ROOM_LIMIT: Final = 2_000_000  # bytes that may wait for a member


async def enter(ws: WebSocketConnection) -> None:
    """Tell all in the room what any of them says; some never read."""
    members.add(ws)
    try:
        async for message in ws:
            broadcast(members, message, slow="disconnect", limit=ROOM_LIMIT)
    finally:
        members.remove(ws)


async def tell(ws: WebSocketConnection) -> None:
    async for _ in ws:
        await ws.send_message(str(tasks_now()))


async def leave(ws: WebSocketConnection) -> None:
    pass


async def leave_loudly(ws: WebSocketConnection) -> None:
    with anyio.move_on_after(0.5):  # more than the network takes of it
        await ws.send_message(bytes(6_000_000))


# -- what a client that has left cannot see ------------------------------------


class Outcome:
    """How a connection ended, as its handler saw it."""

    def __init__(self) -> None:
        #: set when the handler is about to return
        self.known = anyio.Event()
        self.text = ""


#: by the name that the client put into its path; removed when asked for
outcomes: Final[defaultdict[str, Outcome]] = defaultdict(Outcome)


async def push(ws: WebSocketConnection) -> None:
    """Send messages of the size that the first one asks for, until that fails.

    So for 0.1 to 0.2 seconds nothing is received, not even in the background.
    """
    message = bytes(int(await ws.get_message()))
    try:
        while True:
            await ws.send_message(message)
            await anyio.sleep(0.01)
    except ConnectionClosed:
        await note_outcome(ws)


async def ignore(ws: WebSocketConnection) -> None:
    """Receive nothing until the connection is closed."""
    await ws.wait_closed()
    await note_outcome(ws)


async def note_outcome(ws: WebSocketConnection) -> None:
    """Receive what the peer sent last, and note it and the code."""
    count = 0
    last: str | bytes = ""
    try:
        async for message in ws:
            count += 1
            last = message
    except ConnectionClosed:
        pass  # the code is noted
    assert ws.closed is not None
    outcome = outcomes[_name(ws)]
    outcome.text = f"{count} {last!r} {ws.closed.code}"
    outcome.known.set()


async def tell_outcome(ws: WebSocketConnection) -> None:
    """Send the outcome of the connection of that name, once it is known."""
    try:
        outcome = outcomes[_name(ws)]
        await outcome.known.wait()
        await ws.send_message(outcome.text)
    finally:
        del outcomes[_name(ws)]


def _name(ws: WebSocketConnection) -> str:
    return ws.path.rpartition("/")[2]


PATHS: Final[dict[str, Callable[[WebSocketConnection], Awaitable[None]]]] = {
    "/stats": tell,
    "/leave": leave,
    "/loud": leave_loudly,
    "/slow": echo_slowly,
    "/compute": compute,
    "/drain": drain,
    "/room": enter,
    "/ignore": WebSocketConnection.wait_closed,
}

#: followed by a slash and a name
NAMED_PATHS: Final[dict[str, Callable[[WebSocketConnection], Awaitable[None]]]] = {
    "/push": push,
    "/ignore": ignore,
    "/outcome": tell_outcome,
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
        named = NAMED_PATHS.get(request.path.rpartition("/")[0], echo)
        await PATHS.get(request.path, named)(ws)
    except ConnectionClosed:
        pass  # many a client is rude


async def main(certificate: str, port: int, tls_port: int, crowded_port: int) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    serve = partial(serve_websocket, compression=True, **OPTIONS)
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            servers = [
                await tasks.start(serve, handler, "127.0.0.1", port, None),
                await tasks.start(serve, handler, "127.0.0.1", tls_port, context),
                await tasks.start(
                    partial(serve, max_pending_handshakes=CROWD),
                    *(handler, "127.0.0.1", crowded_port, None),
                ),
            ]
            print("listening", flush=True)
            async for _ in signals:
                async with anyio.create_task_group() as ends:
                    for server in servers:
                        ends.start_soon(server.aclose)
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    loop, certificate, *ports = sys.argv[1:]
    anyio.run(
        partial(main, certificate, *map(int, ports)),
        backend="trio" if loop == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if loop == "uvloop" else {},
    )
