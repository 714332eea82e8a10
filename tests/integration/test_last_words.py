"""The end of a connection: what a handler is told of it, and what still arrives."""

from __future__ import annotations

import math
import os
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    connect_websocket,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket._transport._tls import TlsTransport
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
    handshake_response,
)

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    TEXT,
    close_payload,
    frame,
    take_frame,
)
from ..support.memory_servers import accepted_client, serving
from ..support.peer import Opener, linked_by_sockets, over_socket
from ..support.servers import connected, is_answered, raw_server, said
from ..support.servers import serving as serving_tcp
from ..support.sockets import pair, reset
from ..support.streams import failing
from ..support.stretch import set_max_stretch


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
            assert await peer.receive_frame() == Frame(
                CLOSE, close_payload(4001, "kicked")
            )
        else:
            tasks.start_soon(server.aclose, 1012, "restart")
            assert await peer.receive_frame() == Frame(
                CLOSE, close_payload(1012, "restart")
            )
        await peer.send_frame(CLOSE, payload)
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
        await peer.send_frame(TEXT, b"hi")
        await peer.send_frame(CLOSE)
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


# -- what is unread when the stream is lost --------------------------------------

LAST: Final = [
    frame(TEXT, b"one", mask=None),
    frame(TEXT, b"t", fin=False, mask=None),
    frame(CONTINUATION, b"wo", mask=None),
    frame(TEXT, b"three", mask=None),
]
OVER_QUOTA: Final = CloseReason(1008, "over quota")
LAST_CLOSE: Final = frame(CLOSE, close_payload(1008, "over quota"), mask=None)


async def _messages(connection: WebSocketConnection) -> list[str | bytes]:
    """Return the messages that come until the end."""
    messages: list[str | bytes] = []
    with pytest.raises(ConnectionClosed):
        while True:
            messages.append(await connection.get_message())
    return messages


async def _send_until_it_fails(connection: WebSocketConnection) -> CloseReason | None:
    with pytest.raises(ConnectionClosed) as caught, anyio.fail_after(5):
        while True:
            await connection.send_message("question")
            await anyio.sleep(0.001)
    return caught.value.reason


def _server_of(
    data: bytes, gone: anyio.Event, *, after_first: bool
) -> Callable[[ByteStream], Awaitable[None]]:
    """A server that answers, sends its last words, and leaves with a reset."""

    async def handler(stream: ByteStream) -> None:
        asked = await ScriptedPeer(stream, is_client=False).receive_head()
        await stream.send(
            handshake_response(asked) + frame(TEXT, b"ok", mask=None) * after_first
        )
        if after_first:
            await stream.receive()
        await anyio.sleep(0.02)
        await stream.send(data)
        await stream.aclose()
        gone.set()

    return handler


