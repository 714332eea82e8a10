"""A connection as a stream of bytes."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import BusyResourceError, ClosedResourceError

from anyio_websocket._streams._byte_stream import PIECE_SIZE

from ..support.peer import linked

pytestmark = pytest.mark.virtual_time


async def test_messages_have_no_bounds() -> None:
    async with linked() as (client, server):
        stream = server.as_byte_stream()
        for message in (b"one", b"", "twö", "", b"three"):
            await client.send_message(message)
        assert await stream.receive(2) == b"on"
        assert await stream.receive(100) == b"e"
        assert await stream.receive(3) == b"tw\xc3"
        assert await stream.receive(1) == b"\xb6"
        assert await stream.receive() == b"three"
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="must be a positive integer"):
                await stream.receive(wrong)
        with pytest.raises(TypeError, match="interpreted as an integer"):
            await stream.receive(1.5)  # type: ignore[arg-type]


async def test_a_size_is_whatever_counts_as_an_integer() -> None:
    class Two:
        def __index__(self) -> int:
            return 2

    async with linked() as (client, server):
        stream = server.as_byte_stream()
        await client.send_message(b"one")
        size: Any = Two()
        assert await stream.receive(size) == b"on"
        assert await stream.receive(size) == b"e"


async def test_texts_that_are_received_as_bytes() -> None:
    async with linked(server={"decode_text": False}) as (client, server):
        await client.send_message("wörld")
        assert await server.as_byte_stream().receive() == "wörld".encode()


async def test_what_is_left_of_a_message_is_gone_when_the_stream_is_closed() -> None:
    async with linked() as (client, server):
        stream = server.as_byte_stream()
        await client.send_message(b"one")
        assert await stream.receive(2) == b"on"
        await stream.aclose()
        with pytest.raises(ClosedResourceError):
            await stream.receive()


async def test_bytes_leave_in_binary_messages_that_every_peer_takes() -> None:
    async with linked() as (client, server):
        stream = client.as_byte_stream()
        data = bytes(range(256)) * (PIECE_SIZE // 128) + b"rest"
        buffers: list[Any] = [data, bytearray(data), memoryview(data)[::-1]]
        for buffer in buffers:
            await stream.send(buffer)
            pieces = [await server.get_message() for _ in range(3)]
            assert [len(piece) for piece in pieces] == [PIECE_SIZE, PIECE_SIZE, 4]
            assert b"".join(map(bytes, pieces)) == bytes(buffer)  # type: ignore[arg-type]
        await stream.send(b"")  # no message
        await stream.send(b"end")
        assert await server.get_message() == b"end"
        wrong: Any
        for wrong in ("text", 3, None, [b"x"]):
            with pytest.raises(TypeError):
                await stream.send(wrong)
        assert client.closed is None


async def test_one_task_receives_and_one_sends() -> None:
    async with linked(10_000, server={"message_queue_size": 1}) as (client, server):
        stream = client.as_byte_stream()

        async def receive() -> None:
            assert await stream.receive() == b"x"

        async def send() -> None:
            await stream.send(bytes(10 * PIECE_SIZE))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BusyResourceError, match="receiving from"):
                await stream.receive()
            with pytest.raises(BusyResourceError, match="sending to"):
                await stream.send(b"")
            await server.send_message(b"x")
            for _ in range(10):
                assert len(await server.get_message()) == PIECE_SIZE
