"""Servers and clients of other libraries, each on a loop and a thread of its own.

Every server echoes, pings the client once when it is asked to ("ping me"), and closes
with 4002 when it is asked to ("close me"). Every client talks to our server and says
what it saw.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

BIG = 2**20  # bytes
REASON = "as agreed"


class Seen(NamedTuple):
    """What a client of another library saw of our server."""

    text: object
    binary: object
    fragments: object
    big: int
    close: tuple[int, str]  # of ours, after "close me"
    own_close: tuple[int, str]  # of ours, answering theirs


class Peer(Protocol):
    """One other library."""

    #: the code with which it answers a Close, ``None`` for that of the Close
    answers: int | None

    def serve(
        self, tls: ssl.SSLContext | None, started: Callable[[int, Stop], None]
    ) -> None:
        """Serve until stopped, blocking; tell the port and how to stop."""

    def visit(self, url: str, tls: ssl.SSLContext | None) -> Seen:
        """Talk to our server, blocking."""
        ...


Stop = Callable[[], None]


@contextmanager
def serving(peer: Peer, tls: ssl.SSLContext | None) -> Iterator[int]:
    """Run another library's server in a thread while the block lasts."""
    ready = threading.Event()
    where: list[tuple[int, Stop]] = []

    def started(port: int, stop: Stop) -> None:
        where.append((port, stop))
        ready.set()

    thread = threading.Thread(target=peer.serve, args=(tls, started))
    thread.start()
    assert ready.wait(10), "the other server did not start"
    port, stop = where[0]
    try:
        yield port
    finally:
        stop()
        thread.join(10)
        assert not thread.is_alive(), "the other server did not end"


class _OnAsyncio:
    """What peers on asyncio have in common."""

    answers: int | None = None

    def serve(
        self, tls: ssl.SSLContext | None, started: Callable[[int, Stop], None]
    ) -> None:
        async def main() -> None:
            loop, done = asyncio.get_running_loop(), asyncio.Event()

            def stop() -> None:
                loop.call_soon_threadsafe(done.set)

            await self._serve(tls, lambda port: started(port, stop), done)

        asyncio.run(main())

    def visit(self, url: str, tls: ssl.SSLContext | None) -> Seen:
        return asyncio.run(asyncio.wait_for(self._visit(url, tls), 10))

    def _serve(
        self,
        tls: ssl.SSLContext | None,
        started: Callable[[int], None],
        done: asyncio.Event,
    ) -> Coroutine[Any, Any, None]:
        raise NotImplementedError

    def _visit(self, url: str, tls: ssl.SSLContext | None) -> Coroutine[Any, Any, Seen]:
        raise NotImplementedError


class Websockets(_OnAsyncio):
    """The library websockets, on asyncio."""

    async def _serve(
        self,
        tls: ssl.SSLContext | None,
        started: Callable[[int], None],
        done: asyncio.Event,
    ) -> None:
        from websockets.asyncio.server import serve

        async def handler(connection: Any) -> None:
            async for message in connection:
                if message == "ping me":
                    await (await connection.ping(b"theirs"))
                    await connection.send("pong seen")
                elif message == "close me":
                    await connection.close(4002, REASON)
                elif message == "fragments":
                    await connection.send(["frag", "men", "ts"])
                else:
                    await connection.send(message)

        async with serve(
            handler, "127.0.0.1", 0, ssl=tls, max_size=2 * BIG, compression=None
        ) as server:
            started(next(iter(server.sockets)).getsockname()[1])
            await done.wait()

    async def _visit(self, url: str, tls: ssl.SSLContext | None) -> Seen:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        options: dict[str, Any] = {"max_size": 2 * BIG, "compression": None}
        if tls is not None:
            options["ssl"] = tls
        async with connect(url, **options) as connection:
            await (await connection.ping())
            await connection.send("text")
            text = await connection.recv()
            await connection.send(b"binary")
            binary = await connection.recv()
            await connection.send(["frag", "men", "ts"])
            fragments = await connection.recv()
            await connection.send(b"x" * BIG)
            big = len(await connection.recv())
            await connection.send("ping me")
            assert await connection.recv() == "pong seen"
            await connection.send("close me")
            with suppress(ConnectionClosed):
                await connection.recv()
            close = (connection.close_code or 0, connection.close_reason or "")
        async with connect(url, **options) as connection:
            await connection.close(4001, REASON)
            own_close = (connection.close_code or 0, connection.close_reason or "")
        return Seen(text, binary, fragments, big, close, own_close)


