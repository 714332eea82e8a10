"""A peer that does not read while something waits to be sent to it (row G13)."""

from __future__ import annotations

import math
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.streams.tls import TLSStream

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    wrap_client_stream,
)
from anyio_websocket._connection._waiting_writes import LOOKS
from anyio_websocket.testing import ScriptedPeer, handshake_request, handshake_response

from ..support.frames import PING, TEXT, frame
from ..support.peer import Opener, over_socket
from ..support.servers import serving

LARGE = bytes(1_000_000)


@contextmanager
def took_nothing() -> Iterator[None]:
    """Expect that a call fails since the peer takes nothing, and within the time."""
    started = anyio.current_time()
    with pytest.raises(ConnectionClosed, match="took nothing for 60 seconds") as caught:
        yield
    assert caught.value.reason == CloseReason(1006, None)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert "(send_timeout)" in str(caught.value)
    assert 60 <= anyio.current_time() - started < 60 * (1 + 1.1 / LOOKS)


async def ping_for_ever(peer: ScriptedPeer) -> None:
    """Show signs of life, and read nothing."""
    with suppress(anyio.BrokenResourceError):
        while True:
            await peer.send_frame(PING)
            await anyio.sleep(5)


# -- over streams --------------------------------------------------------------


@pytest.mark.virtual_time
async def test_G13_a_peer_that_reads_nothing(opener: Opener) -> None:
    behind: list[ConnectionClosed] = []

    async def send_behind(ws: WebSocketConnection) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            await ws.send_message("after the large one")
        behind.append(caught.value)

    async with anyio.create_task_group() as tasks:
        ws, peer, stream = await opener(tasks)
        async with anyio.create_task_group() as senders:
            tasks.start_soon(ping_for_ever, peer)
            await anyio.sleep(1)
            senders.start_soon(send_behind, ws)
            with took_nothing():
                await ws.send_message(LARGE)
        assert stream.closed
        assert behind[0].nothing_sent
        with pytest.raises(ConnectionClosed, match="send_timeout"):
            await ws.get_message()
        await ws.wait_closed()
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
@pytest.mark.parametrize("seconds", [None, math.inf])
async def test_G13_no_limit(opener: Opener, seconds: float | None) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks, send_timeout=seconds)
        tasks.start_soon(ping_for_ever, peer)
        with anyio.move_on_after(200) as scope:
            await ws.send_message(LARGE)
        assert scope.cancelled_caught
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_G13_a_slow_peer_is_left_alone(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks, capacity=1000)
        tasks.start_soon(ping_for_ever, peer)

        async def read_on() -> None:
            taken = 0
            while taken < len(LARGE):
                await anyio.sleep(0.5)
                taken += len(await peer.stream.receive())

        tasks.start_soon(read_on)
        started = anyio.current_time()
        await ws.send_message(LARGE)
        assert anyio.current_time() - started > 450
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_G13_who_sends_now_and_then_is_not_judged(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks, ping_interval=None)
        for pause in (0.1, 14, 16, 59, 61, 1000):
            await ws.send_message("hello")
            assert (await peer.receive_frame()).opcode == TEXT
            await anyio.sleep(pause)
        assert ws.closed is None
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_G13_what_waits_in_the_background(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, stream = await opener(tasks, ping_interval=None)
        stream.narrow(10, 65536)
        tasks.start_soon(peer.send_frame, PING, bytes(100))  # its Pong does not fit
        with took_nothing():
            await ws.get_message()
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_G13_what_the_peer_sent_is_the_reason(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks, message_queue_size=0, ping_interval=None)
        for text in (b"one", b"two"):
            await peer.send_frame(TEXT, text)
        await peer.send_close(1008, "too slow for us")
        with pytest.raises(ConnectionClosed):
            await ws.send_message(LARGE)
        assert await ws.get_message() == "one"
        assert await ws.get_message() == "two"
        with pytest.raises(ConnectionClosed, match="too slow for us") as caught:
            await ws.get_message()
        assert caught.value.reason == CloseReason(1008, "too slow for us")
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_G13_closing_has_its_own_timeout(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        ws, _, _ = await opener(tasks)
        tasks.start_soon(_send_and_be_closed, ws)
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        await ws.aclose()
        assert anyio.current_time() - started == pytest.approx(10)
        tasks.cancel_scope.cancel()


async def _send_and_be_closed(ws: WebSocketConnection) -> None:
    with pytest.raises(ConnectionClosed):
        await ws.send_message(LARGE)


# -- over our own sockets ------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_G13_over_a_socket(is_client: bool, is_cancelled: bool) -> None:
    one, other = socket.socketpair()
    with other:
        async with anyio.create_task_group() as tasks:
            ws = over_socket(one, tasks, is_client=is_client)

            async def ping() -> None:
                mask = None if is_client else bytes(4)
                while ws.closed is None:
                    other.sendall(frame(PING, b"", mask=mask))
                    await anyio.sleep(5)

            tasks.start_soon(ping)
            with took_nothing():
                with anyio.move_on_after(1) if is_cancelled else anyio.CancelScope():
                    await ws.send_message(LARGE)
                await ws.get_message()  # the rest is sent in the background
            assert not ws._core.transport.unsent
            await ws.wait_closed()


@pytest.mark.virtual_time
async def test_G13_a_socket_whose_peer_is_slow() -> None:
    one, other = socket.socketpair()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with other:
        async with anyio.create_task_group() as tasks:
            ws = over_socket(one, tasks, is_client=False, ping_interval=None)

            async def read_slowly() -> None:
                with suppress(OSError):
                    while True:
                        await anyio.sleep(50)
                        other.recv(10_000)

            tasks.start_soon(read_slowly)
            started = anyio.current_time()
            await ws.send_message(bytes(100_000))
            assert anyio.current_time() - started > 400
            other.close()
            await ws.wait_closed()


class Deaf:
    """A peer in a thread, over TCP or TLS, that shows signs of life and does not read.

    :param sock: a connected socket
    :param context: for TLS; ``None`` for none
    :param reads: how often it reads some bytes first, with pauses

    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext | None, reads: int = 0
    ) -> None:
        self._socket = sock
        self._context = context
        self._reads = reads

    def be_client(self) -> None:
        if self._context is not None:
            self._socket = self._context.wrap_socket(
                self._socket, server_hostname="localhost"
            )
        with self._socket:
            self._socket.sendall(handshake_request())
            assert self._socket.recv(1000).startswith(b"HTTP/1.1 101")
            self._stay(b"\x89\x80\0\0\0\0")

    def be_server(self) -> None:
        if self._context is not None:
            self._socket = self._context.wrap_socket(self._socket, server_side=True)
        with self._socket:
            self._socket.sendall(handshake_response(self._socket.recv(1000)))
            self._stay(b"\x89\0")

    def _stay(self, ping: bytes) -> None:
        with suppress(OSError):
            while True:
                self._socket.sendall(ping)
                if self._reads > 0:
                    self._reads -= 1
                    self._socket.recv(16_384)
                time.sleep(0.05)


async def send_until_lost(ws: WebSocketConnection) -> None:
    """Send more than kernels keep, to a peer that does not read."""
    with anyio.fail_after(10):
        with pytest.raises(ConnectionClosed, match=r"took nothing for 0\.4 seconds"):
            while True:
                await ws.send_message(LARGE)
        await ws.wait_closed()


@pytest.mark.parametrize(
    "reads",
    [
        0,
        pytest.param(
            12,
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only Linux tells of few bytes"
            ),
        ),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
async def test_G13_a_server_over_tcp(
    reads: int, tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    seconds: list[float] = []

    async def handler(asked: WebSocketRequest) -> None:
        ws = await asked.accept()
        started = anyio.current_time()
        await send_until_lost(ws)
        seconds.append(anyio.current_time() - started)

    options: dict[str, Any] = {"handler_errors": "raise", "send_timeout": 0.4}
    async with serving(handler, server_tls if tls else None, **options) as port:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(("127.0.0.1", port))
        client = Deaf(sock, client_tls if tls else None, reads)
        await anyio.to_thread.run_sync(client.be_client)
        with anyio.fail_after(5):
            while not seconds:
                await anyio.sleep(0.01)
    # What it reads is far less than makes the server's socket writable.
    assert seconds[0] > 0.4 + reads * 0.05


@pytest.mark.parametrize("tls", [False, True])
async def test_G13_a_client_over_tcp(
    tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            Deaf(listener.accept()[0], server_tls if tls else None).be_server()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, serve)
            async with open_websocket(
                *("127.0.0.1", listener.getsockname()[1], "/"),
                use_ssl=client_tls if tls else False,
                send_timeout=0.4,
            ) as ws:
                await send_until_lost(ws)


@pytest.mark.parametrize("reads", [0, 12])
@pytest.mark.parametrize("tls", [False, True])
async def test_G13_over_a_stream_of_the_application(
    reads: int, tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

        def serve() -> None:
            sock, _ = listener.accept()
            Deaf(sock, server_tls if tls else None, reads).be_server()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, serve)
            stream: Any = await anyio.connect_tcp(*listener.getsockname())
            if tls:
                stream = await TLSStream.wrap(
                    stream, hostname="localhost", ssl_context=client_tls
                )
            ws = await wrap_client_stream(
                *(tasks, stream, "localhost", "/"), send_timeout=0.4
            )
            started = anyio.current_time()
            await send_until_lost(ws)
            assert anyio.current_time() - started > 0.4 + reads * 0.05
