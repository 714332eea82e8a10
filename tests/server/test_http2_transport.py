"""WebSockets over the streams of an HTTP/2 server that somebody else wrote."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    accept_upgrade,
)
from anyio_websocket.testing import ScriptedPeer, memory_stream_pair

from ..support.frames import BINARY, CLOSE, TEXT
from ..support.http2 import Http2Connection, Http2Stream

pytestmark = pytest.mark.virtual_time


def asking(path: bytes, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"example.org"),
        (b"sec-websocket-version", b"13"),
        *more,
    ]


async def take_over(
    tasks: Any, server: Http2Connection, stream: Http2Stream, **options: Any
) -> Any:
    headers = dict(stream.headers)
    return await accept_upgrade(
        tasks,
        stream,
        method=headers[b":method"],
        target=headers[b":path"],
        headers=stream.headers,
        http_version="2",
        respond=partial(server.respond, stream.number),
        **options,
    )


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[Http2Connection, list[Any]]]:
    """Run a server that echoes, and rejects ``/closed``; give a client of it."""
    ours, theirs = memory_stream_pair()
    client = Http2Connection(ours, is_client=True)
    server = Http2Connection(theirs, is_client=False)
    outcomes: list[Any] = []

    async def handle(stream: Http2Stream) -> None:
        async with anyio.create_task_group() as tasks:
            try:
                request = await take_over(tasks, server, stream, compression=True)
            except HandshakeError as exc:
                outcomes.append(exc)
                return
            if request.path == "/closed":
                await request.reject(404, body=b"nothing here")
                return
            connection: WebSocketConnection
            async with await request.accept() as connection:
                async for message in connection:
                    await connection.send_message(message)
            outcomes.append(connection.closed)

    async def serve(tasks: Any) -> None:
        while True:
            tasks.start_soon(handle, await server.next_stream())

    async with anyio.create_task_group() as tasks:
        for task in (client.run, server.run):
            tasks.start_soon(task)
        tasks.start_soon(serve, tasks)
        yield client, outcomes
        tasks.cancel_scope.cancel()


async def test_two_connections_over_one() -> None:
    async with connected() as (client, outcomes):
        peers = []
        for path in (b"/a", b"/b"):
            stream = await client.request(asking(path))
            assert dict(stream.headers) == {b":status": b"200"}
            peers.append(ScriptedPeer(stream, is_client=True))
        for peer, text in zip(peers, (b"one", b"other"), strict=True):
            await peer.send_frame(TEXT, text)
        large = bytes(range(256)) * 1000  # more than the windows of HTTP/2
        for peer, text in zip(peers, (b"one", b"other"), strict=True):
            assert (await peer.receive_frame()).payload == text
            await peer.send_frame(BINARY, large)
            assert (await peer.receive_frame()).payload == large
            await peer.send_close(1000)
            assert (await peer.receive_frame()).opcode == CLOSE
            assert await peer.receive_all() == b""  # the stream has ended
            await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        assert outcomes == [CloseReason(1000, None)] * 2


async def test_rejections() -> None:
    async with connected() as (client, outcomes):
        for headers, status_code, body in (
            (asking(b"/closed"), b"404", b"nothing here"),
            (asking(b"/", (b"origin", b"http://evil.test")), b"403", b"evil.test"),
        ):
            stream = await client.request(headers)
            found = dict(stream.headers)
            assert found[b":status"] == status_code
            assert b"connection" not in found
            await stream.send_eof()
            answer = await ScriptedPeer(stream, is_client=True).receive_all()
            assert body in answer
            assert found[b"content-length"] == b"%d" % len(answer)
        await anyio.wait_all_tasks_blocked()
        [error] = outcomes
        assert "403" in str(error)


async def test_a_response_that_cannot_be_sent() -> None:
    async def respond(status_code: int, headers: Any) -> None:
        assert (status_code, headers) == (200, [])
        raise OSError("the connection is gone")

    ours, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        request = await accept_upgrade(
            tasks,
            ours,
            method="CONNECT",
            target="/",
            headers=asking(b"/"),
            http_version="2",
            respond=respond,
        )
        with pytest.raises(ConnectionClosed) as caught:
            await request.accept()
    assert isinstance(caught.value.__cause__, OSError)
    assert ours.closed


async def test_mistakes() -> None:
    async def respond(status_code: int, headers: Any) -> None: ...

    class TrioStream:
        async def send_all(self, data: bytes) -> None: ...

        async def receive_some(self, max_bytes: int | None = None) -> Any: ...

        async def aclose(self) -> None: ...

    stream, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        for changes, error, text in (
            ({"respond": None}, TypeError, "HTTP/2 needs respond, .* not None"),
            ({"stream": TrioStream()}, TypeError, "must be an anyio.abc.ByteStream"),
            ({"http_version": "1.1"}, ValueError, "respond is for HTTP/2"),
        ):
            arguments: Any = {
                "stream": stream,
                "method": "CONNECT",
                "target": "/",
                "headers": asking(b"/"),
                "http_version": "2",
                "respond": respond,
            }
            with pytest.raises(error, match=text):
                await accept_upgrade(tasks, **(arguments | changes))
    assert not stream.closed
