"""Exceptions that nobody expects: they end one connection, and nothing else."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import wsproto.extensions
from wsproto.frame_protocol import Opcode, RsvBits

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    serve_websocket,
    wrap_server_stream,
)
from anyio_websocket._connection import _outbox
from anyio_websocket._protocol import ServerHandshake
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket.testing import ScriptedPeer, handshake_request, memory_stream_pair

from ..support.frames import CLOSE, PING, PONG, TEXT, close_payload
from ..support.memory_servers import accepted_client, raw_client
from ..support.memory_servers import serving as serving_in_memory
from ..support.peer import client_of_raw_server

EXTENSION = b"Sec-WebSocket-Extensions: x-broken"


class Broken(wsproto.extensions.Extension):
    """Raises at frames with certain opcodes.

    :param receiving: at which of those that are received
    :param sending: at which of those that are sent

    """

    name = "x-broken"

    def __init__(self, receiving: int = -1, sending: int = -1) -> None:
        self._receiving = receiving
        self._sending = sending

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool | str:
        return True

    def accept(self, offer: str) -> bool | str | None:
        return True

    def finalize(self, offer: str) -> None: ...

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes:
        return data

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        if opcode == self._receiving:
            raise MemoryError
        return RsvBits(False, False, False)

    def frame_outbound(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        if opcode == self._sending:
            raise MemoryError
        return rsv, data


@asynccontextmanager
async def connected(
    is_client: bool, extension: Broken, **options: Any
) -> AsyncGenerator[tuple[WebSocketConnection, ScriptedPeer]]:
    """Make a connection on either side, to a peer by hand."""
    async with anyio.create_task_group() as tasks:
        if is_client:
            connection, peer, _ = await client_of_raw_server(
                tasks, lines=[EXTENSION], extensions=[extension], **options
            )
        else:
            ours, theirs = memory_stream_pair()
            peer = ScriptedPeer(theirs, is_client=True)
            await theirs.send(handshake_request(EXTENSION))
            asked = await wrap_server_stream(tasks, ours, **options)
            connection = await asked.accept(extensions=[extension])
            await peer.receive_head()
        yield connection, peer
        with anyio.fail_after(5):
            await connection.wait_closed()
            await peer.receive_all()  # the stream is closed, too
        assert connection.closed is not None
        tasks.cancel_scope.cancel()


def logged(caplog: pytest.LogCaptureFixture) -> list[type[BaseException] | None]:
    """Return the types of the exceptions in the log, which must be errors."""
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(record.levelno == logging.ERROR for record in records)
    return [record.exc_info[0] if record.exc_info else None for record in records]


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize(
    ("extension", "received"),
    [
        (Broken(receiving=TEXT), (TEXT, b"x")),
        (Broken(receiving=PING), (PING, b"x")),
        (Broken(receiving=CLOSE), (CLOSE, close_payload(1000))),
        (Broken(sending=PONG), (PING, b"x")),
        (Broken(sending=CLOSE), (CLOSE, close_payload(1000))),
        (Broken(sending=PING), None),  # the keepalive's
    ],
    ids=["text", "ping", "close", "pong", "reply", "keepalive"],
)
async def test_G10_in_the_background(
    is_client: bool,
    extension: Broken,
    received: tuple[int, bytes] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected(is_client, extension, ping_interval=5) as (connection, peer):
        await peer.send_frame(TEXT, b"before") if extension._receiving != TEXT else None
        if received is not None:
            await peer.send_frame(*received)
            await peer.send_frame(TEXT, b"behind")
        await anyio.sleep(10)
    assert logged(caplog) == [MemoryError]
    messages: list[str | bytes] = []
    with pytest.raises(ConnectionClosed):
        while True:
            messages.append(await connection.get_message())
    assert messages in ([], ["before"])
    assert connection.closed in (
        CloseReason(1006, "receiving failed: MemoryError"),
        CloseReason(1006, "it failed in the background: MemoryError"),
        CloseReason(1000, None),  # could be read, but not answered
    )


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
@pytest.mark.parametrize("opcode", [TEXT, PING])
async def test_G10_in_a_task_that_receives(is_client: bool, opcode: int) -> None:
    async with connected(is_client, Broken(receiving=opcode)) as (connection, peer):
        await peer.send_frame(opcode, b"x")
        await peer.send_frame(TEXT if opcode == PING else PONG, b"behind")
        with pytest.raises(MemoryError):
            await connection.get_message()
        with pytest.raises(ConnectionClosed, match="receiving failed: MemoryError"):
            await connection.get_message()
        with pytest.raises(ConnectionClosed):
            await connection.send_message("x")


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
async def test_G10_in_a_task_that_sends(is_client: bool) -> None:
    async with connected(is_client, Broken(sending=TEXT)) as (connection, _):
        with pytest.raises(MemoryError):
            await connection.send_message("x")
        with pytest.raises(ConnectionClosed, match="sending failed: MemoryError"):
            await connection.send_message("x")


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
async def test_G10_in_a_task_that_sends_behind_another(is_client: bool) -> None:
    async with (
        connected(is_client, Broken(sending=TEXT)) as (connection, _),
        connection._core.outbox._get_lock(),
    ):
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def send() -> None:
                with pytest.raises(MemoryError):
                    await connection.send_message("x")

            await anyio.wait_all_tasks_blocked()
            connection._core.outbox._get_lock().release()
        await connection._core.outbox._get_lock().acquire()


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
async def test_G10_while_closing(
    is_client: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(is_client, Broken(sending=CLOSE)) as (connection, _):
        await connection.aclose()
    assert logged(caplog) == [MemoryError]


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_client", [True, False])
async def test_G10_while_waiting_for_the_reply_to_a_close(
    is_client: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(is_client, Broken(receiving=CLOSE)) as (connection, peer):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.aclose)
            await peer.receive_frame()
            await peer.send_close(1000)
    assert logged(caplog) == [MemoryError]


@pytest.mark.virtual_time
async def test_G10_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        if asked.path == "/broken":
            await asked.accept(extensions=[Broken(receiving=TEXT)])
            await anyio.sleep_forever()
        connection = await asked.accept()
        async for message in connection:
            await connection.send_message(message)

    async with serving_in_memory(handler) as (listener, _):
        honest = await accepted_client(listener)
        for _ in range(3):
            peer = await raw_client(
                listener, handshake_request(EXTENSION, line=b"GET /broken HTTP/1.1")
            )
            await peer.receive_head()
            await peer.send_frame(TEXT, b"x")
            await peer.receive_all()
        for client in (honest, await accepted_client(listener)):
            await client.send_frame(TEXT, b"still here")
            assert (await client.receive_frame()).payload == b"still here"
    assert logged(caplog) == [MemoryError] * 3


@pytest.mark.virtual_time
async def test_G10_while_a_request_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()

    def no_memory(self: object, data: bytes) -> None:
        raise MemoryError

    async with serving_in_memory(handler) as (listener, _):
        with monkeypatch.context() as patch:
            patch.setattr(ServerHandshake, "receive_data", no_memory)
            peer = await raw_client(listener)
            assert await peer.receive_all() == b""
        await accepted_client(listener)
    assert logged(caplog) == [MemoryError]


async def test_G10_over_sockets(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        extension = Broken(receiving=TEXT)
        connection = await asked.accept(
            extensions=[extension] if asked.path == "/broken" else []
        )
        if asked.path == "/broken":
            await anyio.sleep_forever()
        async for message in connection:
            await connection.send_message(message)

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, handler, "127.0.0.1", 0, None)
        async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False) as ws:
            async with open_websocket(
                *("127.0.0.1", server.port, "/broken"),
                use_ssl=False,
                extensions=[Broken()],
            ) as broken:
                await broken.send_message("x")
                with pytest.raises(ConnectionClosed):
                    await broken.get_message()
            await ws.send_message("still here")
            assert await ws.get_message() == "still here"
        tasks.cancel_scope.cancel()
    assert logged(caplog) == [MemoryError]


@pytest.mark.parametrize("where", ["frame", "flush"])
async def test_G10_in_a_quick_reply(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is sent by a plain call, or waits only until its bytes are taken."""
    monkeypatch.setattr(_outbox, "MAX_STRETCH", math.inf)
    failed: list[str] = []

    flush = SocketTransport.flush

    async def fail_once(self: object) -> None:
        monkeypatch.setattr(SocketTransport, "flush", flush)
        raise MemoryError

    async def handler(asked: WebSocketRequest) -> None:
        extensions = [Broken(sending=TEXT)] if where == "frame" else []
        connection = await asked.accept(extensions=extensions)
        await connection.get_message()
        if where == "flush":
            monkeypatch.setattr(SocketTransport, "flush", fail_once)
        with pytest.raises(MemoryError):
            await connection.send_message("x" * 10_000_000)
        with pytest.raises(ConnectionClosed, match="sending failed: MemoryError"):
            await connection.send_message("x")
        failed.append(where)

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, handler, "127.0.0.1", 0, None)
        async with open_websocket(
            *("127.0.0.1", server.port, "/"), use_ssl=False, extensions=[Broken()]
        ) as ws:
            await ws.send_message("x")
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
        tasks.cancel_scope.cancel()
    assert failed == [where]
