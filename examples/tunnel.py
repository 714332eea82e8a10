"""Carry TCP connections through WebSockets: a port here leads to a port there.

python tunnel.py serve 8765 localhost:22 asyncio
python tunnel.py connect 2222 ws://127.0.0.1:8765/ asyncio
"""

import sys
from contextlib import suppress

import anyio
from anyio.abc import ByteStream

import anyio_websocket


async def join(one: ByteStream, other: ByteStream) -> None:
    """Carry bytes both ways, until one side ends; then close both."""
    async with one, other, anyio.create_task_group() as tasks:

        async def carry(source: ByteStream, destination: ByteStream) -> None:
            with suppress(anyio.BrokenResourceError):
                async for data in source:
                    await destination.send(data)
            tasks.cancel_scope.cancel()

        tasks.start_soon(carry, one, other)
        tasks.start_soon(carry, other, one)


async def serve(port: int, destination: str) -> None:
    host, _, number = destination.rpartition(":")

    async def handler(request: anyio_websocket.WebSocketRequest) -> None:
        try:
            tcp = await anyio.connect_tcp(host, int(number))
        except OSError:
            return await request.reject(502)
        async with tcp:
            await join((await request.accept()).as_byte_stream(), tcp)

    await anyio_websocket.serve_websocket(handler, "127.0.0.1", port, None)


async def connect(port: int, url: str) -> None:
    async def handle(tcp: ByteStream) -> None:
        try:
            async with tcp, anyio_websocket.open_websocket_url(url) as ws:
                await join(tcp, ws.as_byte_stream())
        except anyio_websocket.HandshakeError as exc:
            print(exc)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener:
        await listener.serve(handle)


if __name__ == "__main__":
    run = {"serve": serve, "connect": connect}[sys.argv[1]]
    anyio.run(run, int(sys.argv[2]), sys.argv[3], backend=sys.argv[4])
