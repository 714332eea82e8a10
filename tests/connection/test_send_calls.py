"""What a call of ``send_message()`` returns in C can do what a coroutine can."""

from __future__ import annotations

import asyncio
import collections.abc
import copy
import gc
import inspect
import pickle
import sys
import warnings
import weakref
from functools import partialmethod
from typing import Any
from unittest.mock import create_autospec

import anyio
import pytest

from anyio_websocket import WebSocketConnection

from ..support.peer import linked_by_sockets
from ..support.stretch import make_ready

METHOD = WebSocketConnection.send_message


async def test_it_is_a_coroutine_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with linked_by_sockets() as (client, server):
        for function in (METHOD, server.send_message):
            assert inspect.iscoroutinefunction(function)
            assert inspect.isfunction(METHOD)
            assert list(inspect.signature(function).parameters)[-3:] == [
                *("message", "text", "compress")
            ]
            assert function.__name__ == "send_message"
            assert "backpressure" in (function.__doc__ or "")
            assert "WebSocketConnection.send_message" in repr(function)
        assert inspect.ismethod(server.send_message)
        assert server.send_message == server.send_message
        for call in (
            METHOD(server, b"1"),
            server.send_message(b"1"),
            server.send_message(b"1", text=True),
            server.send_message(bytearray(b"1")),
        ):
            assert inspect.iscoroutine(call)
            assert inspect.isawaitable(call)
            assert asyncio.iscoroutine(call)
            assert isinstance(call, collections.abc.Coroutine)
            assert "coroutine object WebSocketConnection.send_message" in repr(call)
            assert inspect.getcoroutinestate(call) == "CORO_CREATED"
            assert call.cr_code.co_name == "send_message"
            assert call.__qualname__ == "WebSocketConnection.send_message"
            call.close()
            assert inspect.getcoroutinestate(call) == "CORO_CLOSED"
        for args in ((), (b"1", b"2")):
            with pytest.raises(TypeError, match=r"send_message\(\)"):
                _ = METHOD(server, *args)
        with pytest.raises(AttributeError, match="nothing"):
            _ = METHOD.nothing  # type: ignore[attr-defined]
        assert server._core.outbox.bytes_sent == 0
        make_ready(server)
        await server.send_message(b"1")
        assert await client.get_message() == b"1"


async def test_what_else_functions_can_do() -> None:
    for again in (copy.deepcopy(METHOD), pickle.loads(pickle.dumps(METHOD))):
        assert again is METHOD
    assert weakref.ref(METHOD)() is METHOD
    double = create_autospec(WebSocketConnection, instance=True)
    await double.send_message(b"1")
    with pytest.raises(TypeError, match="message"):
        double.send_message()
    double.send_message.assert_awaited_once_with(b"1")

    class Loud(WebSocketConnection):
        async def send_message(self, message: Any, **options: Any) -> None:
            await super().send_message(message.upper(), **options)

        send_hello = partialmethod(METHOD, "hello")

    async with linked_by_sockets() as (client, server):
        sent = weakref.WeakMethod(server.send_message)()
        assert sent == server.send_message
        loud = Loud.__new__(Loud)
        loud._core = server._core
        make_ready(server)
        await loud.send_message("a")
        make_ready(server)
        await loud.send_hello()
        await METHOD(self=server, message="b")
        await METHOD(server, message=b"c", text=True, compress=False)
        assert [await client.get_message() for _ in range(4)] == [
            "A",
            "hello",
            "b",
            "c",
        ]
        call = server.send_message("")
        gone = weakref.ref(call)
        call.close()
        del call
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize("is_ready", [True, False])
async def test_it_is_awaited_once(is_ready: bool) -> None:
    async with linked_by_sockets() as (client, server):
        if is_ready:
            make_ready(server)
        call = server.send_message(b"1")
        await anyio.lowlevel.checkpoint()
        assert server._core.outbox.bytes_sent == 0  # before it is awaited
        if is_ready:
            make_ready(server)
        await call
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await call
        assert inspect.getcoroutinestate(call) == "CORO_CLOSED"
        call.close()
        assert await client.get_message() == b"1"


async def test_it_is_driven_by_hand() -> None:
    async with linked_by_sockets() as (client, server):
        call: Any = server.send_message(b"0")
        with pytest.raises(TypeError, match="can't send non-None value"):
            call.send(1)
        call.close()
        call = server.send_message(b"0")
        with pytest.raises(ZeroDivisionError):
            call.throw(ZeroDivisionError())
        make_ready(server)
        call = server.send_message(b"1")
        with pytest.raises(StopIteration) as caught:
            call.__await__().send(None)
        assert caught.value.value is None
        make_ready(server)
        with pytest.raises(StopIteration):
            next(server.send_message(b"2").__await__())
        assert [await client.get_message() for _ in "12"] == [b"1", b"2"]


def drop(connection: WebSocketConnection) -> None:
    _ = connection.send_message(b"1")
    gc.collect()


async def test_it_was_never_awaited() -> None:
    async with linked_by_sockets() as (_, server):
        make_ready(server)
        with pytest.warns(RuntimeWarning, match=r"send_message' was never awaited"):
            drop(server)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            server.send_message(b"1").close()
            gc.collect()
        sys.set_coroutine_origin_tracking_depth(1)
        try:
            call = server.send_message(b"1")
        finally:
            sys.set_coroutine_origin_tracking_depth(0)
        assert inspect.iscoroutine(call)
        assert call.cr_origin is not None
        assert call.cr_origin[0][0] == __file__
        call.close()
        assert server._core.outbox.bytes_sent == 0


async def test_tasks_of_it() -> None:
    async with linked_by_sockets() as (client, server):
        async with anyio.create_task_group() as tasks:
            make_ready(server)
            tasks.start_soon(server.send_message, "1")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(METHOD, server, "2")
            tasks.cancel_scope.cancel()
        if is_asyncio():
            make_ready(server)
            await asyncio.create_task(server.send_message("3"))
            await asyncio.wait_for(server.send_message("4"), 10)
            await asyncio.gather(server.send_message("5"))
        server_closes = server.aclose()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: server_closes)
            received = [message async for message in client]
        assert received == (["1", "3", "4", "5"] if is_asyncio() else ["1"])


def is_asyncio() -> bool:
    return anyio.get_current_task().__class__.__module__ == "anyio._backends._asyncio"


async def test_frames_of_a_task_that_waits() -> None:
    """What a debugger, trio's and asyncio's tools see of it."""
    async with linked_by_sockets() as (_, server):
        calls: list[Any] = []

        async def send_all() -> None:
            while True:
                make_ready(server)
                calls.append(server.send_message(bytes(100_000)))
                await calls[-1]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            await anyio.wait_all_tasks_blocked()
            call = calls[-1]
            assert inspect.getcoroutinestate(call) == "CORO_SUSPENDED"
            names: list[str] = []
            while hasattr(call, "cr_frame"):
                names.append(call.cr_frame.f_code.co_name)
                call = call.cr_await
            assert "_finish_write" in names
            assert "flush" in names
            with pytest.raises(RuntimeError, match="already"):
                await calls[-1]
            tasks.cancel_scope.cancel()
