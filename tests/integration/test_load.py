"""A server under load, and what is left of its connections: nothing."""

from __future__ import annotations

import gc
import logging
import os
import socket
import struct
import tracemalloc
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import current_token

from anyio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket,
    serve_websocket,
)
from anyio_websocket.testing import handshake_request

from ..support.backends import tasks_now
from ..support.frames import CLOSE, TEXT, close_payload, frame
from ..support.sockets import read, reset

pytestmark = pytest.mark.measured

HANDSHAKE = handshake_request(host=b"127.0.0.1")
MASK = b"\1\2\3\4"


@asynccontextmanager
async def echoing(**options: Any) -> AsyncGenerator[int]:
    """Serve echoes while the block lasts; give the port."""

    async def handler(asked: WebSocketRequest) -> None:
        ws = await asked.accept()
        async for message in ws:
            await ws.send_message(message)

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, disconnect_timeout=1, **options)
        server = await tasks.start(serve, handler, "127.0.0.1", 0, None)
        yield server.port
        tasks.cancel_scope.cancel()


def connected(port: int) -> socket.socket:
    """Connect by hand."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


async def opened(port: int) -> socket.socket:
    """Connect by hand, and shake hands."""
    sock = connected(port)
    sock.send(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        await anyio.wait_readable(sock)
        head += sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 ")
    return sock


async def leave_politely(port: int) -> None:
    async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
        await ws.send_message("hello")
        assert await ws.get_message() == "hello"


async def leave_before_asking(port: int) -> None:
    connected(port).close()


async def leave_in_the_request(port: int) -> None:
    sock = connected(port)
    sock.send(HANDSHAKE[:40])
    reset(sock)


async def leave_in_a_frame(port: int) -> None:
    sock = await opened(port)
    sock.send(frame(TEXT, b"hello", mask=MASK)[:5])
    reset(sock)


async def leave_without_a_close(port: int) -> None:
    sock = await opened(port)
    sock.close()


async def leave_with_a_mistake(port: int) -> None:
    with await opened(port) as sock:
        sock.send(frame(TEXT, b"not masked"))
        await anyio.wait_readable(sock)


async def leave_behind_the_close(port: int) -> None:
    with await opened(port) as sock:
        sock.send(frame(CLOSE, close_payload(1000), mask=MASK))
        await read(sock, 4)


WAYS: list[Callable[[int], Any]] = [
    leave_politely,
    leave_before_asking,
    leave_in_the_request,
    leave_in_a_frame,
    leave_without_a_close,
    leave_with_a_mistake,
    leave_behind_the_close,
]
BEFORE = [leave_before_asking, leave_in_the_request]  # there is a connection


def descriptors_now() -> int | None:
    """Count open file descriptors, where the system tells them."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else None


def asyncio_debugs() -> bool:
    """Say whether the event loop that runs is asyncio's, with its debug mode."""
    loop = current_token().native_token
    return hasattr(loop, "get_debug") and loop.get_debug()


async def settled(port: int, tasks: int) -> None:
    """Wait until the server has seen all its clients leave."""
    with anyio.fail_after(10):
        while tasks_now() > tasks:
            await anyio.sleep(0.01)
    await leave_politely(port)  # and it still serves


@pytest.mark.parametrize("way", WAYS)
async def test_G6_nothing_is_left(way: Callable[[int], Any]) -> None:
    async with echoing() as port:
        await leave_politely(port)
        await anyio.sleep(0.2)  # a tick, after which the server has nothing to do
        tasks, descriptors = tasks_now(), descriptors_now()
        for _ in range(3):
            await way(port)
        await settled(port, tasks)
        assert descriptors_now() == descriptors
    gc.collect()  # what was not closed warns now, and fails the test


async def test_G5_clients_that_come_and_go_leave_nothing() -> None:
    async with echoing() as port:

        async def crowd(size: int) -> None:
            for i in range(size):
                await WAYS[i % len(WAYS)](port)

        await crowd(70)
        await anyio.sleep(0.2)
        tasks, descriptors = tasks_now(), descriptors_now()
        gc.collect()
        tracemalloc.start()
        try:
            await crowd(70)  # so that tracing has seen everything once
            await settled(port, tasks)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            await crowd(210)
            await settled(port, tasks)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert descriptors_now() == descriptors
        # bytes; each has thousands while it lives, and asyncio keeps some tracebacks
        assert after - before < 210 * 300


