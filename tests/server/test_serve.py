"""The functions that serve: their arguments, and streams that users bring along."""

from __future__ import annotations

import math
import socket

import anyio
import pytest
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    ConnectionClosed,
    ConnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    serve_websocket,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.testing import (
    MemoryListener,
    ScriptedPeer,
    handshake_request,
    memory_stream_pair,
)

from ..support.frames import TEXT
from ..support.servers import echo
from ..support.streams import hang


def test_no_listeners() -> None:
    with pytest.raises(ValueError, match="Listeners must contain at least one item"):
        WebSocketServer(echo, [])


def test_settings() -> None:
    listeners = [object.__new__(MemoryListener)]
    with pytest.raises(TypeError, match="accept"):
        WebSocketServer(echo, [object()])
    with (
        socket.socket() as sock,
        pytest.raises(TypeError, match=r"pass await SocketListener\.from_socket"),
    ):
        WebSocketServer(echo, [sock])
    with pytest.raises(ValueError, match="handler_errors"):
        WebSocketServer(echo, listeners, handler_errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not an origin"):
        WebSocketServer(echo, listeners, origins=["example.org"])
    for option in ("max_message_size", "connect_timeout", "disconnect_timeout"):
        with pytest.raises(ValueError, match=option):
            WebSocketServer(echo, listeners, **{option: math.nan})  # type: ignore[arg-type]


async def test_a_server_shows_where_it_listens() -> None:
    async def handler(request: WebSocketRequest) -> None:
        raise AssertionError

    listener = MemoryListener()
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with tcp:
        server = WebSocketServer(handler, [tcp, listener])
        tcp_url = f"ws://127.0.0.1:{server.listeners[0].port}"  # type: ignore[union-attr]
        assert repr(server) == f"<WebSocketServer on {tcp_url}, {listener!r}>"


async def test_settings_leave_no_port_open() -> None:
    with pytest.raises(ValueError, match="max_message_size"):
        await serve_websocket(echo, "127.0.0.1", 0, None, max_message_size=0)


# -- streams of users ----------------------------------------------------------


@pytest.mark.virtual_time
async def test_wrap_server_stream() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        await theirs.send(handshake_request(b"Origin: https://other.example"))
        asked = await wrap_server_stream(
            tasks, ours, 1, 100, None, origins=["https://other.example"]
        )
        ws = await asked.accept()
        peer = ScriptedPeer(theirs, is_client=True)
        await peer.receive_head()
        await peer.send_frame(TEXT, b"x" * 101)
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1009
        await theirs.aclose()


@pytest.mark.virtual_time
async def test_wrap_server_stream_without_a_request() -> None:
    async with anyio.create_task_group() as tasks:
        for data, error in (
            (b"", ConnectionTimeout),
            (b"GET / HTTP/1.1\r\n\r\n", HandshakeError),
        ):
            ours, theirs = memory_stream_pair()
            await theirs.send(data)
            with pytest.raises(HandshakeError) as caught:
                await wrap_server_stream(tasks, ours, connect_timeout=3)
            assert type(caught.value) is error
            assert ours.closed
        ours, _ = memory_stream_pair()
        ours.before_receive = hang
        with anyio.move_on_after(1) as scope:
            await wrap_server_stream(tasks, ours)
        assert scope.cancelled_caught
        assert ours.closed
        with pytest.raises(TypeError, match="stream must be"):
            await wrap_server_stream(tasks, 5)  # type: ignore[arg-type]


async def test_real_sockets_from_outside() -> None:
    got: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        got.append(await request.accept())
        async for message in got[0]:
            await got[0].send_message(message)

    one, other = socket.socketpair()
    async with anyio.create_task_group() as tasks:
        server = await anyio.abc.SocketStream.from_socket(one)
        client = await anyio.abc.SocketStream.from_socket(other)

        async def serve() -> None:
            await handler(await wrap_server_stream(tasks, server))

        tasks.start_soon(serve)
        ws = await wrap_client_stream(tasks, client, "localhost", "/")
        await ws.send_message(b"x" * 100_000)
        assert await ws.get_message() == b"x" * 100_000
        await ws.aclose()
        await got[0].aclose()


@pytest.mark.parametrize(
    "name",
    ["max_connections", "max_connections_per_address", "max_pending_handshakes"],
)
def test_invalid_limits_are_an_error(name: str) -> None:
    listeners = [object.__new__(TLSListener)]
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be more than zero"):
            WebSocketServer(echo, listeners, **{name: value})  # type: ignore[arg-type]
    for wrong in (True, 1.5, "1", float("inf")):
        with pytest.raises(TypeError, match=f"{name} must be an int"):
            WebSocketServer(echo, listeners, **{name: wrong})  # type: ignore[arg-type]