@pytest.mark.parametrize("transport", ["socket", "tls", "stream", "tls stream"])
@pytest.mark.parametrize("after_first", [False, True])
@pytest.mark.parametrize("queue", [0, 1, math.inf])
@pytest.mark.parametrize("with_close", [False, True])
async def test_E13_last_words_are_delivered(
    transport: str,
    after_first: bool,
    queue: float,
    with_close: bool,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    gone = anyio.Event()
    data = b"".join(LAST) + LAST_CLOSE * with_close
    handler = _server_of(data, gone, after_first=after_first)
    is_tls = transport.startswith("tls")

    async def handle(stream: ByteStream) -> None:
        if is_tls:
            stream = await TLSStream.wrap(
                *(stream,),
                server_side=True,
                ssl_context=server_tls,
                standard_compatible=False,
            )
        await handler(stream)

    async with raw_server(handle) as port, anyio.create_task_group() as tasks:
        if transport.endswith("stream"):
            stream: ByteStream = await anyio.connect_tcp("127.0.0.1", port)
            if is_tls:
                stream = await TLSStream.wrap(
                    *(stream,),
                    hostname="127.0.0.1",
                    ssl_context=client_tls,
                    standard_compatible=False,
                )
            connection = await wrap_client_stream(
                *(tasks, stream, "127.0.0.1", "/"), message_queue_size=queue
            )
        else:
            connection = await connect_websocket(
                *(tasks, "127.0.0.1", port, "/"),
                use_ssl=client_tls if is_tls else False,
                message_queue_size=queue,
            )
        if after_first:
            await connection.send_message("first")
            assert await connection.get_message() == "ok"
        await gone.wait()
        reason = await _send_until_it_fails(connection)
        messages = await _messages(connection)
        # asyncio's own streams drop what they have not read when a write fails.
        if transport in ("socket", "tls") or messages:
            assert messages == ["one", "two", "three"]
            end = OVER_QUOTA if with_close else CloseReason(1006, None)
            assert connection.closed == end
            if queue == math.inf:
                assert reason == end
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("call", ["send", "ping", "pong", "close", "keepalive"])
async def test_E13_whichever_write_fails(how: str, call: str) -> None:
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        sock = socket.socket(fileno=os.dup(transport._socket.fileno()))
        connection = over_socket(sock, tasks, is_client=True)
        theirs.sendall(b"".join(LAST) + LAST_CLOSE)
        if how == "reset":
            reset(theirs)
        else:
            theirs.close()
        core = connection._core
        with suppress(ConnectionClosed), anyio.fail_after(5):
            for _ in range(3):
                if call == "send":
                    await connection.send_message("x")
                elif call == "ping":
                    await connection.ping()
                elif call == "pong":
                    await connection.pong()
                elif call == "keepalive":
                    core.send_keepalive()
                else:
                    await connection.aclose()
        if call != "close":
            assert await _messages(connection) == ["one", "two", "three"]
        assert connection.closed == OVER_QUOTA
        await connection.aclose()


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("queue", [0, math.inf])
async def test_E13_a_stream_that_takes_no_more(
    opener: Opener, is_read: bool, queue: float
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, message_queue_size=queue)
        error = OSError("the wire is cut")
        stream.before_send = failing(error)
        received: list[str | bytes] = []

        async def read() -> None:
            received.extend(await _messages(connection))

        if is_read:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
        await peer.stream.send(
            b"".join(peer.frame(TEXT, b"%d" % i) for i in range(20))
            + peer.frame(CLOSE, close_payload(1008, "over quota"))
        )
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("x")
        if not is_read:
            await read()
        await anyio.wait_all_tasks_blocked()
        assert received == [str(i) for i in range(20)]
        assert connection.closed == OVER_QUOTA
        if queue == math.inf:
            assert caught.value.reason == OVER_QUOTA
        await connection.aclose()


@pytest.mark.virtual_time
async def test_E13_a_stream_that_never_ends_is_not_read_for_ever(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.before_send = failing(OSError("the wire is cut"))

        async def receive(max_bytes: int = 65536) -> bytes:
            await anyio.lowlevel.checkpoint()
            return peer.frame(BINARY, bytes(60_000))

        stream.receive = receive  # type: ignore[method-assign]
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("x")
        assert caught.value.reason == CloseReason(1006, None)
        assert len(await _messages(connection)) < 40
        tasks.cancel_scope.cancel()


async def test_E13_a_tls_record_behind_close_notify(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    # Bytes behind a close_notify are never taken, and must not be asked for again and
    # again. What came before it in the same read is delivered.
    async with pair() as (below, theirs):
        ours = TlsTransport(below, client_tls, "127.0.0.1")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = server_tls.wrap_bio(incoming, outgoing, server_side=True)

        async def shake() -> None:
            done = False
            while not done:
                try:
                    peer.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
                theirs.sendall(outgoing.read())
                if not done:
                    await anyio.wait_readable(theirs)
                    incoming.write(theirs.recv(65536))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shake)
            await ours.handshake()
        peer.write(b"last words")
        with suppress(ssl.SSLWantReadError):
            peer.unwrap()
        theirs.sendall(outgoing.read() + b"no record at all")
        with anyio.fail_after(5):
            assert await ours.receive(65536) == b"last words"
            assert await ours.receive(65536) == b""


# -- a peer that leaves behind a full inbox ------------------------------------------


@pytest.mark.parametrize("how", ["fin", "close", "reset"])
@pytest.mark.parametrize("over", ["socket", "stream"])
async def test_E16_a_client_that_leaves_behind_a_full_inbox(
    how: str, over: str
) -> None:
    told = anyio.Event()
    received: list[str | bytes] = []

    async def handler(asked: WebSocketRequest) -> None:
        connection = await asked.accept()
        await connection.wait_closed()
        received.extend(await _messages(connection))
        told.set()

    async def leave(port: int) -> None:
        async with connected(port, handshake_request()) as peer:
            await peer.receive_head()
            await peer.stream.send(peer.frame(TEXT, b"x") * 20)
            if how == "close":
                await peer.send_close(1000)
            await anyio.sleep(0.3)
            if how == "reset":
                sock = peer.stream.extra(SocketAttribute.raw_socket)
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    options: dict[str, Any] = {
        "message_queue_size": 3,
        "ping_interval": 0.1,
        "ping_timeout": 0.1,
    }
    with anyio.fail_after(10):
        if over == "socket":
            async with serving_tcp(handler, max_connections=1, **options) as port:
                await leave(port)
                await told.wait()
                async with connected(port, handshake_request()) as peer:
                    assert await is_answered(peer)
        else:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            async with anyio.create_task_group() as tasks:

                async def serve(stream: ByteStream) -> None:
                    await handler(await wrap_server_stream(tasks, stream, **options))

                tasks.start_soon(listener.serve, serve)
                await leave(listener.extra(SocketAttribute.local_port))
                await told.wait()
                tasks.cancel_scope.cancel()
            await listener.aclose()
    if over == "socket" or received:
        assert received == ["x"] * 20


async def test_E16_a_living_client_is_not_judged() -> None:
    opened: list[WebSocketConnection] = []

    async def handler(asked: WebSocketRequest) -> None:
        opened.append(await asked.accept())
        await opened[0].wait_closed()

    async with (
        serving_tcp(
            handler, message_queue_size=3, ping_interval=0.1, ping_timeout=0.1
        ) as port,
        connected(port, handshake_request()) as peer,
    ):
        await peer.receive_head()
        await peer.stream.send(peer.frame(TEXT, b"x") * 20)
        await anyio.sleep(1)
        assert opened[0].closed is None
        assert not opened[0]._core.has_left(0.1)


# -- nothing that was sent waits --------------------------------------------------


async def test_F9_an_application_that_computes_between_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_max_stretch(monkeypatch, 0.001)
    # Each reply has left when send_message() returns, also those to pipelined requests.
    one, other = socket.socketpair()
    other.setblocking(False)
    with other:
        async with anyio.create_task_group() as tasks:
            connection = over_socket(one, tasks, is_client=False, disconnect_timeout=1)
            for i in range(6):  # progress reports
                await connection.send_message(str(i))
                assert take_frame(bytearray(other.recv(100))) == Frame(
                    TEXT, str(i).encode()
                )
                time.sleep(0.002)  # noqa: ASYNC251
            other.sendall(frame(TEXT, b"q", mask=b"1234") * 20)
            for i in range(20):
                assert await connection.get_message() == "q"
                time.sleep(0.002)  # noqa: ASYNC251
                await connection.send_message(str(i))
                assert take_frame(bytearray(other.recv(100))) == Frame(
                    TEXT, str(i).encode()
                )
            await connection._core.abort()


async def test_F11_a_cancelled_task_sends_no_more() -> None:
    async with linked_by_sockets() as (client, _):
        for _ in range(5):
            await client.send_message("before")
        sent = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            while True:
                await client.send_message("after")
                sent += 1
        assert scope.cancelled_caught
        assert sent == 0
