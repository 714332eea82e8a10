"""A connection as a stream of objects."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import anyio
import pytest

from ..support.peer import linked

pytestmark = pytest.mark.virtual_time


async def test_messages_are_objects() -> None:
    async with linked() as (client, server):
        stream = client.as_object_stream()
        peer = server.as_object_stream()
        for message in ("text", b"bytes", "", b""):
            await stream.send(message)
            received = await peer.receive()
            assert (type(received), received) == (type(message), message)
        wrong: Any
        for wrong in (3, ["part", "part"], {"a": 1}, None):
            with pytest.raises(ValueError, match="message must be"):
                await stream.send(wrong)
        with pytest.raises(ValueError, match="surrogates"):
            await stream.send("\ud800")
        assert client.closed is None


async def test_objects_of_json() -> None:
    async with linked() as (client, server):

        def as_bytes(item: Any) -> bytes:  # as orjson and msgspec do
            return json.dumps(item).encode()

        def as_it_is(item: Any) -> Any:
            return item

        for stream in (
            client.as_object_stream(loads=json.loads, dumps=json.dumps),
            client.as_object_stream(loads=json.loads),
            client.as_object_stream(dumps=as_bytes),
        ):
            await stream.send({"a": [1, None]})
            assert await server.get_message() == '{"a": [1, null]}'
            await server.send_message(b"[2]")
            assert await stream.receive() == [2]
        await server.send_message("{")
        with pytest.raises(json.JSONDecodeError):
            await stream.receive()
        with pytest.raises(ValueError, match="dumps must return str or bytes"):
            await client.as_object_stream(dumps=as_it_is).send({})
        with pytest.raises(ValueError, match="not JSON compliant"):
            await client.as_object_stream(loads=json.loads).send(float("nan"))
        assert client.closed is None


async def test_objects_of_a_format_of_bytes() -> None:
    async with linked() as (client, server):
        stream = client.as_object_stream(
            loads=partial(int.from_bytes, byteorder="big"),
            dumps=lambda item: item.to_bytes(2, "big"),
            text=False,
        )
        await stream.send(0xFFFE)
        assert await server.get_message() == b"\xff\xfe"
        await server.send_message(b"\x01\x00")
        assert await stream.receive() == 256


async def test_many_tasks_send_and_receive() -> None:
    async with linked() as (client, server):
        stream, peer = client.as_object_stream(), server.as_object_stream()
        received: list[str | bytes] = []

        async def receive() -> None:
            received.append(await peer.receive())

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(receive)
                tasks.start_soon(stream.send, str(number))
        assert sorted(received) == [str(number) for number in range(10)]
