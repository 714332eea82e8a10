"""A client that reconnects, over sockets and in real time: its server restarts."""

from __future__ import annotations

import itertools

import anyio
import pytest

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    open_reconnecting,
)


async def handler(request: WebSocketRequest) -> None:
    """Say which path was asked for, then echo."""
    connection = await request.accept()
    await connection.send_message(f"welcome to {request.path}")
    async for message in connection:
        await connection.send_message(message)


async def test_messages_go_on_when_the_server_restarts(port: int) -> None:
    greeted: list[WebSocketConnection] = []

    async def greet(connection: WebSocketConnection) -> None:
        greeted.append(connection)
        assert await connection.get_message() == "welcome to /feed"
        await connection.send_message(f"greeting {len(greeted)}")
        if len(greeted) == 3:
            raise SystemExit(3)

    async def serve() -> WebSocketServer:
        listener = await anyio.create_tcp_listener(
            local_host="127.0.0.1", local_port=port
        )
        server = WebSocketServer(handler, [listener])
        await tasks.start(server.run)
        return server

    got: list[str | bytes] = []
    url = f"ws://127.0.0.1:{port}/feed"
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            server = await serve()
            with pytest.raises(SystemExit):
                async with open_reconnecting(
                    url, on_connect=greet, delays=lambda: itertools.repeat(0.01)
                ) as connection:
                    await connection.send_message("before")
                    got += [await connection.get_message() for _ in range(2)]
                    await server.aclose(1001)
                    await greeted[-1].wait_closed()
                    tasks.start_soon(connection.send_message, "in the gap")
                    server = await serve()
                    got += [await connection.get_message() for _ in range(2)]
                    await server.aclose(1001)
                    await serve()
                    await anyio.sleep_forever()  # until on_connect exits
            tasks.cancel_scope.cancel()
    assert got == ["greeting 1", "before", "greeting 2", "in the gap"]
