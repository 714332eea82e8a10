"""The server's door: requests, handlers, listeners, and the end of a server."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import ssl
import sys
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, TaskGroup
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    Endpoint,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
    wrap_server_stream,
)

from .support.frames import CLOSE, PING, TEXT, Frame, close_payload
from .support.peer import RawPeer, request
from .support.streams import MemoryListener, MemoryStream, failing, hang, stream_pair
from .test_client import echo

Handler = Callable[[WebSocketRequest], Awaitable[object]]


@asynccontextmanager
async def serving(
    handler: Handler, **options: Any
) -> AsyncGenerator[tuple[MemoryListener, TaskGroup]]:
    """Serve in memory while the block lasts; end it by cancelling."""
    listener = MemoryListener(options.pop("capacity", 65536))
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(handler, [listener], **options)
        await tasks.start(server.run)
        yield listener, tasks
        tasks.cancel_scope.cancel()
    assert listener.closed


async def raw_client(listener: MemoryListener, data: bytes | None = None) -> RawPeer:
    """Connect, and send a request or what else a test wants."""
    peer = RawPeer(listener.connect(), masks=True)
    await peer.stream.send(request() if data is None else data)
    return peer


async def accepted_client(listener: MemoryListener) -> RawPeer:
    peer = await raw_client(listener)
    assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
    return peer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# -- requests ------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_A1_nothing_or_drips() -> None:
    async def never(request: WebSocketRequest) -> None:
        raise AssertionError

    async with serving(never, handler_errors="raise") as (listener, tasks):

        async def drip(stream: MemoryStream, seconds: float) -> None:
            with pytest.raises(anyio.BrokenResourceError):
                for byte in request():
                    await stream.send(bytes([byte]))
                    await anyio.sleep(seconds)

        started = anyio.current_time()
        dripping, nothing = listener.connect(), listener.connect()
        tasks.start_soon(drip, dripping, 1)
        with pytest.raises(anyio.EndOfStream):
            await nothing.receive()
        assert anyio.current_time() - started == pytest.approx(10, abs=0.1)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await dripping.receive()
        assert anyio.current_time() - started == pytest.approx(10, abs=0.1)


@pytest.mark.virtual_time
async def test_A1_memory_of_clients_that_say_nothing(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":  # debug mode keeps a traceback for each task
        asyncio.get_running_loop().set_debug(False)
    count = 100
    async with serving(echo, connect_timeout=1000) as (listener, _):
        clients = [listener.connect() for _ in range(count)]
        await anyio.wait_all_tasks_blocked()
        tracemalloc.start()
        try:
            clients += [listener.connect() for _ in range(count)]
            for client in clients[count:]:
                await client.send(request()[:-2] + b"X: " + b"x" * 4000)
            await anyio.wait_all_tasks_blocked()
            # With both ends of the streams, and the tasks.
            assert tracemalloc.get_traced_memory()[0] / count < 32 * 1024
        finally:
            tracemalloc.stop()
        for client in clients:
            await client.aclose()


async def test_A1_stalled_tls(server_tls: ssl.SSLContext) -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(
                serve_websocket, echo, "127.0.0.1", 0, server_tls, connect_timeout=0.2
            )
        )
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            with pytest.raises(anyio.EndOfStream), anyio.fail_after(5):
                await stream.receive()
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["eof", "reset", "half"])
async def test_A2_client_leaves(how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")
    async with serving(echo) as (listener, _):
        for data in (b"", request()[:50]):
            started = anyio.current_time()
            peer = await raw_client(listener, data)
            await anyio.wait_all_tasks_blocked()
            if how == "reset":
                peer.stream.reset()  # type: ignore[attr-defined]
            elif how == "eof":
                await peer.stream.aclose()
            else:
                await peer.stream.send_eof()
                assert await peer.receive_all() == b""
            await anyio.wait_all_tasks_blocked()
            assert anyio.current_time() - started < 1  # not the 10 of the time limit
        assert [record.levelno for record in caplog.records] == [logging.DEBUG] * 2


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("data", "status_code"),
    [
        (request(line=b"GET /" + b"x" * 9000 + b" HTTP/1.1"), 414),
        (request(b"X: " + b"x" * 9000), 431),
        (b"\x16\x03\x01", 400),
        (request(line=b"POST / HTTP/1.1", connection=b"x"), 405),
        (request(line=b"GET / HTTP/1.0"), 505),
        (request(version=b"8"), 426),
        (request(b"Content-Length: 100000") + b"x" * 50_000, 400),
        (request(host="é".encode()), 400),
        (request(b"Origin: http://evil.example"), 403),
        (request(line=b"GET * HTTP/1.1"), 400),
    ],
)
async def test_A_bad_requests_are_answered(
    data: bytes, status_code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")

    async def never(request: WebSocketRequest) -> None:
        raise AssertionError

    async with serving(never, handler_errors="raise") as (listener, _):
        peer = await raw_client(listener, data)
        answer = await peer.receive_all()
        assert status_of(answer) == status_code
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        assert b"content-length: %d" % len(body) in head.lower()
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        (record,) = caplog.records
        assert record.levelno == logging.INFO
        assert str(status_code) in record.getMessage()


@pytest.mark.virtual_time
async def test_A7_an_answer_is_not_lost_to_a_reset() -> None:
    # The client goes on sending the body; the answer must reach it all the same, and
    # the server must not read for ever.
    async with serving(echo) as (listener, _):
        peer = await raw_client(listener, request(b"Content-Length: 9999"))
        started = anyio.current_time()
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await peer.stream.send(b"x" * 100)
                await anyio.sleep(0.1)
        assert anyio.current_time() - started < 3


@pytest.mark.virtual_time
async def test_A7_a_client_that_does_not_wait_for_the_answer() -> None:
    async with serving(echo) as (listener, _):
        for hook in ("before_send", "before_eof", "before_close"):
            server_end, client_end = stream_pair()
            setattr(server_end, hook, failing(OSError("the wire is cut")))
            listener._send.send_nowait(server_end)
            await client_end.send(b"nonsense\r\n\r\n")
            await client_end.send_eof()
            with pytest.raises(anyio.EndOfStream):
                while True:
                    await client_end.receive()
            await client_end.aclose()


async def test_A4_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, "127.0.0.1", 0, server_tls)
        async with await anyio.connect_tcp(
            "127.0.0.1",
            server.port,
            ssl_context=client_tls,
            tls_standard_compatible=False,
        ) as stream:
            await stream.send(b"nonsense\r\n\r\n")
            answer = b""
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    answer += await stream.receive()
            assert status_of(answer) == 400
            tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_A12_errors_of_the_application() -> None:
    async def handler(request: WebSocketRequest) -> None:
        for wrong in ({"subprotocol": "c"}, {"extra_headers": [("X", "a\r\nb")]}):
            with pytest.raises(ValueError):  # noqa: PT011
                await request.accept(**wrong)
        for status_code in (101, 199):
            with pytest.raises(ValueError, match=str(status_code)):
                await request.reject(status_code)
        with pytest.raises(ValueError, match="no body"):
            await request.reject(204, body=b"x")
        await request.accept(subprotocol="c")  # out of the handler

    async with serving(handler) as (listener, _):
        peer = await raw_client(listener)
        assert status_of(await peer.receive_all()) == 500


@pytest.mark.virtual_time
async def test_A13_frames_before_the_answer() -> None:
    got: list[str | bytes] = []
    may_accept = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await may_accept.wait()
        ws = await request.accept()
        got.extend([message async for message in ws])

    async with serving(handler, capacity=1000) as (listener, tasks):
        peer = RawPeer(listener.connect(), masks=True)
        early = peer.frame(TEXT, b"early")
        await peer.stream.send(request() + early[:4])

        async def send() -> None:
            await peer.stream.send(early[4:])
            for i in range(100):
                await peer.send(TEXT, b"%d" % i + b"." * 100)
            await peer.send_close(1000)

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        may_accept.set()
        await peer.receive_head()
        await peer.receive_frames()
    assert got == ["early", *(f"{i}" + "." * 100 for i in range(100))]


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["returns", "raises", "cancelled"])
async def test_A14_unanswered(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if how == "raises":
            raise RuntimeError("oops")
        if how == "cancelled":
            await anyio.sleep_forever()

    async with serving(handler) as (listener, tasks):
        peer = await raw_client(listener)
        await anyio.wait_all_tasks_blocked()
        if how == "cancelled":
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert status_of(await peer.receive_all()) == 503
                await peer.stream.aclose()
        else:
            assert status_of(await peer.receive_all()) == 500
    assert ("oops" in caplog.text) == (how == "raises")


@pytest.mark.virtual_time
async def test_A14_client_leaves_while_the_handler_decides() -> None:
    outcome: list[BaseException] = []
    decide = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await decide.wait()
        try:
            ws = await request.accept()
            await ws.get_message()
        except ConnectionClosed as exc:
            outcome.append(exc)
            raise

    async with serving(handler, handler_errors="raise") as (listener, _):
        reset = await raw_client(listener)
        left = await raw_client(listener)
        await anyio.wait_all_tasks_blocked()
        reset.stream.reset()  # type: ignore[attr-defined]
        await left.stream.send_eof()
        decide.set()
        await left.receive_all()
        await anyio.wait_all_tasks_blocked()
    reasons = [exc.reason for exc in outcome if isinstance(exc, ConnectionClosed)]
    assert reasons == [CloseReason(1006, None)] * 2
    assert any(isinstance(exc.__cause__, anyio.BrokenResourceError) for exc in outcome)


@pytest.mark.virtual_time
async def test_A14_client_does_not_read_the_answer() -> None:
    async def accepts(request: WebSocketRequest) -> None:
        await request.accept()

    async def rejects(request: WebSocketRequest) -> None:
        await request.reject(400)

    for handler in (accepts, rejects):
        async with serving(handler, capacity=200, handler_errors="raise") as (
            listener,
            tasks,
        ):
            peer = RawPeer(listener.connect(), masks=True)
            # The pipe towards the client is full before the answer.
            peer.stream._incoming.data += bytes(200)  # type: ignore[attr-defined]
            tasks.start_soon(peer.stream.send, request())
            started = anyio.current_time()
            while not peer.stream._outgoing.deaf:  # type: ignore[attr-defined]
                await anyio.sleep(0.5)
            assert anyio.current_time() - started == pytest.approx(10, abs=1)


@pytest.mark.virtual_time
async def test_cancelled_while_accepting() -> None:
    ours, theirs = stream_pair(capacity=100)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(theirs.send, request())
        asked = await wrap_server_stream(tasks, ours)
        with anyio.move_on_after(1) as scope:
            await asked.accept()
        assert scope.cancelled_caught
        assert ours.closed


@pytest.mark.virtual_time
async def test_answering_twice() -> None:
    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/accept":
            await request.accept()
        else:
            await request.reject(400)
        for again in (request.accept, partial(request.reject, 400)):
            with pytest.raises(RuntimeError, match="answered already"):
                await again()

    async with serving(handler, handler_errors="raise") as (listener, _):
        for path in (b"/accept", b"/reject"):
            peer = await raw_client(
                listener, request(line=b"GET " + path + b" HTTP/1.1")
            )
            head = await peer.receive_head()
            assert status_of(head) == (101 if path == b"/accept" else 400)
            await peer.stream.aclose()
            await anyio.wait_all_tasks_blocked()


async def test_reject() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(
            401, extra_headers=[("WWW-Authenticate", "Basic")], body=b"who are you?"
        )

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, handler, "127.0.0.1", 0, None)
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False):
                pass
        assert caught.value.status_code == 401
        assert (b"www-authenticate", b"Basic") in caught.value.headers
        assert caught.value.body == b"who are you?"
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_what_a_request_says() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        assert asked.path == "/a%20b?c"
        assert asked.proposed_subprotocols == ("x", "y")
        assert (b"cookie", b"z") in asked.headers
        assert "MemoryStream" in str(asked.local)
        assert "MemoryStream" in str(asked.remote)
        asked.headers.clear()
        assert asked.headers  # a list of the caller's own
        ws = await asked.accept(subprotocol="y")
        assert (ws.path, ws.subprotocol) == (asked.path, "y")

    async with serving(handler, handler_errors="raise") as (listener, _):
        peer = await raw_client(
            listener,
            request(
                b"Sec-WebSocket-Protocol: x, y",
                b"Cookie: z",
                line=b"GET /a%20b?c HTTP/1.1",
            ),
        )
        assert b"sec-websocket-protocol: y" in (await peer.receive_head()).lower()
        assert await peer.receive() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        assert await peer.receive_all() == b""
        await peer.stream.aclose()


# -- handlers ------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("how", "code"), [("returns", 1000), ("raises", 1011), ("group", 1011)]
)
async def test_E12_the_end_of_a_handler(
    how: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        if how == "raises":
            raise RuntimeError("oops")
        if how == "group":
            raise ExceptionGroup("oops", [RuntimeError("a"), ConnectionClosed(None)])

    async with serving(handler) as (listener, _):
        for _ in range(2):  # and the server lives
            peer = await accepted_client(listener)
            assert await peer.receive() == Frame(CLOSE, close_payload(code))
            await peer.send_close(code)
            assert await peer.receive_all() == b""
            await peer.stream.aclose()
    assert ("Traceback" in caplog.text) == (how != "returns")
    assert ("oops" in caplog.text) == (how != "returns")


@pytest.mark.virtual_time
@pytest.mark.parametrize("group", [False, True])
async def test_E12_its_own_connection_closed_is_quiet(
    group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        if not group:
            await ws.get_message()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ws.get_message)
            tasks.start_soon(ws.ping)

    async with serving(handler) as (listener, _):
        peer = await accepted_client(listener)
        if group:
            assert (await peer.receive()).opcode == PING
        await peer.send_close(4000, "why")
        assert await peer.receive() == Frame(CLOSE, close_payload(4000, "why"))
        await peer.receive_all()
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
    assert not caplog.records


@pytest.mark.virtual_time
async def test_E12_somebody_elses_connection_closed_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        raise ConnectionClosed(CloseReason(1000, None))

    async with serving(handler) as (listener, _):
        peer = await accepted_client(listener)
        assert await peer.receive() == Frame(CLOSE, close_payload(1011))
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
    assert "ConnectionClosed" in caplog.text


@pytest.mark.virtual_time
@pytest.mark.parametrize("answered", [False, True])
async def test_handler_errors_raise(answered: bool) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if answered:
            await request.accept()
        if request.path == "/bad":
            raise RuntimeError("oops")
        await anyio.sleep_forever()

    peers: list[RawPeer] = []
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="oops"), flatten_subgroups=True
    ):
        async with serving(
            handler, handler_errors="raise", disconnect_timeout=1, connect_timeout=1
        ) as (listener, _):
            peers.append(await raw_client(listener))
            await anyio.wait_all_tasks_blocked()
            peers.append(await raw_client(listener, request(line=b"GET /bad HTTP/1.1")))
            await anyio.sleep_forever()
    good, bad = peers
    if answered:
        for peer, code in ((good, 1001), (bad, 1011)):
            await peer.receive_head()
            assert await peer.receive() == Frame(CLOSE, close_payload(code))
    else:
        assert status_of(await good.receive_all()) == 503
        assert status_of(await bad.receive_all()) == 500


async def test_G2_others_are_unaffected() -> None:
    # A stream that raises what no stream should ends its own connection only.
    async with serving(echo) as (listener, _):
        good = await accepted_client(listener)
        for hook in ("before_receive", "before_send"):
            server_end, client_end = stream_pair()
            setattr(server_end, hook, failing(RuntimeError("no stream does this")))
            listener._send.send_nowait(server_end)
            await client_end.send(request())
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await client_end.receive()
        await good.send(TEXT, b"still here?")
        assert await good.receive() == Frame(TEXT, b"still here?")
        await good.stream.aclose()


# -- the end of a server -------------------------------------------------------


@pytest.mark.virtual_time
async def test_E11_every_client_gets_1001() -> None:
    over: list[str] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            if request.path == "/reads":
                await ws.get_message()
            else:
                await anyio.sleep_forever()
        finally:
            over.append(request.path)

    peers: list[RawPeer] = []
    started = 0.0
    async with serving(handler, disconnect_timeout=3) as (listener, tasks):
        for path in (b"/reads", b"/sleeps", b"/rude"):
            data = request(line=b"GET " + path + b" HTTP/1.1")
            peers.append(await raw_client(listener, data))
            await peers[-1].receive_head()
        pending = await raw_client(listener, b"GET /")
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for peer in peers:
                assert await peer.receive() == Frame(CLOSE, close_payload(1001))
            for peer in peers[:2]:
                await peer.send_close(1001)
                assert await peer.receive_all() == b""
                await peer.stream.aclose()
            answer = await pending.receive_all()
            assert status_of(answer) == 503
            assert b"\r\nconnection: close\r\n" in answer.lower()
            await pending.stream.aclose()
            assert anyio.current_time() - started < 1
    assert 2.9 < anyio.current_time() - started < 3.5
    assert sorted(over) == ["/reads", "/rude", "/sleeps"]


@pytest.mark.virtual_time
async def test_handler_nursery_outlives_the_server() -> None:
    async with anyio.create_task_group() as handlers:
        async with serving(echo, handler_nursery=handlers) as (listener, _):
            peer = await accepted_client(listener)
            other = await accepted_client(listener)
            undecided = await raw_client(listener, b"GET /")
            await anyio.wait_all_tasks_blocked()
        # The server is gone, its handlers are not.
        await peer.send(TEXT, b"still here?")
        assert await peer.receive() == Frame(TEXT, b"still here?")
        await other.send_close(1000)
        assert (await other.receive()).opcode == CLOSE
        await other.stream.aclose()
        await undecided.stream.send(request()[5:])
        await undecided.receive_head()
        handlers.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for last in (peer, undecided):
                assert await last.receive() == Frame(CLOSE, close_payload(1001))
                await last.stream.aclose()


@pytest.mark.virtual_time
async def test_handler_nursery_ends_with_the_last_handler() -> None:
    async with anyio.create_task_group() as handlers:
        async with serving(echo, handler_nursery=handlers) as (listener, _):
            peer = await accepted_client(listener)
        await peer.send_close(1000)
        await peer.receive()
        await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_cancelled_handler_nursery_takes_no_new_clients() -> None:
    listener = MemoryListener()
    late: list[MemoryStream] = []
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="not active"), flatten_subgroups=True
    ):
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as handlers:
                server = WebSocketServer(echo, [listener], handler_nursery=handlers)
                await tasks.start(server.run)
                peer = await accepted_client(listener)

                async def leave(peer: RawPeer = peer) -> None:
                    assert (await peer.receive()).opcode == CLOSE
                    late.append(listener.connect())
                    await anyio.sleep(1)
                    await peer.stream.aclose()

                tasks.start_soon(leave)
                handlers.cancel_scope.cancel()
            # The server goes on, but has nowhere to put a client.
            late.append(listener.connect())
            await anyio.sleep_forever()
    assert listener.closed
    told, dropped = [RawPeer(stream, masks=True) for stream in late]
    assert status_of(await told.receive_all()) == 503
    assert await dropped.receive_all() == b""


@pytest.mark.virtual_time
async def test_closing_the_listener_ends_the_server() -> None:
    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        await listener.aclose()
        await peer.send(TEXT, b"still here?")
        assert await peer.receive() == Frame(TEXT, b"still here?")
        await peer.send_close(1000)
        await peer.receive()
        await peer.stream.aclose()


# -- listeners -----------------------------------------------------------------


def test_no_listeners() -> None:
    with pytest.raises(ValueError, match="Listeners must contain at least one item"):
        WebSocketServer(echo, [])


def test_settings() -> None:
    listeners = [object.__new__(MemoryListener)]
    with pytest.raises(TypeError, match="accept"):
        WebSocketServer(echo, [object()])
    with pytest.raises(ValueError, match="handler_errors"):
        WebSocketServer(echo, listeners, handler_errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no origin"):
        WebSocketServer(echo, listeners, origins=["example.org"])
    for option in ("max_message_size", "connect_timeout", "disconnect_timeout"):
        with pytest.raises(ValueError, match=option):
            WebSocketServer(echo, listeners, **{option: math.nan})  # type: ignore[arg-type]


async def test_settings_leave_no_port_open() -> None:
    with pytest.raises(ValueError, match="max_message_size"):
        await serve_websocket(echo, "127.0.0.1", 0, None, max_message_size=0)


async def test_several_listeners(server_tls: ssl.SSLContext) -> None:
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    tls = TLSListener(
        await anyio.create_tcp_listener(local_host="127.0.0.1"), server_tls
    )
    memory = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [plain, tls, memory])
        await tasks.start(server.run)
        one, two, three = server.listeners
        assert isinstance(one, Endpoint)
        assert isinstance(two, Endpoint)
        assert (one.is_ssl, two.is_ssl) == (False, True)
        assert three == repr(memory)
        with pytest.raises(RuntimeError, match="several"):
            _ = server.port
        async with open_websocket_url(one.url) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()


async def test_port() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener:
        assert WebSocketServer(echo, [listener]).port == port
    async with MemoryListener() as memory:
        with pytest.raises(RuntimeError, match="has no port"):
            _ = WebSocketServer(echo, [memory]).port


async def test_all_interfaces_have_one_port() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, None, 0, None)
        assert {e.port for e in server.listeners} == {server.port}
        async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = await anyio.create_unix_listener(path)
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        (endpoint,) = server.listeners
        assert "Listener" in str(endpoint)
        stream = await anyio.connect_unix(path)
        ws = await wrap_client_stream(tasks, stream, "localhost", "/")
        assert ws.remote == str(path)
        await ws.send_message("a")
        assert await ws.get_message() == "a"
        await ws.aclose()
        tasks.cancel_scope.cancel()


async def test_a_listener_that_serves_by_itself(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class OwnTLSListener(TLSListener):
        """A subclass has its own ideas of the TLS handshake, which are kept."""

    listener = OwnTLSListener(
        await anyio.create_tcp_listener(local_host="127.0.0.1"), server_tls
    )
    port = listener.listener.extra(SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        await tasks.start(server.run)
        assert "OwnTLSListener" in str(server.listeners[0])
        async with open_websocket_url(f"wss://127.0.0.1:{port}", client_tls) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        tasks.cancel_scope.cancel()


class FailingListener(MemoryListener):
    """Raises before it accepts."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self.errors = errors

    async def accept(self) -> ByteStream:
        if self.errors:
            raise self.errors.pop(0)
        return await super().accept()


