"""The server's handshake: requests that are late, cut off or wrong."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
import tracemalloc
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, UNIXSocketStream
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    ConnectionRejected,
    HandshakeError,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    serve_websocket,
    wrap_server_stream,
)
from anyio_websocket._server import _handshake
from anyio_websocket.testing import (
    MemoryListener,
    MemoryStream,
    handshake_request,
    memory_stream_pair,
)

from ..support.memory_servers import raw_client, serving, status_of
from ..support.servers import echo
from ..support.streams import failing


@pytest.mark.virtual_time
async def test_A1_slow_requests_are_dropped_at_the_deadline() -> None:
    async def never(request: WebSocketRequest) -> None:
        raise AssertionError

    async with serving(never, handler_errors="raise") as (listener, tasks):

        async def drip(stream: MemoryStream, seconds: float) -> None:
            with pytest.raises(anyio.BrokenResourceError):
                for byte in handshake_request():
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


@pytest.mark.measured
@pytest.mark.virtual_time
@pytest.mark.parametrize("size", [100, 4000, 65_535])
async def test_A1_A17_memory_of_clients_that_say_nothing(
    anyio_backend_name: str, size: int
) -> None:
    if anyio_backend_name == "asyncio":  # debug mode keeps a traceback for each task
        asyncio.get_running_loop().set_debug(False)
    count = 100 if size < 10_000 else 20
    async with serving(echo, connect_timeout=1000) as (listener, _):
        clients = [listener.connect() for _ in range(count)]
        await anyio.wait_all_tasks_blocked()
        tracemalloc.start()
        try:
            clients += [listener.connect() for _ in range(count)]
            for client in clients[count:]:
                head = handshake_request(*[b"X: " + b"x" * 600] * 120)
                await client.send(head[:size])
            await anyio.wait_all_tasks_blocked()
            # With both ends of the streams, and the tasks.
            kept = tracemalloc.get_traced_memory()[0] / count
            assert kept < size * 9 / 8 + 32 * 1024
        finally:
            tracemalloc.stop()
        for client in clients:
            await client.aclose()


async def test_A1_stalled_tls_is_dropped_at_the_deadline(
    server_tls: ssl.SSLContext,
) -> None:
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
async def test_A2_a_client_that_leaves_is_forgotten_at_once(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")
    async with serving(echo) as (listener, _):
        for data in (b"", handshake_request()[:50]):
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
        (handshake_request(line=b"GET /" + b"x" * 17_000 + b" HTTP/1.1"), 414),
        (handshake_request(b"X: " + b"x" * 17_000), 431),
        (b"\x16\x03\x01", 400),
        (handshake_request(line=b"POST / HTTP/1.1", connection=b"x"), 405),
        (handshake_request(line=b"GET / HTTP/1.0"), 505),
        (handshake_request(version=b"8"), 426),
        (handshake_request(b"Content-Length: 100000") + b"x" * 50_000, 400),
        (handshake_request(host="é".encode()), 400),
        (handshake_request(line=b"GET * HTTP/1.1"), 400),
    ],
)
async def test_A_bad_requests_get_a_response(
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
async def test_A21_a_warning_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")
    data = handshake_request(b"Origin: https://example.org", host=b"127.0.0.1:8000")

    async def ask(listener: MemoryListener) -> None:
        peer = await raw_client(listener, data)
        answer = await peer.receive_all()
        assert status_of(answer) == 403
        for text in (b"'https://example.org'", b"'127.0.0.1:8000'", b"origins="):
            assert text in answer
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        texts.add(caplog.records[-1].getMessage().partition(": ")[2])

    texts: set[str] = set()
    async with serving(echo) as (listener, _):
        for seconds in (1, 1, 57, 2, 59, 2):
            await ask(listener)
            await anyio.sleep(seconds)
    warning, info = logging.WARNING, logging.INFO
    assert [record.levelno for record in caplog.records] == [
        *(warning, info, info, info, warning, info)
    ]
    (text,) = texts
    for part in ("403", "'https://example.org'", "'127.0.0.1:8000'", "origins="):
        assert part in text


@pytest.mark.virtual_time
async def test_A21_a_warning_for_streams_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_handshake._of_single_streams, "_next", 0.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            ours, theirs = memory_stream_pair()
            await theirs.send(handshake_request(b"Origin: https://example.org"))
            with pytest.raises(HandshakeError, match=r"'https://example\.org'"):
                await wrap_server_stream(tasks, ours, origins=["https://other.example"])
            await theirs.aclose()
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "'https://example.org'" in record.getMessage()


@pytest.mark.parametrize("how", ["ours", "listener", "stream"])
async def test_A18_http_pages_over_our_tls(
    how: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class ServesByItself(TLSListener):
        """A subclass does TLS its own way."""

    listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    kind = ServesByItself if how == "listener" else TLSListener
    listener = kind(listener, server_tls, standard_compatible=False)
    async with anyio.create_task_group() as tasks:
        if how == "stream":

            async def handle(stream: Any) -> None:
                with suppress(HandshakeError):
                    asked = await wrap_server_stream(tasks, stream)
                    await asked.accept()

            tasks.start_soon(listener.serve, handle)
        else:
            server = WebSocketServer(echo, [listener])
            await tasks.start(server.run)
        connect = partial(open_websocket, "localhost", port, "/", use_ssl=client_tls)
        async with connect(extra_headers=[("Origin", "https://localhost:1")]):
            pass
        with pytest.raises(ConnectionRejected) as caught:
            async with connect(extra_headers=[("Origin", "http://localhost")]):
                pass
        assert caught.value.status_code == 403
        tasks.cancel_scope.cancel()
    await listener.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
async def test_G15_the_path_of_a_unix_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")

    async def handler(request: WebSocketRequest) -> None:
        raise RuntimeError("oops")

    listener = await anyio.create_unix_listener(tmp_path / "server")
    async with anyio.create_task_group() as tasks:
        await tasks.start(WebSocketServer(handler, [listener]).run)
        for name, data in (
            ("a", b""),
            ("b", b"nonsense\r\n\r\n"),
            ("c", handshake_request()),
        ):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(tmp_path / f"{name}\nERROR forged \x1b[31m\u202e"))
                sock.connect(str(tmp_path / "server"))
                async with await UNIXSocketStream.from_socket(sock) as stream:
                    await stream.send(data)
                    await stream.send_eof()
                    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                        while True:
                            await stream.receive()
        tasks.cancel_scope.cancel()
    texts = [record.getMessage() for record in caplog.records]
    assert all(text.isprintable() for text in texts)
    for name in "abc":
        assert any(rf"{name}\nERROR forged \x1b[31m\u202e" in text for text in texts)


@pytest.mark.virtual_time
async def test_A7_a_response_is_not_lost_to_a_reset() -> None:
    # The client goes on sending the body; the answer must reach it all the same, and
    # the server must not read for ever.
    async with serving(echo) as (listener, _):
        peer = await raw_client(listener, handshake_request(b"Content-Length: 9999"))
        started = anyio.current_time()
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await peer.stream.send(b"x" * 100)
                await anyio.sleep(0.1)
        assert anyio.current_time() - started < 3


@pytest.mark.virtual_time
async def test_A7_a_client_that_does_not_wait_for_the_response() -> None:
    async with serving(echo) as (listener, _):
        for hook in ("before_send", "before_eof", "before_close"):
            server_end, client_end = listener.pair()
            setattr(server_end, hook, failing(OSError("the wire is cut")))
            await client_end.send(b"nonsense\r\n\r\n")
            await client_end.send_eof()
            with pytest.raises(anyio.EndOfStream):
                while True:
                    await client_end.receive()
            await client_end.aclose()


async def test_A4_noise_over_tls_gets_a_response(
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