class Aiohttp(_OnAsyncio):
    """The library aiohttp."""

    answers: int | None = 1000

    async def _serve(
        self,
        tls: ssl.SSLContext | None,
        started: Callable[[int], None],
        done: asyncio.Event,
    ) -> None:
        from aiohttp import WSMsgType, web

        async def handler(request: web.Request) -> web.WebSocketResponse:
            connection = web.WebSocketResponse(compress=False, max_msg_size=2 * BIG)
            await connection.prepare(request)
            async for message in connection:
                if message.data == "ping me":
                    await connection.ping(b"theirs")  # does not wait for the pong
                    await connection.send_str("pong seen")
                elif message.data == "close me":
                    await connection.close(code=4002, message=REASON.encode())
                elif message.data == "fragments":  # it cannot send any
                    await connection.send_str("fragments")
                elif message.type is WSMsgType.TEXT:
                    await connection.send_str(message.data)
                else:
                    await connection.send_bytes(message.data)
            return connection

        app = web.Application()
        app.router.add_get("/", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            started(runner.addresses[0][1])
            await done.wait()
        finally:
            await runner.cleanup()

    async def _visit(self, url: str, tls: ssl.SSLContext | None) -> Seen:
        from aiohttp import ClientSession

        options: dict[str, Any] = {"max_msg_size": 2 * BIG}
        if tls is not None:
            options["ssl"] = tls
        async with ClientSession() as session:
            async with session.ws_connect(url, **options) as connection:
                await connection.ping()
                await connection.send_str("text")
                text = await connection.receive_str()
                await connection.send_bytes(b"binary")
                binary = await connection.receive_bytes()
                await connection.send_str("fragments")
                fragments = await connection.receive_str()
                await connection.send_bytes(b"x" * BIG)
                big = len(await connection.receive_bytes())
                await connection.send_str("ping me")
                assert await connection.receive_str() == "pong seen"
                await connection.send_str("close me")
                message = await connection.receive()
                close = (message.data, message.extra or "")
            async with session.ws_connect(url, **options) as connection:
                await connection.close(code=4001, message=REASON.encode())
                own_close = (connection.close_code or 0, REASON)
            # A TLS connection of aiohttp ends behind the session's back.
            await asyncio.sleep(0.1)
        return Seen(text, binary, fragments, big, close, own_close)


class TrioWebsocket:
    """The library trio-websocket."""

    answers: int | None = None

    def serve(
        self, tls: ssl.SSLContext | None, started: Callable[[int, Stop], None]
    ) -> None:
        import trio
        import trio_websocket

        async def handler(request: Any) -> None:
            connection = await request.accept()
            try:
                while True:
                    message = await connection.get_message()
                    if message == "ping me":
                        await connection.ping(b"theirs")
                        await connection.send_message("pong seen")
                    elif message == "close me":
                        await connection.aclose(4002, REASON)
                    else:  # it cannot send fragments
                        await connection.send_message(message)
            except trio_websocket.ConnectionClosed:
                pass

        async def main() -> None:
            token = trio.lowlevel.current_trio_token()
            async with trio.open_nursery() as nursery:
                server = await nursery.start(
                    trio_websocket.serve_websocket, handler, "127.0.0.1", 0, tls
                )

                def stop() -> None:
                    token.run_sync_soon(nursery.cancel_scope.cancel)

                started(server.port, stop)

        trio.run(main)

    def visit(self, url: str, tls: ssl.SSLContext | None) -> Seen:
        import trio
        import trio_websocket

        address = urlsplit(url)

        @asynccontextmanager
        async def connect() -> AsyncGenerator[Any]:
            # Over a stream that is closed here, for sure and at once.
            host, port = address.hostname or "", address.port or 80
            stream: Any = await trio.open_tcp_stream(host, port)
            if tls is not None:
                stream = trio.SSLStream(
                    stream, tls, server_hostname=host, https_compatible=True
                )
            async with stream, trio.open_nursery() as nursery:
                yield await trio_websocket.wrap_client_stream(
                    nursery, stream, address.netloc, "/"
                )
                nursery.cancel_scope.cancel()

        def closed(connection: Any) -> tuple[int, str]:
            return connection.closed.code, connection.closed.reason

        async def main() -> Seen:
            got: list[Any] = []
            with trio.fail_after(10):
                async with connect() as connection:
                    await connection.ping()
                    for message in ("text", b"binary", "fragments", b"x" * BIG):
                        await connection.send_message(message)
                        got.append(await connection.get_message())
                    await connection.send_message("ping me")
                    assert await connection.get_message() == "pong seen"
                    await connection.send_message("close me")
                    with suppress(trio_websocket.ConnectionClosed):
                        await connection.get_message()
                    close = closed(connection)
                async with connect() as connection:
                    await connection.aclose(4001, REASON)
                    own_close = closed(connection)
            text, binary, fragments, big = got
            return Seen(text, binary, fragments, len(big), close, own_close)

        return trio.run(main)


PEERS: dict[str, type[Peer]] = {
    "websockets": Websockets,
    "aiohttp": Aiohttp,
    "trio_websocket": TrioWebsocket,
}
