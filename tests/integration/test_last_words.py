"""The end of a connection: what a handler is told of it, and what still arrives."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import anyio
import pytest

from anyio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
)

from ..support.frames import CLOSE, TEXT, Frame, close_payload, frame, take_frame
from ..support.memory_servers import accepted_client, serving
from ..support.peer import over_socket
from ..support.servers import said
from ..support.streams import MemoryListener


@pytest.mark.virtual_time
@pytest.mark.parametrize("by", ["handler", "server"])
@pytest.mark.parametrize(
    "payload", [close_payload(4001), b"", close_payload(1000, "x")]
)
async def test_E15_a_reply_with_other_words_is_quiet(
    by: str, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        opened.append(connection)
        try:
            await connection.get_message()
        finally:
            await anyio.sleep(1)  # cleans up; the peer's reply comes meanwhile

    listener = MemoryListener()
    server = WebSocketServer(handler, [listener], handler_errors="raise")
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        if by == "handler":
            tasks.start_soon(opened[0].aclose, 4001, "kicked")
            assert await peer.receive() == Frame(CLOSE, close_payload(4001, "kicked"))
        else:
            tasks.start_soon(server.aclose, 1012, "restart")
            assert await peer.receive() == Frame(CLOSE, close_payload(1012, "restart"))
        await peer.send(CLOSE, payload)
        assert await peer.receive_all() == b""
        await peer.stream.aclose()
        await anyio.sleep(2)
        tasks.cancel_scope.cancel()
    assert not said(caplog)


@pytest.mark.virtual_time
async def test_E15_another_connection_is_told_by_identity(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Both end for equal reasons, but only one of them is the handler's own.
    opened: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        opened.append(await request.accept())
        if len(opened) == 1:
            with pytest.raises(ConnectionClosed):
                await opened[0].get_message()
            await anyio.sleep(1)
            return
        with pytest.raises(ConnectionClosed) as own:
            await opened[1].get_message()
        with pytest.raises(ConnectionClosed) as other:
            await opened[0].get_message()
        assert own.value.reason == other.value.reason
        raise other.value

    async with serving(handler) as (listener, _):
        peers = [await accepted_client(listener), await accepted_client(listener)]
        for peer in peers:
            await peer.send_close(4000, "same")
            await peer.receive_all()
            await peer.stream.aclose()
        await anyio.sleep(2)
    (record,) = said(caplog)
    assert record.levelname == "ERROR"


@pytest.mark.virtual_time
async def test_E14_a_handler_goes_on_after_the_loop() -> None:
    saved = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        async for _ in await request.accept():
            pass
        saved.set()

    async with serving(handler) as (listener, _):
        peer = await accepted_client(listener)
        await peer.send(TEXT, b"hi")
        await peer.send(CLOSE)
        with anyio.fail_after(1):
            await saved.wait()
        await peer.stream.aclose()


async def _abort(connection: WebSocketConnection) -> None:
    await connection._core.abort()


async def _close_cancelled(connection: WebSocketConnection) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await connection.aclose()


async def _leave(connection: WebSocketConnection) -> None:
    with pytest.raises(SystemExit):
        async with connection:
            raise SystemExit


async def _time_out(connection: WebSocketConnection) -> None:
    connection._core.transport.peer_active = False
    await connection._core.close_if_dead()


@pytest.mark.parametrize("end", [_abort, _close_cancelled, _leave, _time_out])
async def test_F10_what_was_sent_leaves_before_the_end(
    end: Callable[[WebSocketConnection], Awaitable[None]],
) -> None:
    # The replies to a burst share a system call, and the end comes before it.
    one, other = socket.socketpair()
    with other:
        other.sendall(frame(TEXT, b"q", mask=b"1234") * 100)
        async with anyio.create_task_group() as tasks:
            connection = over_socket(
                one, tasks, is_client=False, disconnect_timeout=0.01
            )
            for i in range(50):
                assert await connection.get_message() == "q"
                await connection.send_message(str(i))
            assert connection._core.outbox._batch
            await end(connection)
        data = bytearray(other.recv(65536))
        for i in range(50):
            assert take_frame(data) == Frame(TEXT, str(i).encode())
