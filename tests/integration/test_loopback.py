"""What only real sockets show: resets, lost Closes, half-closes, TLS without an end."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    serve_websocket,
)
from anyio_websocket._connection import _closing
from anyio_websocket.testing import (
    Frame,
    ScriptedPeer,
    handshake_request,
    handshake_response,
)

from ..support.frames import CLOSE, PING, PONG, TEXT, close_payload
from ..support.servers import echo, serving


def reset_on_close(stream: SocketStream) -> None:
    """Have the socket's close reset the connection, as a crash does."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def raw_client(port: int, **tls: Any) -> AsyncGenerator[ScriptedPeer]:
    """Connect by hand, with the handshake done."""
    async with await anyio.connect_tcp("127.0.0.1", port, **tls) as stream:
        peer = ScriptedPeer(stream, is_client=True)
        await stream.send(handshake_request())
        assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
        yield peer


async def test_echo_by_hand() -> None:
    async with serving() as port, raw_client(port) as peer:
        await peer.send_frame(TEXT, b"one ", fin=False)
        await peer.send_frame(PING, b"between")
        await peer.send_frame(0, b"message")
        assert await peer.receive_frame() == Frame(PONG, b"between")
        assert await peer.receive_frame() == Frame(TEXT, b"one message")
        await peer.send_close(4000, "bye")
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000, "bye"))
        assert await peer.receive_all() == b""


async def test_E5_the_close_reaches_a_client_that_floods() -> None:
    # Closed with unread bytes, the socket would be reset, and the Close with it.
    async with serving(max_message_size=1000) as port, raw_client(port) as peer:

        async def flood() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                while True:
                    await peer.stream.send(bytes(65536))

        await peer.send_frame(TEXT, b"x" * 1001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood)
            frame = await peer.receive_frame()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await peer.stream.receive()
        reason = "Exceeded maximum message size: 1000 bytes"
        assert frame == Frame(CLOSE, close_payload(1009, reason))


async def test_E5_the_close_reaches_a_server_that_floods() -> None:
    frames: list[Frame] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            peer = ScriptedPeer(stream, is_client=False)
            await stream.send(handshake_response(await peer.receive_head()))

            async def flood() -> None:
                with pytest.raises(anyio.BrokenResourceError):
                    while True:
                        await peer.send_frame(TEXT, b"x" * 10_000)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flood)
                frames.append(await peer.receive_frame())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)
        async with open_websocket(
            "127.0.0.1", port, "/", use_ssl=False, max_message_size=1000
        ) as ws:
            with pytest.raises(ConnectionClosed) as caught:
                await ws.get_message()
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1009
        tasks.cancel_scope.cancel()
    (frame,) = frames
    assert frame.payload[:2] == struct.pack("!H", 1009)


async def test_E1_a_client_that_never_answers() -> None:
    closed: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        with anyio.fail_after(20):
            await ws.aclose(4000)
        closed.append(ws)

    async with serving(handler, disconnect_timeout=0.3) as port:
        async with raw_client(port) as peer:
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await peer.stream.receive()
    assert closed[0].closed == CloseReason(4000, None)


@pytest.mark.parametrize("tls", [False, True])
async def test_E19_a_client_that_answers_the_close_and_keeps_the_connection(
    tls: bool,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_closing, "LINGER_TIMEOUT", 0.3)
    closed: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.aclose(4000)
        closed.append(ws)

    context = server_tls if tls else None
    wrapping = {"tls": True, "ssl_context": client_tls} if tls else {}
    async with serving(handler, context, disconnect_timeout=60) as port:
        async with raw_client(port, **wrapping) as peer:
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
            await peer.send_close(4001)
            with pytest.raises(anyio.EndOfStream):  # and no reset
                await peer.stream.receive()
            with anyio.fail_after(20):
                while not closed:
                    await anyio.sleep(0.01)
    assert closed[0].closed == CloseReason(4001, None)
    assert not closed[0]._core.close_state.timed_out


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_E7_a_client_that_is_gone(how: str) -> None:
    reasons: list[CloseReason | None] = []
    done = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            await ws.get_message()
        finally:
            reasons.append(ws.closed)
            done.set()

    async with serving(handler) as port:
        async with raw_client(port) as peer:
            if how == "reset":
                assert isinstance(peer.stream, SocketStream)
                reset_on_close(peer.stream)
        with anyio.fail_after(20):
            await done.wait()
    assert reasons == [CloseReason(1006, None)]


async def test_A2_resets_during_the_handshake() -> None:
    async with serving(handler_errors="raise") as port:
        for data in (b"", b"GET / HTTP/1.1\r\n", handshake_request()):
            stream = await anyio.connect_tcp("127.0.0.1", port)
            await stream.send(data)
            reset_on_close(stream)
            await stream.aclose()
        async with raw_client(port) as peer:  # the server lives
            await peer.send_frame(TEXT, b"hello")
            assert await peer.receive_frame() == Frame(TEXT, b"hello")


async def test_G2_clients_that_come_and_vanish() -> None:
    # Reset at any moment: between accept and handler, amid a closing handshake, ...
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.aclose(4000)

    async with serving(handler, handler_errors="raise") as port:

        async def vanish(passes: int) -> None:
            stream = await anyio.connect_tcp("127.0.0.1", port)
            if passes:
                await stream.send(handshake_request())
                for _ in range(passes):
                    await anyio.lowlevel.checkpoint()
            reset_on_close(stream)
            await stream.aclose()

        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for passes in range(30):
                    tasks.start_soon(vanish, passes)
        async with raw_client(port) as peer:  # the server lives
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
            await peer.send_close(4000)


async def test_A4_noise_at_a_tls_port(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(tls=server_tls, handler_errors="raise") as port:
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(data)
                await stream.send_eof()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    while True:
                        await stream.receive()
        async with raw_client(
            port, ssl_context=client_tls, tls_standard_compatible=False
        ) as peer:
            await peer.send_frame(TEXT, b"hello")
            assert await peer.receive_frame() == Frame(TEXT, b"hello")


async def test_E7_tls_without_close_notify(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    reasons: list[CloseReason | None] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            await ws.get_message()
        finally:
            reasons.append(ws.closed)

    async with serving(handler, tls=server_tls) as port:
        async with raw_client(
            port, ssl_context=client_tls, tls_standard_compatible=False
        ):
            pass
        with anyio.fail_after(20):
            while not reasons:
                await anyio.sleep(0.01)
    assert reasons == [CloseReason(1006, None)]


async def test_E11_every_client_gets_1001() -> None:
    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as tasks:
            server = await tasks.start(
                partial(serve_websocket, echo, "127.0.0.1", 0, None)
            )
            clients = [
                await outer.start(_client_until_closed, server.port) for _ in range(5)
            ]
            tasks.cancel_scope.cancel()
        # Each of them has answered before the server was gone.
        for ws in clients:
            with anyio.fail_after(20):
                await ws.wait_closed()
            assert ws.closed == CloseReason(1001, None)


async def _client_until_closed(port: int, *, task_status: Any) -> None:
    async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
        task_status.started(ws)
        async for _ in ws:
            raise AssertionError


async def test_F5_a_server_that_does_not_read_stops_its_client() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        await anyio.sleep_forever()

    async with serving(handler, disconnect_timeout=0.1) as port:
        sent = 0
        async with raw_client(port) as peer:
            data = peer.frame(TEXT, b"x" * 100_000) * 10
            with anyio.move_on_after(1) as scope:
                while True:
                    await peer.stream.send(data)
                    sent += len(data)
            assert scope.cancelled_caught
        # The queue, one message more, and what sockets hold.
        assert sent < 40 * 2**20
