"""The numbers of a server: sums over its connections, open and closed."""

from __future__ import annotations

import ssl
from typing import Any, cast

import anyio
import pytest
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    wrap_client_stream,
)
from anyio_websocket.testing import (
    MemoryListener,
    ScriptedPeer,
    handshake_request,
    memory_stream_pair,
)

from ..support.frames import CLOSE, TEXT
from ..support.memory_servers import accepted_client, raw_client

pytestmark = pytest.mark.virtual_time


async def test_sums_have_closed_connections_in_them() -> None:
    connections: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        connections.append(connection := await request.accept())
        async for message in connection:
            await connection.send_message(message)

    listener = MemoryListener()
    server = WebSocketServer(handler, [listener], count_messages=True)
    assert server.statistics().connections == 0
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        wire = ScriptedPeer(memory_stream_pair()[0], is_client=True).frame(
            TEXT, b"hello"
        )
        clients = [await accepted_client(listener) for _ in range(3)]
        for client in clients:
            await client.stream.send(wire)
            assert (await client.receive_frame()).payload == b"hello"
        numbers = server.statistics()
        assert numbers.connections == numbers.accepted == 3
        assert numbers.bytes_received == 3 * len(wire)
        assert numbers.bytes_sent == 3 * 7
        assert numbers.messages_sent == numbers.messages_received == 3
        assert numbers.latency is None
        await clients[0].send_frame(CLOSE)
        await clients[0].receive_all()
        await clients[1].stream.aclose()
        await connections[0].wait_closed()
        await connections[1].wait_closed()
        later = server.statistics()
        assert later.connections == 1
        assert later.bytes_received == 3 * len(wire) + len(wire) - 5
        assert later.bytes_sent == 3 * 7 + 2
        assert later.opened_at == numbers.opened_at
        await server.aclose(timeout=0)
    last = server.statistics()
    assert last.connections == 0
    assert last.accepted == 3
    assert last.bytes_sent == sum(ws.statistics().bytes_sent for ws in connections)
    assert last.messages_received == 3
    assert last.send_wait_seconds is not None


async def test_what_waits_is_summed_up() -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        tasks.start_soon(connection.send_message, "x" * 5000)
        await connection.ping()
        await anyio.sleep_forever()

    listener = MemoryListener(1000)
    server = WebSocketServer(handler, [listener], ping_interval=None)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        ours = listener.connect()
        client = await wrap_client_stream(tasks, ours, "example.org", "/")
        await raw_client(listener)
        await client.send_message("nobody fetches it")
        await anyio.sleep(1)
        numbers = server.statistics()
        assert numbers.latency is not None
        assert numbers.queued_messages == 1
        assert 17 < numbers.queued_bytes < 200
        assert 3000 < numbers.unsent_bytes <= 5004
        assert numbers.pings_sent == 2
        assert numbers.messages_sent is None
        assert numbers.send_wait_seconds is None
        tasks.cancel_scope.cancel()


async def test_what_becomes_of_handshakes(server_tls: ssl.SSLContext) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/reject":
            await request.reject(403)
        elif request.path == "/wait":
            await anyio.sleep_forever()
        elif request.path == "/accept":
            await request.accept()

    listener, secure = MemoryListener(), MemoryListener()
    tls = TLSListener(cast("Any", secure), server_tls)
    server = WebSocketServer(handler, [listener, tls], connect_timeout=10)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)

        def counts() -> tuple[int, int, int, int]:
            numbers = server.statistics()
            pending = numbers.pending_handshakes
            return pending, numbers.accepted, numbers.rejected, numbers.failed

        async def client(path: bytes) -> bytes:
            line = b"GET %b HTTP/1.1" % path
            peer = await raw_client(listener, handshake_request(line=line))
            return await peer.receive_all()

        assert b" 403 " in await client(b"/reject")
        assert b" 500 " in await client(b"/return")
        assert b" 101 " in await client(b"/accept")
        await (await raw_client(listener, b"GET / HTTP/1.0\r\n\r\n")).receive_all()
        await anyio.sleep(5)  # the server waits until that client closes, too
        assert counts() == (0, 1, 3, 0)
        await secure.connect().send(b"this is not TLS")
        await raw_client(listener, b"GET / HT")  # and no more
        await anyio.sleep(1)
        assert counts() == (1, 1, 3, 1)
        await anyio.sleep(10)
        assert counts() == (0, 1, 3, 2)
        await raw_client(listener, handshake_request(line=b"GET /wait HTTP/1.1"))
        await raw_client(listener, b"GET / HT")
        await anyio.sleep(1)
        assert counts() == (2, 1, 3, 2)
        tasks.start_soon(server.aclose)
    assert counts() == (0, 1, 5, 2)
