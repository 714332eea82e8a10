"""One handler is cancelled, or ends the server: what the other clients notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio import get_cancelled_exc_class
from anyio.abc import TaskGroup

from anyio_websocket import (
    WebSocketConnection,
    WebSocketError,
    WebSocketRequest,
    wrap_client_stream,
)
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
)

from ..support.backends import tasks_now
from ..support.frames import CLOSE, close_payload
from ..support.memory_servers import accepted_client, raw_client
from ..support.memory_servers import serving as serving_in_memory
from ..support.servers import connected, echo, is_answered, is_served, said, serving
from ..support.steps import stepped, when_woken
from ..support.sweeps import swept

LARGE = bytes(range(256)) * 20


async def _cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.sleep(1)


async def _await_a_cancelled_future() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def _raise_it() -> None:
    raise get_cancelled_exc_class()


async def _raise_a_group() -> None:
    raise BaseExceptionGroup("", [asyncio.CancelledError(), RuntimeError("oops")])


HOW = [_cancel_itself, _await_a_cancelled_future, _raise_it, _raise_a_group]


def _handler(
    disturb: Callable[[], Awaitable[None]], when: str
) -> Callable[[WebSocketRequest], Awaitable[None]]:
    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/bad":
            if when == "rejected":
                await request.reject(404)
            if when == "accepted":
                await request.accept()
            await disturb()
        connection = await request.accept()
        async for message in connection:
            await connection.send_message(message)

    return handler


@pytest.mark.parametrize("own_nursery", [False, True])
@pytest.mark.parametrize("when", ["pending", "accepted", "rejected"])
@pytest.mark.parametrize("how", HOW)
async def test_G9_one_handler_is_cancelled(
    how: Callable[[], Awaitable[None]],
    when: str,
    own_nursery: bool,
    anyio_backend_name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")
    async with anyio.create_task_group() as handlers:
        options: dict[str, Any] = {"handler_nursery": handlers} if own_nursery else {}
        async with serving(_handler(how, when), **options) as port:
            async with connected(port, handshake_request()) as good:
                assert await is_answered(good)
                async with connected(
                    port, handshake_request(line=b"GET /bad HTTP/1.1")
                ) as bad:
                    await _hears(bad, when)
                assert await is_served(good)
                async with connected(port, handshake_request()) as new:
                    assert await is_answered(new)
            [record] = said(caplog)
            assert record.levelname == "ERROR"
            assert "cancelled, but not by the server" in record.message
            assert record.exc_info
        handlers.cancel_scope.cancel()


@pytest.mark.parametrize("own_nursery", [False, True])
async def test_G9_a_task_is_cancelled_before_its_first_step(
    own_nursery: bool, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")
    cancelled: list[object] = []

    def make_task(loop: Any, coroutine: Any, **options: Any) -> Any:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if coroutine.__name__ == "_handle" and not cancelled:
            cancelled.append(task)
            task.cancel()
        return task

    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    loop.set_task_factory(make_task)
    try:
        async with anyio.create_task_group() as handlers:
            options: dict[str, Any] = {}
            if own_nursery:
                options["handler_nursery"] = handlers
            # One slot: this client has to release it.
            async with serving(echo, max_connections=1, **options) as port:
                async with connected(port, handshake_request()) as bad:
                    assert await bad.receive_all() == b""
                async with connected(port, handshake_request()) as good:
                    assert await is_answered(good)
            handlers.cancel_scope.cancel()
    finally:
        loop.set_task_factory(factory)
    assert len(cancelled) == 1
    # The next client may have to wait for the slot, which is a warning.
    [record] = [record for record in said(caplog) if record.levelname == "ERROR"]
    assert "cancelled, but not by the server" in record.message


async def test_G9_a_task_ends_with_its_first_step(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, max_connections=1) as port:
        # All in the kernel, before the server accepts it.
        socket.create_connection(("127.0.0.1", port)).close()
        async with connected(port, handshake_request()) as good:
            assert await is_answered(good)
    assert not [record for record in said(caplog) if record.levelname == "ERROR"]


async def _hears(bad: ScriptedPeer, when: str) -> None:
    status = {"pending": b"500", "accepted": b"101", "rejected": b"404"}[when]
    assert (await bad.receive_head()).startswith(b"HTTP/1.1 " + status)
    if when == "accepted":
        assert await bad.receive_frame() == Frame(CLOSE, close_payload(1011))
        await bad.send_close(1011)
    assert await bad.receive_all() == b""


@pytest.mark.parametrize("when", ["reading", "closing"])
async def test_G9_a_task_is_cancelled_outside_its_handler(
    when: str, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")

    opened: list[WebSocketConnection] = []

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        if request.path == "/bad":
            opened.append(connection)
        else:
            await connection.wait_closed()

    def is_there() -> bool:
        if when == "reading":
            return asyncio.all_tasks() != before
        return bool(opened) and opened[0]._core.close_state.by_us

    async with serving(handler) as port:
        before = asyncio.all_tasks()
        line = b"GET /bad HTTP/1.1"
        data = b"GET" if when == "reading" else handshake_request(line=line)
        async with connected(port, data) as bad:
            while not is_there():
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            [task] = asyncio.all_tasks() - before
            task.cancel()
            with anyio.fail_after(5):
                answer = await bad.receive_all()
        assert (b" 101 " in answer) == (when == "closing")
        async with connected(port, handshake_request()) as new:
            assert await is_answered(new)
        [record] = said(caplog)
        assert "its task was cancelled" in record.message


@pytest.mark.sweep
@pytest.mark.virtual_time
async def test_G9_a_handler_is_cancelled_at_every_step(
    anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")
    at: int | None = None
    count = 0

    async def handler(request: WebSocketRequest) -> None:
        async def use() -> None:
            connection = await request.accept()
            await connection.send_message(LARGE)
            assert await connection.get_message() == LARGE
            await connection.ping()
            await connection.aclose()

        task = asyncio.current_task()
        assert task is not None
        cancel = task.cancel

        def step(trap: Any) -> None:
            nonlocal count
            if count == at:
                when_woken(trap, cancel)
            count += 1

        if request.path == "/bad":
            await stepped(use(), step)
        else:
            await echo(request)

    async def play(step: int | None, listener: MemoryListener, tasks: TaskGroup) -> int:
        nonlocal at, count
        at, count = step, 0
        before = tasks_now()
        with anyio.fail_after(30):
            with suppress(WebSocketError):
                bad = await wrap_client_stream(
                    tasks, listener.connect(), "example.org", "/bad"
                )
                async for message in bad:
                    await bad.send_message(message)
            while tasks_now() > before:
                await anyio.sleep(0.01)
        return count

    async with serving_in_memory(handler, capacity=1000) as (listener, tasks):
        good = await wrap_client_stream(tasks, listener.connect(), "example.org", "/")
        async with good, anyio.create_task_group() as waiting:
            waiting.start_soon(good.get_message)  # so the background task has no job
            steps = await play(None, listener, tasks)
            assert steps > 5
            assert not said(caplog)
            for step in swept(range(steps)):
                await play(step, listener, tasks)
                [record] = said(caplog)
                assert "cancelled, but not by the server" in record.message
                caplog.clear()
            await good.send_message("still here?")


async def test_G9_errors_beside_a_cancellation_end_the_server_if_asked_to(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")
    handler = _handler(_raise_a_group, "pending")
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="oops"), flatten_subgroups=True
    ):
        async with serving(handler, handler_errors="raise") as port:
            async with connected(
                port, handshake_request(line=b"GET /bad HTTP/1.1")
            ) as bad:
                assert (await bad.receive_head()).startswith(b"HTTP/1.1 500 ")
                await anyio.sleep(5)


class _Fatal(BaseException):
    pass


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [_Fatal, RuntimeError])
async def test_G9_who_ends_the_server_does_not_keep_the_others_waiting(
    error: type[BaseException],
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        if request.path == "/bad":
            raise error
        await connection.wait_closed()

    seconds = -1.0
    with pytest.RaisesGroup(error, flatten_subgroups=True):
        async with serving_in_memory(
            handler, handler_errors="raise", disconnect_timeout=2
        ) as (listener, _):
            good = await accepted_client(listener)
            # This client never replies to its Close.
            await raw_client(listener, handshake_request(line=b"GET /bad HTTP/1.1"))
            start = anyio.current_time()
            with anyio.CancelScope(shield=True):
                close = await good.receive_frame()
                seconds = anyio.current_time() - start
                assert close == Frame(CLOSE, close_payload(1001))
                await good.send_close(1001)
            await anyio.sleep(5)
    assert 0 <= seconds < 1
