"""A server that is stopped at once, and still tells its clients."""

from __future__ import annotations

import ssl
from functools import partial

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    serve_websocket,
)
from anyio_websocket.testing import Frame, MemoryListener

from ..support.frames import CLOSE, close_payload
from ..support.memory_servers import accepted_client

CLIENTS = 10


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("busy", [False, True])
async def test_E20_each_client_is_sent_the_close(
    over_tls: bool,
    busy: bool,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    cancelled: list[bool] = []

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        try:
            if busy:
                await anyio.sleep_forever()
            await connection.wait_closed()
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    reasons: list[CloseReason | None] = []

    async def client(port: int, opened: anyio.Event) -> None:
        tls = client_tls if over_tls else None
        async with open_websocket("127.0.0.1", port, "/", use_ssl=tls or False) as ws:
            opened.set()
            try:
                await ws.get_message()
            except ConnectionClosed as exc:
                reasons.append(exc.reason)

    tls = server_tls if over_tls else None
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, handler, "127.0.0.1", 0, tls)
        )
        for _ in range(CLIENTS):
            opened = anyio.Event()
            tasks.start_soon(client, server.port, opened)
            await opened.wait()
        with anyio.fail_after(5):  # and not 10, for which a server waits by default
            await server.aclose(1012, "restart", timeout=0)
        assert len(cancelled) == CLIENTS
    assert reasons == [CloseReason(1012, "restart")] * CLIENTS


@pytest.mark.virtual_time
async def test_E20_over_a_stream_of_the_users() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        await anyio.sleep_forever()

    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = WebSocketServer(handler, [listener])
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        start = anyio.current_time()
        await server.aclose(1012, "restart", timeout=0)
        assert anyio.current_time() == start
        assert await peer.receive_frame() == Frame(
            CLOSE, close_payload(1012, "restart")
        )
