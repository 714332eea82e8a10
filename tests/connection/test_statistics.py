"""The numbers of a connection, compared with what its peer counts by hand."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress

import anyio
import pytest

from anyio_websocket import (
    ConnectionClosed,
    ConnectionStatistics,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
)
from anyio_websocket.testing import ScriptedPeer, handshake_request, handshake_response

from ..support.frames import BINARY, CLOSE, PING, TEXT, close_payload
from ..support.peer import Opener
from ..support.servers import raw_server, serving
from ..support.sockets import reset


@pytest.mark.virtual_time
async def test_numbers_agree_with_what_the_peer_counts(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, count_messages=True, ping_interval=None
        )
        before = time.time()
        wire = b"".join(
            (
                peer.frame(TEXT, b"one"),
                peer.frame(PING, b"are you there"),
                peer.frame(BINARY, bytes(70_000)),
                peer.frame(TEXT, b"three"),
            )
        )
        await peer.stream.send(wire)
        assert await connection.get_message() == "one"
        assert len(await connection.get_message()) == 70_000
        await connection.send_message("four")
        await connection.send_messages(["five", "six"])
        await connection.send_message(["se", "ven"])
        with anyio.move_on_after(1):  # the peer never answers
            await connection.ping()
        numbers = connection.statistics()
        assert numbers.queued_messages == 1
        assert numbers.queued_bytes > 5
        assert await connection.get_message() == "three"
        tasks.start_soon(connection.aclose)
        await anyio.wait_all_tasks_blocked()
        await peer.send_close(1000)
        if connection.is_client:  # which waits for the server to close first
            await peer.stream.send_eof()
        received = len(await peer.receive_all())
        await connection.wait_closed()
    close = len(peer.frame(CLOSE, close_payload(1000)))
    last = connection.statistics()
    assert last == ConnectionStatistics(
        messages_sent=4,
        messages_received=3,
        bytes_sent=received,
        bytes_received=len(wire) + close,
        pings_sent=1,
        queued_messages=0,
        queued_bytes=0,
        unsent_bytes=0,
        send_wait_seconds=last.send_wait_seconds,
        latency=None,
        opened_at=numbers.opened_at,
    )
    assert 0 <= before - numbers.opened_at < 5


@pytest.mark.virtual_time
async def test_messages_are_counted_where_that_is_asked_for(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=20)
        await peer.send_frame(TEXT, b"hello")
        assert await connection.get_message() == "hello"
        await connection.send_message("hello")
        await anyio.sleep(21)
        assert (await peer.receive_frame()).payload == b"hello"
        assert (await peer.receive_frame()).opcode == PING
        numbers = connection.statistics()
        assert numbers.messages_sent is None
        assert numbers.messages_received is None
        assert numbers.send_wait_seconds is None
        assert numbers.bytes_received == len(peer.frame(TEXT, b"hello"))
        assert numbers.pings_sent == 1
        tasks.cancel_scope.cancel()
    with pytest.raises(TypeError, match="count_messages must be a bool"):
        open_websocket("localhost", 1, "/", use_ssl=False, count_messages=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("tls", [False, True])
async def test_a_server_over_the_network(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, tls: bool
) -> None:
    """Bytes are those of frames, whether or not they are compressed or encrypted."""
    connections: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        connections.append(await request.accept())
        async for message in connections[0]:
            await connections[0].send_message(message)
            assert connections[0].statistics().unsent_bytes == 0

    deflate = b"Sec-WebSocket-Extensions: permessage-deflate"
    async with serving(
        handler, server_tls if tls else None, compression=True, count_messages=True
    ) as port:
        stream = (
            await anyio.connect_tcp(
                *("127.0.0.1", port),
                ssl_context=client_tls if tls else None,
                tls_standard_compatible=False,
            )
            if tls
            else await anyio.connect_tcp("127.0.0.1", port)
        )
        async with stream:
            peer = ScriptedPeer(stream, is_client=True)
            await stream.send(handshake_request(deflate))
            await peer.receive_head()
            wire = peer.frame(TEXT, b"x" * 10_000) + peer.frame(CLOSE)
            await stream.send(wire)
            received = len(await peer.receive_all())
    numbers = connections[0].statistics()
    assert numbers.bytes_received == len(wire)
    assert numbers.bytes_sent == received < 200  # it was compressed
    assert (numbers.messages_sent, numbers.messages_received) == (1, 1)
    assert numbers.unsent_bytes == 0


@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_client_over_the_network(by_reset: bool) -> None:
    counted: list[int] = []

    async def server(stream: anyio.abc.ByteStream) -> None:
        peer = ScriptedPeer(stream, is_client=False)
        wire = peer.frame(TEXT, b"hello")
        await stream.send(handshake_response(await peer.receive_head()) + wire)
        counted.append(len(wire))
        if by_reset:
            await peer.receive_frame()
            reset(stream.extra(anyio.abc.SocketAttribute.raw_socket).dup())
            await stream.aclose()
        else:
            await peer.send_close(1000)
            while len(peer.buffer) < 1008 + 8:  # the message, and the Close
                peer.buffer += await stream.receive()
            counted.append(len(peer.buffer))

    async with raw_server(server) as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            await ws.send_message(b"x" * 1000)
            assert await ws.get_message() == "hello"
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
            with suppress(ConnectionClosed):
                await ws.send_message("too late")
        await anyio.wait_all_tasks_blocked()
        numbers = ws.statistics()
    if by_reset:
        assert numbers.bytes_received == counted[0]
        assert numbers.bytes_sent == 1000 + 8
    else:
        assert numbers.bytes_received == counted[0] + 4
        assert numbers.bytes_sent == counted[1]


async def test_numbers_can_be_read_in_another_thread() -> None:
    async with serving() as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            found: list[ConnectionStatistics] = []
            thread = threading.Thread(target=lambda: found.append(ws.statistics()))
            thread.start()
            thread.join()
            assert found == [ws.statistics()]
