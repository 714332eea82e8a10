"""The servers of the comparison: each echoes the messages that it receives.

``python servers.py NAME LOOP [broadcast] [deflate] [level LEVEL] [health]
[certificate FILE]`` prints its port and serves until it is killed. With ``broadcast``
it sends each message to all clients, and with ``health`` it answers health checks at
``/healthz``. Each server is written as the documentation of its library recommends,
with the same limit of 16 MiB per message. It compresses only with ``deflate``: with its
library's defaults, or at a ``level`` of zlib, with a window of 15 bits and the memory
level 8.
"""

from __future__ import annotations

import os
import shutil
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from processes import IN_C, IS_LINUX

HOST = "127.0.0.1"
LIMIT = 2**24
BACKLOG = 1024
Server = Callable[["Options"], Awaitable[None]]


class Options:
    """The options from the command line."""

    def __init__(self, words: list[str]) -> None:
        self.loop = words[0]
        self.broadcast = "broadcast" in words
        self.deflate = "deflate" in words
        self.level = int(words[words.index("level") + 1]) if "level" in words else None
        self.health = "health" in words
        self.ssl: ssl.SSLContext | None = None
        if "certificate" in words:
            self.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ssl.load_cert_chain(words[words.index("certificate") + 1])


def announce(port: int) -> None:
    """Print the port for the process that started this one."""
    print(port, flush=True)


async def ours(options: Options) -> None:
    """anyio_websocket."""
    from anyio_websocket import (
        PerMessageDeflate,
        WebSocketConnection,
        WebSocketRequest,
        broadcast,
        serve_websocket,
    )

    clients: set[WebSocketConnection] = set()
    compression: PerMessageDeflate | bool | None = True if options.deflate else None
    if options.level is not None:
        compression = PerMessageDeflate(
            server_max_window_bits=15,
            client_max_window_bits=15,
            level=options.level,
            mem_level=8,
        )

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        if not options.broadcast:
            async for message in ws:
                await ws.send_message(message)
            return
        clients.add(ws)
        try:
            async for message in ws:
                broadcast(clients, message)
        finally:
            clients.discard(ws)

    serve = partial(
        serve_websocket,
        max_message_size=LIMIT,
        compression=compression,
        ping_interval=None if options.broadcast else 20,  # the load knows no Pings
    )
    if options.health:
        from anyio_websocket import healthz

        serve = partial(serve, http_handler=healthz)
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve, handler, HOST, 0, options.ssl)
        announce(server.port)


