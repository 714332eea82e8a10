"""`check_object_stream`: good streams pass, and failures name the item."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectStream
from anyio.streams.stapled import StapledObjectStream

from anyio_websocket.testing import check_object_stream, websocket_pair

from ..support.broken_streams import with_streams_of_anyio

pytestmark = pytest.mark.virtual_time


@asynccontextmanager
async def in_memory() -> AsyncGenerator[tuple[ObjectStream[Any], ObjectStream[Any]]]:
    send, receive = anyio.create_memory_object_stream[Any](buffer)
    send_back, receive_back = anyio.create_memory_object_stream[Any](buffer)
    one = StapledObjectStream(send, receive_back)
    other = StapledObjectStream(send_back, receive)
    async with one, other:
        yield one, other


buffer = 0


@with_streams_of_anyio
async def test_memory_streams_of_anyio(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (0, 3):
        monkeypatch.setitem(globals(), "buffer", size)
        await check_object_stream(in_memory)


@asynccontextmanager
async def websockets() -> AsyncGenerator[tuple[ObjectStream[Any], ObjectStream[Any]]]:
    async with websocket_pair() as (client, server):
        yield (
            client.as_object_stream(loads=json.loads),
            server.as_object_stream(loads=json.loads),
        )


async def test_websockets() -> None:
    await check_object_stream(websockets, items=[{"a": [1]}, None, "text"])