def wrapped(error: OSError) -> anyio.BrokenResourceError:
    broken = anyio.BrokenResourceError()
    broken.__cause__ = error
    return broken


def error_of(name: str) -> OSError:
    number: int = getattr(errno, name)
    return OSError(number, os.strerror(number))


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
@pytest.mark.parametrize("wrap", [lambda error: error, wrapped])
async def test_G1_errors_that_pass(
    name: str, wrap: Callable[[OSError], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    listener = FailingListener([wrap(error_of(name)) for _ in range(25)])
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener])
        started = anyio.current_time()
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        assert anyio.current_time() - started == pytest.approx(2.5, abs=0.1)
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    said = [r.message for r in caplog.records if r.name == "anyio_websocket"]
    assert len(said) == 3  # one for each second
    assert all(os.strerror(getattr(errno, name)) in message for message in said)


@pytest.mark.virtual_time
async def test_G1_a_client_that_is_gone_already(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = FailingListener([error_of("ECONNABORTED"), error_of("EPROTO")])
    async with anyio.create_task_group() as tasks:
        await tasks.start(WebSocketServer(echo, [listener]).run)
        peer = await accepted_client(listener)
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()
    # Nobody has to do anything about it.
    assert not [r for r in caplog.records if r.name == "anyio_websocket"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error",
    [OSError(errno.EBADF, "bad"), wrapped(OSError(errno.EBADF, "bad")), KeyError()],
)
async def test_G1_errors_that_do_not_pass(error: Exception) -> None:
    listener = FailingListener([error])
    with pytest.RaisesGroup(type(error), flatten_subgroups=True):
        await WebSocketServer(echo, [listener]).run()
    assert listener.closed


# -- streams of users ----------------------------------------------------------


@pytest.mark.virtual_time
async def test_wrap_server_stream() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        await theirs.send(request(b"Origin: https://other.example"))
        asked = await wrap_server_stream(
            tasks, ours, 1, 100, None, origins=["https://other.example"]
        )
        ws = await asked.accept()
        peer = RawPeer(theirs, masks=True)
        await peer.receive_head()
        await peer.send(TEXT, b"x" * 101)
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
            ours, theirs = stream_pair()
            await theirs.send(data)
            with pytest.raises(HandshakeError) as caught:
                await wrap_server_stream(tasks, ours, connect_timeout=3)
            assert type(caught.value) is error
            assert ours.closed
        ours, _ = stream_pair()
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
