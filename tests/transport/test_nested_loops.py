"""asyncio as its users use it: nested loops, descriptors that are used again, debug."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import WebSocketRequest, open_websocket
from anyio_websocket._transport._interface import TransportLost
from anyio_websocket._transport._sockets import SocketTransport

from ..support.backends import under_asyncio
from ..support.servers import serving
from ..support.sockets import pair

_T = TypeVar("_T")


def _run_nested(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run the event loop inside a task, as ``nest_asyncio`` and debuggers do."""
    loop: Any = asyncio.get_running_loop()
    tasks: Any = asyncio.tasks
    outer = asyncio.current_task()
    inner: asyncio.Task[_T] = loop.create_task(coroutine)
    # The outer pass of the loop runs as many handles as there were when it began.
    promised = len(loop._ready)
    tasks._leave_task(loop, outer)
    try:
        while not inner.done():
            loop._run_once()
    finally:
        tasks._enter_task(loop, outer)
    for _ in range(promised):
        loop.call_soon(int)
    return inner.result()


def _fail_on(errors: list[dict[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))


@under_asyncio
async def test_F15_a_nested_loop_in_a_task_that_a_message_woke() -> None:
    errors: list[dict[str, Any]] = []
    _fail_on(errors)

    async def echo(request: WebSocketRequest) -> None:
        connection = await request.accept()
        async for message in connection:
            await connection.send_message(message)

    async with serving(echo) as port:
        url = "127.0.0.1", port, "/"
        async with open_websocket(*url, use_ssl=False) as connection:

            async def ask(question: str) -> str | bytes:
                await connection.send_message(question)
                return await connection.get_message()

            assert await ask("a") == "a"  # from here on in the callback of the socket
            for depth in range(3):
                assert _run_nested(ask(f"nested {depth}")) == f"nested {depth}"
                assert await ask("b") == "b"
    assert errors == []


@under_asyncio
async def test_F15_bytes_that_no_task_waits_for_in_a_nested_loop() -> None:
    errors: list[dict[str, Any]] = []
    _fail_on(errors)
    async with pair() as (transport, theirs):
        task = asyncio.ensure_future(transport.receive(1))
        await asyncio.sleep(0)
        theirs.send(b"a")
        assert await task == b"a"
        theirs.send(b"b")
        _run_nested(asyncio.sleep(0.05))
        assert await transport.receive(1) == b"b"
    assert errors == []


async def _stuck(transport: SocketTransport) -> None:
    with pytest.raises(TransportLost):
        while True:
            if not transport.write(bytes(1_000_000)):
                await transport.flush()


async def test_F16_a_descriptor_that_is_used_again_while_its_old_sender_waits() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        ours, other = (
            socket.create_connection(listener.getsockname()) for _ in range(2)
        )
        theirs = [listener.accept()[0] for _ in range(2)]
    for sock in (ours, other, *theirs):
        sock.setblocking(False)
    number = ours.fileno()
    old = SocketTransport(ours)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stuck, old)
        await anyio.wait_all_tasks_blocked()
        await old.abort()  # the sender is woken, but has not run yet
        again = socket.socket(fileno=os.dup2(other.fileno(), number))
        other.close()
        new = SocketTransport(again)
        while new.write(bytes(100_000)):
            pass
        tasks.start_soon(new.flush)  # registers the same number for writing
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            while new.unsent:
                await anyio.lowlevel.checkpoint()
                if select.select([theirs[1]], [], [], 0)[0]:
                    theirs[1].recv(1_000_000)
    await new.abort()
    for sock in theirs:
        sock.close()


async def test_F16_one_task_at_a_time_waits_to_write() -> None:
    async with pair() as (transport, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stuck, transport)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(1), pytest.raises(TransportLost):
                await transport.flush()
            await transport.abort()


@under_asyncio
async def test_F20_a_slow_handler_is_named_by_its_task() -> None:
    records: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    asyncio.get_running_loop().slow_callback_duration = 0.1
    handler = Handler()
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        async with pair() as (transport, theirs):

            async def compute() -> None:
                await transport.receive(1)
                time.sleep(0.15)  # noqa: ASYNC251
                await asyncio.sleep(0)

            task = asyncio.create_task(compute(), name="the slow one")
            await asyncio.sleep(0)
            theirs.send(b"x")
            await task
    finally:
        logger.removeHandler(handler)
    assert any("the slow one" in text and "took" in text for text in records)
