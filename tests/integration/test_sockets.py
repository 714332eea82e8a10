"""Whole connections over the library's sockets: what leaves when, in which order."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    open_websocket_url,
    serve_websocket,
)
from anyio_websocket._connection import _outbox
from anyio_websocket._transport._readiness import can_wait_for_sockets
from anyio_websocket.testing import Frame, handshake_request

from ..support.frames import BINARY, CLOSE, PING, TEXT, close_payload, frame, take_frame
from ..support.peer import over_socket
from ..support.sockets import read

BIG = bytes(range(256)) * 2**14  # 4 MiB, more than any buffer of a socket holds


@asynccontextmanager
async def served(
    handler: Callable[[WebSocketConnection], Any],
    context: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncGenerator[int]:
    """Serve until the block ends; yield the port."""

    async def accept(request: WebSocketRequest) -> None:
        await handler(await request.accept())

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, disconnect_timeout=1, **options)
        server = await tasks.start(serve, accept, "127.0.0.1", 0, context)
        yield server.port
        tasks.cancel_scope.cancel()


async def raw_client(port: int) -> socket.socket:
    """Connect with a plain socket, and do the opening handshake."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    sock.send(handshake_request(host=b"127.0.0.1:%d" % port))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await read(sock, 1)
    return sock


async def send_a_part(ws: WebSocketConnection) -> None:
    """Cancel a task that sends when the kernel has taken a part of the message."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.send_message, BIG)
        while not ws._core.transport.unsent:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


@contextmanager
def _not_read(ws: WebSocketConnection) -> Generator[None]:
    """Let nothing be read, as if the program of this end stood still."""
    ws._core.is_read_in_background = True
    try:
        yield
    finally:
        ws._core.is_read_in_background = False


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_F3_a_message_that_is_cancelled_half_way_arrives_whole(
    secure: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    cancelled = anyio.Event()

    async def handler(ws: WebSocketConnection) -> None:
        await send_a_part(ws)
        cancelled.set()
        for i in range(10):  # the same again, by others that wait behind it
            with anyio.move_on_after(0.001):
                await ws.send_message(b"never" * (i + 1))
        await ws.send_message("next")
        await ws.wait_closed()

    async with served(handler, server_tls if secure else None) as port:
        scheme, context = ("wss", client_tls) if secure else ("ws", None)
        async with open_websocket_url(
            f"{scheme}://127.0.0.1:{port}", context, max_message_size=2 * len(BIG)
        ) as ws:
            # Otherwise it would read the message while nobody asks for it.
            with anyio.fail_after(20), _not_read(ws):
                await cancelled.wait()
            with anyio.fail_after(20):
                assert await ws.get_message() == BIG
                while (message := await ws.get_message()) != "next":
                    assert isinstance(message, bytes)
                    assert message.startswith(b"never")


async def test_F3_unsent_bytes_are_sent_without_another_send() -> None:
    async def handler(ws: WebSocketConnection) -> None:
        await send_a_part(ws)
        await ws.wait_closed()

    async with served(handler) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(20):
            await anyio.sleep(0.2)
            data = await read(sock, len(BIG) + 10)
            sent = take_frame(bytearray(data))
            assert sent is not None
            assert sent.payload == BIG


async def test_E4_a_silent_peer_is_sent_a_close() -> None:
    closed: list[CloseReason | None] = []

    async def handler(ws: WebSocketConnection) -> None:
        await ws.wait_closed()
        closed.append(ws.closed)

    async with served(handler, ping_interval=0.5, ping_timeout=0.3) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(5):
            data = bytearray(await read(sock, 2 + 8 + 2 + 24))
            ping, close = take_frame(data), take_frame(data)
            assert ping is not None
            assert ping.opcode == PING
            assert close == Frame(CLOSE, close_payload(1011, "keepalive ping timeout"))
            await anyio.wait_readable(sock)
            assert sock.recv(1) == b""
    assert closed == [
        CloseReason(
            1006, "the peer showed no sign of life within 0.3 seconds of a ping"
        )
    ]


async def test_a_reply_is_delayed_by_one_pass_at_most() -> None:
    async def handler(ws: WebSocketConnection) -> None:
        await ws.send_message(await ws.get_message())
        await anyio.sleep_forever()  # and never asks for the second one

    async with served(handler) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(5):
            sock.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
            assert take_frame(bytearray(await read(sock, 5)))


@pytest.mark.skipif(sys.platform != "linux", reason="counts writes by their packets")
@pytest.mark.parametrize("answers", [True, False], ids=["answers", "unasked"])
async def test_F9_only_replies_leave_in_few_writes(answers: bool) -> None:
    # On a socket that keeps the bounds between writes.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.setblocking(False)
        async with anyio.create_task_group() as tasks:
            ws = over_socket(ours, tasks, is_client=False)

            async def send() -> None:
                for i in range(50):
                    await ws.send_message(await ws.get_message() if answers else str(i))

            tasks.start_soon(send)
            if answers:
                theirs.send(b"".join(frame(TEXT, b"%d" % i) for i in range(50)))
            packets: list[bytes] = []
            size = sum(len(str(i)) + 2 for i in range(50))
            with anyio.fail_after(5):
                while sum(map(len, packets)) < size:
                    await anyio.wait_readable(theirs)
                    packets.append(theirs.recv(65536))
            tasks.cancel_scope.cancel()
    buffer = bytearray().join(packets)
    for i in range(50):
        assert take_frame(buffer) == Frame(TEXT, b"%d" % i)
    # Once the application proved to be quick, replies to what was read together wait
    # for the last of them. Other messages leave at once.
    assert len(packets) == (_outbox.QUICK_REPLIES + 1 if answers else 50)


async def test_replies_are_sent_in_order() -> None:
    async def handler(ws: WebSocketConnection) -> None:
        async for message in ws:
            await ws.send_message(message)

    async with served(handler) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(10):
            count = 1000
            payloads = [b"%d" % i * (i % 7) for i in range(count)]
            sock.send(b"".join(frame(BINARY, payload) for payload in payloads))
            size = sum(len(payload) + 2 for payload in payloads)
            buffer = bytearray(await read(sock, size))
            for payload in payloads:
                sent = take_frame(buffer)
                assert sent is not None
                assert sent.payload == payload


async def test_a_burst_is_sent_in_order() -> None:
    messages = [b"%d" % i for i in range(50)]

    async def handler(ws: WebSocketConnection) -> None:
        for message in messages:
            await ws.send_message(message)
        await anyio.sleep_forever()

    async with served(handler) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(5):
            data = bytearray(await read(sock, sum(len(m) + 2 for m in messages)))
            for message in messages:
                sent = take_frame(data)
                assert sent is not None
                assert sent.payload == message


async def test_delayed_messages_are_sent_before_the_close() -> None:
    async def handler(ws: WebSocketConnection) -> None:
        await ws.send_message(await ws.get_message())

    async with served(handler) as port:
        sock = await raw_client(port)
        with sock, anyio.fail_after(5):
            sock.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
            assert await read(sock, 9) == b"\x81\x03one\x88\x02\x03\xe8"


async def test_where_the_loop_cannot_wait_for_sockets(
    monkeypatch: pytest.MonkeyPatch,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    token: Any = anyio.lowlevel.current_token().native_token
    monkeypatch.setattr(asyncio, "ProactorEventLoop", type(token), raising=False)
    assert not can_wait_for_sockets()

    async def handler(ws: WebSocketConnection) -> None:
        async for message in ws:
            await ws.send_message(message)

    for context, use_ssl in ((None, False), (server_tls, client_tls)):
        async with served(handler, context) as port:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=use_ssl) as ws:
                await ws.send_message(BIG[:100_000])
                assert await ws.get_message() == BIG[:100_000]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        async def leave() -> None:
            await anyio.wait_readable(listener)
            listener.accept()[0].close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            with pytest.raises(HandshakeError, match="during the TLS handshake"):
                async with open_websocket("127.0.0.1", port, "/", use_ssl=True):
                    pass