async def floor(options: Options) -> None:
    """Bytes over anyio's streams: the least that an event loop can take."""

    async def handler(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            try:
                async for data in stream:
                    await stream.send(data)
            except anyio.BrokenResourceError:
                pass

    listener = await anyio.create_tcp_listener(
        local_host=HOST, local_port=0, backlog=BACKLOG
    )
    announce(listener.extra(anyio.abc.SocketAttribute.local_port))
    await listener.serve(handler)


async def floor_in_c(options: Options) -> None:
    """The least that any server can take."""
    with TemporaryDirectory() as folder:
        program = Path(folder, "floor")
        source = Path(__file__).with_name("floor.c")
        await anyio.run_process(["cc", "-O3", source, "-o", program])
        descriptor = os.open(program, os.O_RDONLY)
    os.execve(descriptor, ["floor"], os.environ)


def deflate_of_websockets(options: Options) -> dict[str, Any]:
    """Return the arguments for the server of websockets."""
    from websockets.extensions.permessage_deflate import (
        ServerPerMessageDeflateFactory,
    )

    if options.level is None:
        return {"compression": "deflate" if options.deflate else None}
    settings = {"level": options.level, "memLevel": 8}
    factory = ServerPerMessageDeflateFactory(compress_settings=settings)
    return {"compression": None, "extensions": [factory]}


async def websockets(options: Options) -> None:
    """websockets on asyncio."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response

    clients: set[ServerConnection] = set()

    def health(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/healthz":
            return connection.respond(200, "ok\n")
        return None

    async def handler(connection: ServerConnection) -> None:
        clients.add(connection)
        try:
            async for message in connection:
                if options.broadcast:
                    broadcast(clients, message)
                else:
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            clients.discard(connection)

    async with serve(
        *(handler, HOST, 0),
        ssl=options.ssl,
        max_size=LIMIT,
        **deflate_of_websockets(options),
        backlog=BACKLOG,
        process_request=health if options.health else None,
    ) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        await anyio.sleep_forever()


async def websockets_trio(options: Options) -> None:
    """websockets on trio."""
    import trio
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response
    from websockets.trio.server import ServerConnection, serve

    clients: set[ServerConnection] = set()

    async def health(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/healthz":
            return connection.respond(200, "ok\n")
        return None

    async def handler(connection: ServerConnection) -> None:
        clients.add(connection)
        try:
            async for message in connection:
                if options.broadcast:
                    for each in clients:
                        await each.send(message)
                else:
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            clients.discard(connection)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                serve,
                handler,
                port=0,
                host=HOST,
                ssl=options.ssl,
                max_size=LIMIT,
                **deflate_of_websockets(options),
                backlog=BACKLOG,
                process_request=health if options.health else None,
            )
        )
        announce(server.listeners[0].socket.getsockname()[1])


async def aiohttp(options: Options) -> None:
    """aiohttp."""
    from aiohttp import web

    clients: set[web.WebSocketResponse] = set()

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=options.deflate, max_msg_size=LIMIT)
        await ws.prepare(request)
        clients.add(ws)
        try:
            async for message in ws:
                if options.broadcast:
                    for each in clients:
                        await each.send_bytes(message.data)
                elif isinstance(message.data, str):
                    await ws.send_str(message.data)
                else:
                    await ws.send_bytes(message.data)
        finally:
            clients.discard(ws)
        return ws

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/", handler)
    app.router.add_get("/healthz", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, ssl_context=options.ssl, backlog=BACKLOG).start()
    announce(runner.addresses[0][1])
    await anyio.sleep_forever()


async def picows(options: Options) -> None:
    """picows, which uses callbacks instead of coroutines."""
    from picows import (
        WSFrame,
        WSListener,
        WSMsgType,
        WSTransport,
        WSUpgradeRequest,
        WSUpgradeResponse,
        WSUpgradeResponseWithListener,
        ws_create_server,
    )

    clients: set[WSTransport] = set()

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            clients.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            clients.discard(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            elif options.broadcast:
                payload = frame.get_payload_as_bytes()
                for each in clients:
                    each.send(frame.msg_type, payload)
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    def factory(request: WSUpgradeRequest) -> Any:
        if request.path == b"/healthz":
            response = WSUpgradeResponse.create_ok_response(b"ok\n")
            return WSUpgradeResponseWithListener(response, None)
        return Listener()

    server = await ws_create_server(
        *(factory, HOST, 0),
        ssl=options.ssl,
        max_frame_size=LIMIT,
        backlog=BACKLOG,
    )
    announce(server.sockets[0].getsockname()[1])
    await anyio.sleep_forever()


async def picows_websockets(options: Options) -> None:
    """picows.websockets, which has the API of websockets and is compiled."""
    from picows.websockets import (
        ConnectionClosed,
        ServerConnection,
        broadcast,
        serve,
    )

    clients: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        clients.add(connection)
        try:
            async for message in connection:
                if options.broadcast:
                    broadcast(clients, message)
                else:
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            clients.discard(connection)

    async with serve(
        *(handler, HOST, 0),
        ssl=options.ssl,
        max_size=LIMIT,
        compression="deflate" if options.deflate else None,
        backlog=BACKLOG,
    ) as server:
        announce(server.sockets[0].getsockname()[1])
        await anyio.sleep_forever()


async def trio_websocket(options: Options) -> None:
    """trio-websocket."""
    import trio
    from trio_websocket import (
        ConnectionClosed,
        WebSocketConnection,
        WebSocketRequest,
        serve_websocket,
    )

    clients: set[WebSocketConnection] = set()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        clients.add(ws)
        try:
            while True:
                message = await ws.get_message()
                if options.broadcast:
                    for each in clients:
                        await each.send_message(message)
                else:
                    await ws.send_message(message)
        except ConnectionClosed:
            pass
        finally:
            clients.discard(ws)

    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, max_message_size=LIMIT)
        server = await nursery.start(serve, handler, HOST, 0, options.ssl)
        announce(server.port)


SERVERS: dict[str, dict[str, Server]] = {
    "anyio_websocket": {"asyncio": ours, "uvloop": ours, "trio": ours},
    "bytes over anyio": {"asyncio": floor, "uvloop": floor, "trio": floor},
    "picows": {"asyncio": picows, "uvloop": picows},
    "picows.websockets": {"asyncio": picows_websockets, "uvloop": picows_websockets},
    "aiohttp": {"asyncio": aiohttp, "uvloop": aiohttp},
    "websockets": {
        "asyncio": websockets,
        "uvloop": websockets,
        "trio": websockets_trio,
    },
    "trio-websocket": {"trio": trio_websocket},
}
if IS_LINUX and shutil.which("cc"):
    SERVERS[IN_C] = {"epoll": floor_in_c}


def run(function: Callable[..., Awaitable[Any]], loop: str, *args: object) -> Any:
    """Run a coroutine function on the event loop of this name."""
    return anyio.run(
        function,
        *args,
        backend="trio" if loop == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if loop == "uvloop" else {},
    )


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    options = Options(words)
    run(SERVERS[name][options.loop], options.loop, options)