@pytest.mark.parametrize("way", [way for way in WAYS if way not in BEFORE])
async def test_G5_a_closed_connection_is_freed_at_once(
    way: Callable[[int], Any],
) -> None:
    # Buffers, zlib's and TLS's memory do not wait for the garbage collector, which
    # counts objects and not bytes.
    await _freed_at_once(way, lambda ws: None)


async def test_G5_a_connection_in_a_context_variable_is_freed_at_once() -> None:
    # As some do for their log. Where a timer was set, asyncio keeps
    # the context until the timer would have been due, so this is a way without.
    current: ContextVar[WebSocketConnection] = ContextVar("current")
    await _freed_at_once(leave_without_a_close, current.set)


async def _freed_at_once(
    way: Callable[[int], Any], keep: Callable[[WebSocketConnection], object]
) -> None:
    seen: list[weakref.ref[object]] = []

    async def handler(asked: WebSocketRequest) -> None:
        ws = await asked.accept()
        keep(ws)
        seen.extend((weakref.ref(ws), weakref.ref(ws._core)))
        async for message in ws:
            await ws.send_message(message)

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, disconnect_timeout=1)
        server = await tasks.start(serve, handler, "127.0.0.1", 0, None)
        await anyio.sleep(0.2)
        before = tasks_now()
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await way(server.port)
            with anyio.fail_after(5):
                while tasks_now() > before:
                    await anyio.sleep(0.01)
            assert len(seen) == 6
            assert [ref() for ref in seen] == [None] * 6
        finally:
            gc.enable()
        tasks.cancel_scope.cancel()


async def test_G4_an_idle_connection_takes_little(anyio_backend_name: str) -> None:
    size = 200
    kib, objects = (9, 55) if anyio_backend_name == "trio" else (8, 45)
    async with echoing(connect_timeout=30) as port:
        sockets = [await opened(port)]
        gc.collect()
        before = len(gc.get_objects())
        tracemalloc.start()
        try:
            sockets += [await opened(port) for _ in range(size)]
            await anyio.sleep(0.1)
            gc.collect()
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            for sock in sockets:
                sock.close()
        # A full collection looks at each of them, and takes 1 us for it.
        found = len(gc.get_objects()) - before
        if asyncio_debugs():  # it keeps tracebacks, most on CPython 3.13
            kib, objects = kib + 9, objects + 50
        assert found < size * objects
        assert used < size * kib * 1024


async def test_G2_bad_clients_do_not_disturb_others() -> None:
    async with echoing() as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            async with anyio.create_task_group() as tasks:
                for i in range(140):
                    tasks.start_soon(WAYS[i % len(WAYS)], port)
                for i in range(100):
                    with anyio.fail_after(5):
                        await ws.send_message(f"message {i}")
                        assert await ws.get_message() == f"message {i}"


async def test_G8_hostile_text_in_what_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hostile = "\x1b[31m\rred\u202e"
    caplog.set_level(logging.DEBUG, "anyio_websocket")

    async def handler(asked: WebSocketRequest) -> None:
        ws = await asked.accept()
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        assert not any(c in str(caught.value) for c in hostile if not c.isprintable())
        raise ValueError("a mistake in the handler")

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, disconnect_timeout=1)
        server = await tasks.start(serve, handler, "127.0.0.1", 0, None)
        secret = b"Authorization: Basic c2VjcmV0"
        for data in (
            handshake_request(secret, b"X: \x1b[31m", host=b"bad host\x1b"),
            handshake_request(secret, line=b"GET /\x1b[31m HTTP/1.1"),
            b"\x1b[31m" * 10,
            struct.pack(">Q", 2**63) * 8,
            handshake_request(secret),
        ):
            with connected(server.port) as sock:
                sock.send(data)
                await anyio.wait_readable(sock)
                if data.endswith(secret + b"\r\n\r\n"):
                    reason = close_payload(4000, hostile)
                    sock.send(frame(CLOSE, reason, mask=MASK))
                    await anyio.sleep(0.1)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert len(caplog.records) >= 4
    for record in caplog.records:
        text = record.getMessage()
        assert text.isprintable(), text
        assert "c2VjcmV0" not in text
