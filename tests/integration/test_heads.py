"""Requests and responses with large heads, over sockets, TLS and users' streams."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import (
    ConnectionRejected,
    HandshakeError,
    WebSocketRequest,
    open_websocket,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.testing import ScriptedPeer, handshake_response, memory_stream_pair

from ..support.servers import raw_server, serving

COOKIES = [("Cookie", f"token{i}={'x' * 9000}") for i in range(3)]
LONG = [("Authorization", "Bearer " + "x" * 20_000)]


async def accept(request: WebSocketRequest) -> None:
    sizes = sum(len(value) for name, value in request.headers if name == b"cookie")
    ws = await request.accept(extra_headers=[("Set-Cookie", "y" * 16_000)] * 2)
    await ws.send_message(str(sizes))


@pytest.mark.parametrize("tls", [False, True])
async def test_A17_large_cookies_by_default(
    tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with (
        serving(accept, server_tls if tls else None) as port,
        open_websocket(
            *("localhost", port, "/"),
            use_ssl=client_tls if tls else False,
            extra_headers=COOKIES,
        ) as ws,
    ):
        assert await ws.get_message() == str(3 * 9007)
        assert sum(len(value) for _, value in ws.handshake_headers) >= 32_000


async def test_A17_a_limit_of_ones_own() -> None:
    async with serving(accept, max_head_size=83_000) as port:
        async with open_websocket(
            *("127.0.0.1", port, "/"), use_ssl=False, extra_headers=LONG
        ) as ws:
            assert await ws.get_message() == "0"
    async with serving(accept) as port:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket(
                *("127.0.0.1", port, "/"), use_ssl=False, extra_headers=LONG
            ):
                raise AssertionError
    assert caught.value.status_code == 431
    assert caught.value.body is not None
    assert b"than 16384 bytes (max_head_size=65536)" in caught.value.body


async def test_A17_a_limit_of_a_clients_own() -> None:
    options: Any = {"extra_headers": COOKIES, "max_head_size": 32_000}
    async with serving(accept) as port:
        with pytest.raises(HandshakeError, match=r"too large.*max_head_size=32000"):
            async with open_websocket(
                *("127.0.0.1", port, "/"), use_ssl=False, **options
            ):
                raise AssertionError


async def test_A17_users_streams() -> None:
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await wrap_server_stream(tasks, theirs, max_head_size=83_000)
            await accept(request)

        tasks.start_soon(serve)
        ws = await wrap_client_stream(
            tasks, ours, "x", "/", extra_headers=LONG, max_head_size=70_000
        )
        assert await ws.get_message() == "0"
        await ws.aclose()
    ours, theirs = memory_stream_pair()
    async with anyio.create_task_group() as tasks:

        async def serve_less() -> None:
            with pytest.raises(HandshakeError, match="431"):
                await wrap_server_stream(tasks, theirs)

        tasks.start_soon(serve_less)
        with pytest.raises(ConnectionRejected, match="431"):
            await wrap_client_stream(tasks, ours, "x", "/", extra_headers=LONG)


async def test_A17_a_rejection_with_a_large_head() -> None:
    async def reject(request: WebSocketRequest) -> None:
        await request.reject(401, extra_headers=[("WWW-Authenticate", "x" * 16_000)])

    async with serving(reject) as port:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                raise AssertionError
    assert caught.value.status_code == 401


@pytest.mark.parametrize("size", [1024, 65_536, 200_000])
async def test_B3_A17_a_head_without_end(size: int) -> None:
    received = 0

    async def flood(stream: ByteStream) -> None:
        nonlocal received
        head = await ScriptedPeer(stream, is_client=False).receive_head()
        await stream.send(handshake_response(head)[:-2])
        while True:
            received += 512
            await stream.send(b"X: " + b"x" * 507 + b"\r\n")

    async def serve(stream: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError):
            await flood(stream)

    async with raw_server(serve) as port:
        with pytest.raises(HandshakeError, match=rf"max_head_size={size}\)"):
            async with open_websocket(
                *("127.0.0.1", port, "/"), use_ssl=False, max_head_size=size
            ):
                raise AssertionError
    assert received > size - 1024
