"""What users pass in: whether it is a nursery is checked at the call."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from anyio_websocket import WebSocketServer, serve_websocket, wrap_server_stream
from anyio_websocket._types import Nursery, in_a_nursery
from anyio_websocket.testing import MemoryListener, memory_stream_pair

from .support.servers import echo


@in_a_nursery
async def function(nursery: Nursery, other: int) -> int:
    nursery.start_soon(anyio.sleep, 0)
    return other


async def test_a_nursery_that_takes_tasks() -> None:
    async with anyio.create_task_group() as tasks:
        assert await function(tasks, 1) == 1
        assert await function(nursery=tasks, other=2) == 2


@pytest.mark.parametrize("wrong", [None, "", object(), asyncio.TaskGroup()])
async def test_G14_a_server_is_given_no_nursery(wrong: Any) -> None:
    kind = type(wrong).__name__
    stream, client = memory_stream_pair()
    text = rf"wrap_server_stream\(\) needs .* as its first argument, not .*{kind}$"
    with pytest.raises(TypeError, match=text):
        await wrap_server_stream(wrong, stream)
    async with MemoryListener() as listener:
        if wrong is not None:
            text = rf"\(\) needs an anyio .* as handler_nursery, not .*{kind}$"
            with pytest.raises(TypeError, match=f"WebSocketServer{text}"):
                WebSocketServer(echo, [listener], handler_nursery=wrong)
            with pytest.raises(TypeError, match=f"serve_websocket{text}"):
                await serve_websocket(echo, "127.0.0.1", 0, None, handler_nursery=wrong)
    await client.aclose()


async def test_G14_a_server_is_given_a_nursery_that_takes_no_tasks() -> None:
    async with anyio.create_task_group() as ended:
        pass
    for nursery in (ended, anyio.create_task_group()):
        stream, client = memory_stream_pair()
        with pytest.raises(RuntimeError, match=r"wrap_server_stream\(\).* no tasks"):
            await wrap_server_stream(nursery, stream)
        await client.aclose()
        listener = MemoryListener()
        with pytest.RaisesGroup(RuntimeError):
            await WebSocketServer(echo, [listener], handler_nursery=nursery).run()
        assert listener.closed


async def test_H10_the_nursery_of_wrap_server_stream_is_missing() -> None:
    stream: Any = memory_stream_pair()[0]
    with pytest.raises(TypeError, match=r"argument, not anyio_websocket\.MemoryStream"):
        await wrap_server_stream(stream)  # type: ignore[call-arg]
