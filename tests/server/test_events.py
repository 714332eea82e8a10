"""What becomes of a server's clients, as its application is told."""

from __future__ import annotations

import logging
import ssl
from typing import Any, cast

import anyio
import pytest
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    ConnectionTimeout,
    HandshakeError,
    WebSocketEvent,
    WebSocketRequest,
    WebSocketServer,
    accept_upgrade,
    wrap_server_stream,
)
from anyio_websocket.testing import (
    MemoryListener,
    handshake_request,
    memory_stream_pair,
)

from ..support.memory_servers import accepted_client, raw_client, serving
from ..support.streams import hang

pytestmark = pytest.mark.virtual_time


def kinds(events: list[WebSocketEvent]) -> list[str]:
    return [event.kind for event in events]


async def test_requests_that_are_rejected() -> None:
    events: list[WebSocketEvent] = []

    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/403":
            await request.reject(403)

    async with serving(handler, on_event=events.append) as (listener, _):
        for path in (b"/403", b"/500"):
            peer = await raw_client(
                listener, handshake_request(line=b"GET %b HTTP/1.1" % path)
            )
            await peer.receive_all()
        await (
            await raw_client(listener, handshake_request(version=b"12"))
        ).receive_all()
    rejected, failed, invalid, *_ = events
    assert kinds(events) == ["reject", "reject", "reject", "stop", "stopped"]
    for event, status in ((rejected, 403), (failed, 500), (invalid, 426)):
        assert event.status_code == status
        assert "MemoryStream" in str(event.remote)
    assert (rejected.request.path, failed.request.path) == ("/403", "/500")
    assert invalid.request is None


async def test_handshakes_that_come_to_nothing(server_tls: ssl.SSLContext) -> None:
    events: list[WebSocketEvent] = []

    async def handler(request: WebSocketRequest) -> None:
        await request.accept()

    plain, secure = MemoryListener(), MemoryListener()
    listeners = [plain, TLSListener(cast("Any", secure), server_tls)]
    server = WebSocketServer(
        handler, listeners, connect_timeout=10, on_event=events.append
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        await secure.connect().send(b"this is not TLS")
        await anyio.sleep(1)
        await (await raw_client(plain, b"GET / HT")).stream.aclose()
        await anyio.sleep(1)
        await raw_client(plain, b"GET / HT")
        await anyio.sleep(11)
        ours, theirs = plain.pair()
        ours.before_send = hang  # the client does not read the response
        await theirs.send(handshake_request())
        await anyio.sleep(11)
        errors = [event.error for event in events]
        assert kinds(events) == ["fail"] * 4
        assert isinstance(errors[0], HandshakeError)
        assert isinstance(errors[0].__cause__, ssl.SSLError)
        assert "disconnected before its request was complete" in str(errors[1])
        assert isinstance(errors[2], ConnectionTimeout)
        assert "did not read the response" in str(errors[3])
        assert all("MemoryStream" in str(event.remote) for event in events)
        assert server.statistics().failed == 4
        await raw_client(plain, b"GET / HT")
        await anyio.sleep(1)
        await server.aclose()
    assert kinds(events)[4:] == ["reject", "stop", "stopped"]
    assert events[4].status_code == 503


async def test_what_is_told_is_what_is_counted(server_tls: ssl.SSLContext) -> None:
    """Each client once, at the same moment, and if the server stops at once, too."""
    counted: list[tuple[str, int, int]] = []

    def on_event(event: WebSocketEvent) -> None:
        numbers = server.statistics()
        counted.append((event.kind, numbers.rejected, numbers.failed))

    async def handler(request: WebSocketRequest) -> None:
        await request.accept()

    plain, secure = MemoryListener(), MemoryListener()
    listeners = [plain, TLSListener(cast("Any", secure), server_tls)]
    server = WebSocketServer(handler, listeners, connect_timeout=1, on_event=on_event)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        # The client does not close, and is told nothing else.
        await raw_client(plain, handshake_request(version=b"12"))
        await anyio.sleep(3)
        assert counted == [("reject", 1, 0)]
        await raw_client(plain, b"GET / HT")
        secure.connect()
        ours, theirs = plain.pair()
        ours.before_send = hang
        await theirs.send(handshake_request())
        await anyio.sleep(0.5)
        await server.aclose(timeout=0)
    told = [kind for kind, _, _ in counted]
    assert sorted(told[1:-2]) == ["fail"] * 2 + ["reject"]
    assert (server.statistics().rejected, server.statistics().failed) == (2, 2)
    for index, (kind, rejected, failed) in enumerate(counted):
        if kind in ("reject", "fail"):
            assert (rejected, failed) == tuple(
                told[: index + 1].count(each) for each in ("reject", "fail")
            )


async def test_a_full_server_says_so_once_a_minute() -> None:
    events: list[WebSocketEvent] = []

    async def handler(request: WebSocketRequest) -> None:
        async for _ in await request.accept():
            raise AssertionError

    async with serving(handler, max_connections=1, on_event=events.append) as (
        listener,
        _,
    ):
        client = await accepted_client(listener)
        waiting = await raw_client(listener)
        await anyio.sleep(1)
        await client.send_close(1000)
        assert b" 101 " in await waiting.receive_head()
        await anyio.sleep(1)
    assert kinds(events).count("full") == 1
    assert kinds(events)[:4] == ["full", "open", "close", "open"]
    assert events[0].limit == "max_connections"


@pytest.mark.parametrize("upgrade", [False, True])
async def test_single_streams(upgrade: bool) -> None:
    events: list[WebSocketEvent] = []

    async def take(head: bytes) -> WebSocketRequest:
        ours, theirs = memory_stream_pair()
        if upgrade:
            line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            headers = [tuple(field.split(b": ", 1)) for field in fields]
            return await accept_upgrade(
                *(tasks, ours),
                method=line.split()[0],
                target=line.split()[1],
                headers=cast("Any", headers),
                on_event=events.append,
            )
        await theirs.send(head)
        return await wrap_server_stream(tasks, ours, on_event=events.append)

    async with anyio.create_task_group() as tasks:
        connection = await (await take(handshake_request())).accept()
        tasks.cancel_scope.cancel()
    assert kinds(events) == ["open", "close"]
    assert events[1].closed == connection.closed
    events.clear()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(HandshakeError):
            await take(handshake_request(version=b"12"))
    assert kinds(events) == ["reject"]
    if not upgrade:
        events.clear()
        ours, theirs = memory_stream_pair()
        await theirs.send_eof()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(HandshakeError) as caught:
                await wrap_server_stream(tasks, ours, on_event=events.append)
        assert kinds(events) == ["fail"]
        assert events[0].error is caught.value


async def test_a_bug_while_a_request_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from anyio_websocket._server import _request_reader

    async def fail(*args: object) -> None:
        raise MemoryError

    async def handler(request: WebSocketRequest) -> None:
        raise AssertionError

    monkeypatch.setattr(_request_reader, "read_request", fail)
    caplog.set_level(logging.CRITICAL, "anyio_websocket")
    events: list[WebSocketEvent] = []
    async with serving(handler, on_event=events.append) as (listener, _):
        await raw_client(listener)
        await anyio.sleep(1)
    assert kinds(events)[0] == "fail"
    assert isinstance(events[0].error, MemoryError)
