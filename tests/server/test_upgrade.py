"""WebSockets inside an HTTP server that somebody else wrote."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import h11
import pytest
from anyio.abc import ByteStream, SocketAttribute, TaskGroup
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    HandshakeError,
    WebSocketRequest,
    accept_upgrade,
    open_websocket_url,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.testing import ScriptedPeer, handshake_request, memory_stream_pair
from anyio_websocket.testing._handshakes import KEY

from ..support.frames import TEXT
from ..support.memory_servers import status_of
from ..support.streams import failing

HEADERS = [
    (b"host", b"example.org"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]
PARTS: dict[str, Any] = {"method": "GET", "target": "/chat?a", "headers": HEADERS}


async def echo(request: WebSocketRequest) -> None:
    async with await request.accept() as connection:
        async for message in connection:
            await connection.send_message(message)


class TaskServer:
    """A server of the kind of hypercorn and anycorn: a task reads, a protocol parses.

    When a client asks for another protocol, the task gives its stream away, and ends
    only when that is done.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._protocol = h11.Connection(h11.SERVER)
        self._served = 0

    async def run(self) -> None:
        """Serve a client, with as many requests as it sends."""
        async with self._stream, anyio.create_task_group() as tasks:
            while (asked := await self._next_request()) is not None:
                if any(name == b"upgrade" for name, _ in asked.headers):
                    await self._hand_over(tasks, asked)
                    return
                await self._respond(b"page %d" % self._served)

    async def _next_request(self) -> h11.Request | None:
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                try:
                    data = await self._stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    data = b""
                self._protocol.receive_data(data)
            elif isinstance(event, h11.Request):
                return event
            elif isinstance(event, h11.ConnectionClosed):
                return None

    async def _respond(self, body: bytes) -> None:
        self._served += 1
        fields = [("Content-Length", str(len(body)))]
        for event in (
            h11.Response(status_code=200, headers=fields),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            await self._stream.send(self._protocol.send(event) or b"")
        while self._protocol.their_state is not h11.DONE:
            self._protocol.next_event()
        self._protocol.start_next_cycle()

    async def _hand_over(self, tasks: TaskGroup, asked: h11.Request) -> None:
        try:
            request = await accept_upgrade(
                tasks,
                self._stream,
                method=asked.method,
                target=asked.target,
                headers=asked.headers,
                http_version=asked.http_version,
                trailing=self._protocol.trailing_data[0],
            )
        except HandshakeError:
            return
        await echo(request)


async def connected(port: int, tls: ssl.SSLContext | None) -> ByteStream:
    if tls is None:
        return await anyio.connect_tcp("localhost", port)
    return await anyio.connect_tcp(
        "localhost", port, ssl_context=tls, tls_standard_compatible=False
    )


@asynccontextmanager
async def http_server(tls: ssl.SSLContext | None) -> AsyncGenerator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    served: Any = listener
    if tls is not None:
        served = TLSListener(listener, tls, standard_compatible=False)

    async def serve(stream: ByteStream) -> None:
        await TaskServer(stream).run()

    async with served, anyio.create_task_group() as tasks:
        tasks.start_soon(served.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_inside_a_server_of_tasks(
    is_tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with anyio.fail_after(20):
        async with http_server(server_tls if is_tls else None) as port:
            tls = client_tls if is_tls else None
            url = f"{'wss' if is_tls else 'ws'}://localhost:{port}"
            async with open_websocket_url(f"{url}/chat", tls) as ws:
                for message in ("hello", b"x" * 100_000):
                    await ws.send_message(message)
                    assert await ws.get_message() == message
            assert ws.closed == CloseReason(1000, None)
            with pytest.raises(ConnectionRejected) as caught:
                async with open_websocket_url(url, tls, origin="http://evil.test"):
                    pass
            assert caught.value.status_code == 403
            # The same client asks for pages first, and sends frames with its request.
            async with await connected(port, tls) as stream:
                peer = ScriptedPeer(stream, is_client=True)
                for i in range(2):
                    await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert status_of(await peer.receive_head()) == 200
                    while b"page %d" % i not in peer.buffer:
                        peer.buffer += await stream.receive()
                    peer.buffer.clear()
                await stream.send(
                    handshake_request(host=b"localhost") + peer.frame(TEXT, b"1")
                )
                assert status_of(await peer.receive_head()) == 101
                assert (await peer.receive_frame()).payload == b"1"


@pytest.mark.virtual_time
async def test_what_the_request_says() -> None:
    ours, theirs = memory_stream_pair()
    early: Any = bytearray(ScriptedPeer(theirs, is_client=True).frame(TEXT, b"early"))
    async with anyio.create_task_group() as tasks:
        asked = await accept_upgrade(
            tasks,
            ours,
            method="GET",
            target="/chat?a",
            headers=[
                *((name.title().decode(), value.decode()) for name, value in HEADERS),
                ("Origin", "http://example.org"),
                ("Sec-WebSocket-Protocol", "x, y"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
                ("Cookie", "é"),
            ],
            trailing=early,
            compression=True,
            max_message_size=5,
        )
        assert not ours._outgoing.data
        assert asked.path == "/chat?a"
        assert (asked.host, asked.origin) == ("example.org", "http://example.org")
        assert asked.proposed_subprotocols == ("x", "y")
        assert asked.header("cookie") == "é"
        assert asked.headers[-1] == (b"cookie", b"\xe9")
        ws = await asked.accept(subprotocol="y")
        peer = ScriptedPeer(theirs, is_client=True)
        head = await peer.receive_head()
        assert status_of(head) == 101
        assert b"permessage-deflate" in head
        assert await ws.get_message() == "early"
        await peer.send_frame(TEXT, b"larger")
        with pytest.raises(ConnectionClosed):
            await ws.get_message()
        assert ws.closed is not None
        assert ws.closed.code == 1009
        await peer.receive_all()
        await theirs.aclose()


@pytest.mark.virtual_time
async def test_a_client_of_ours_in_memory() -> None:
    ours, theirs = memory_stream_pair()

    async def serve() -> None:
        await TaskServer(theirs).run()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        async with await wrap_client_stream(tasks, ours, "example.org", "/") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"


@pytest.mark.virtual_time
async def test_a_request_that_is_not_valid(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")
    for changes, status_code in (
        ({"http_version": "1.0"}, 505),
        ({"method": "POST"}, 405),
        ({"headers": [*HEADERS, ("Origin", "http://evil.test")]}, 403),
    ):
        ours, theirs = memory_stream_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(theirs.send_eof)
            with pytest.raises(HandshakeError, match=f"with status {status_code}"):
                await accept_upgrade(tasks, ours, **(PARTS | changes))
            assert ours.closed
            answer = await ScriptedPeer(theirs, is_client=True).receive_all()
            assert status_of(answer) == status_code
        assert f"rejected with status {status_code}: " in caplog.text


@pytest.mark.virtual_time
async def test_a_client_that_does_not_take_the_response() -> None:
    ours, _ = memory_stream_pair(capacity=10)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ConnectionTimeout, match="within 3 seconds"):
            await accept_upgrade(
                tasks, ours, **(PARTS | {"method": "POST"}), connect_timeout=3
            )
    assert ours.closed


@pytest.mark.virtual_time
async def test_mistakes_leave_the_stream_alone() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        for wrong, text in (
            ({"headers": [1]}, "headers must be like"),
            ({"trailing": "frames"}, "trailing must be bytes, not str"),
            ({"method": None}, "method must be bytes or str"),
            ({"handler_errors": "log"}, "unexpected keyword argument"),
            ({"connect_timeout": "1"}, "connect_timeout must be a number"),
        ):
            arguments: Any = PARTS | wrong
            with pytest.raises(TypeError, match=text):
                await accept_upgrade(tasks, ours, **arguments)
        nothing: Any = None
        with pytest.raises(TypeError, match="nursery"):
            await accept_upgrade(nothing, ours, **PARTS)
        with pytest.raises(TypeError, match="stream must be"):
            await accept_upgrade(tasks, nothing, **PARTS)
    ended = tasks
    with pytest.raises(RuntimeError, match="takes no tasks"):
        await accept_upgrade(ended, ours, **PARTS)
    assert not ours.closed
    assert not ours._outgoing.data
    await theirs.aclose()


@pytest.mark.virtual_time
async def test_a_cancelled_call_closes_the_stream() -> None:
    for call in (
        partial(accept_upgrade, **PARTS),
        partial(wrap_server_stream, initial_data=handshake_request()),
    ):
        ours, _ = memory_stream_pair()
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await call(tasks, ours)
            assert scope.cancelled_caught
        assert ours.closed


@pytest.mark.virtual_time
async def test_what_was_read_before() -> None:
    frame = ScriptedPeer(memory_stream_pair()[0], is_client=True).frame(TEXT, b"early")
    whole = handshake_request(b"X: y") + frame
    for size in (0, 1, len(whole) - len(frame) - 1, len(whole) - 3, len(whole)):
        ours, theirs = memory_stream_pair()
        if size >= len(whole) - len(frame):
            ours.before_receive = failing(AssertionError("there is no need to read"))
        async with anyio.create_task_group() as tasks:
            await theirs.send(whole[size:])
            asked = await wrap_server_stream(
                tasks,
                ours,
                initial_data=memoryview(whole)[:size],  # type: ignore[arg-type]
            )
            ours.before_receive = None
            assert asked.header("x") == "y"
            async with await asked.accept() as ws:
                assert await ws.get_message() == "early"
                tasks.start_soon(ScriptedPeer(theirs, is_client=True).send_close, 1000)
            await theirs.aclose()
    async with anyio.create_task_group() as tasks:
        ours, theirs = memory_stream_pair()
        await theirs.send_eof()
        with pytest.raises(HandshakeError, match="status 400"):
            await wrap_server_stream(tasks, ours, initial_data=b"nonsense\r\n\r\n")
        text: Any = "GET"
        with pytest.raises(TypeError, match="initial_data must be bytes, not str"):
            await wrap_server_stream(tasks, ours, initial_data=text)
