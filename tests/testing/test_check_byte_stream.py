"""`check_byte_stream`: good streams pass, and each mistake is found by its check."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint

from anyio_websocket.testing import (
    MemoryStream,
    check_byte_stream,
    memory_stream_pair,
    websocket_pair,
)
from anyio_websocket.testing import _check_byte_stream as checks

from ..support.broken_streams import check_finds, with_streams_of_anyio
from ..support.peer import over_socket

Pair = AbstractAsyncContextManager[tuple[ByteStream, ByteStream]]


@asynccontextmanager
async def in_memory() -> AsyncGenerator[tuple[ByteStream, ByteStream]]:
    yield memory_stream_pair()


@asynccontextmanager
async def websockets() -> AsyncGenerator[tuple[ByteStream, ByteStream]]:
    async with websocket_pair() as (client, server):
        yield client.as_byte_stream(), server.as_byte_stream()


@asynccontextmanager
async def websockets_over_sockets() -> AsyncGenerator[tuple[ByteStream, ByteStream]]:
    async with anyio.create_task_group() as tasks:
        one, other = socket.socketpair()
        client = over_socket(one, tasks, is_client=True)
        server = over_socket(other, tasks, is_client=False)
        async with client, server:
            yield client.as_byte_stream(), server.as_byte_stream()


@pytest.mark.virtual_time
@pytest.mark.parametrize("make_pair", [in_memory, websockets, websockets_over_sockets])
async def test_good_streams(make_pair: Callable[[], Pair]) -> None:
    await check_byte_stream(make_pair)


@with_streams_of_anyio
async def test_sockets_of_anyio() -> None:
    accepted: list[SocketStream] = []

    @asynccontextmanager
    async def tcp() -> AsyncGenerator[tuple[ByteStream, ByteStream]]:
        client = await anyio.connect_tcp("127.0.0.1", port)
        async with anyio.create_task_group() as tasks:
            while not accepted:
                await checkpoint()
            server = accepted.pop()
            # On asyncio, anyio 4.16 reads without limit until a task has waited.
            tasks.start_soon(server.receive)
            await checkpoint()
            await checkpoint()
            await client.send(b"x")
        yield client, server

    async def accept(stream: SocketStream) -> None:
        accepted.append(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, accept)
        await check_byte_stream(tcp)
        tasks.cancel_scope.cancel()


class SendsSomething(MemoryStream):
    async def send(self, item: bytes) -> None:
        await super().send(item or b"\x00")


class ReturnsArrays(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> Any:
        return bytearray(await super().receive(max_bytes))


class IgnoresLimit(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        if max_bytes < 1:
            raise ValueError
        return await super().receive()


class TakesAnyLimit(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await super().receive(max(max_bytes, 1))


class DropsTheRest(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await super().receive(1 if max_bytes < 1 else 100)
        return data[:max_bytes]


class RepeatsItself(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await super().receive(max_bytes)
        self._incoming.data[:0] = data[:1]
        return data


class Swaps(MemoryStream):
    async def send(self, item: bytes) -> None:
        await super().send(item[:-1] + b"\x00" if len(item) > 1000 else item)


class ReceivesForTwo(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        self._receiving = anyio.ResourceGuard("receiving from")
        return await super().receive(max_bytes)


class SendsForTwo(MemoryStream):
    async def send(self, item: bytes) -> None:
        self._sending = anyio.ResourceGuard("sending to")
        await super().send(item)


class HasNoBound(MemoryStream):
    async def send(self, item: bytes) -> None:
        await checkpoint()
        if len(item) == len(checks.PIECE):
            return  # as if there were memory for it
        await super().send(item)


class SleepsOn(MemoryStream):
    """Is not woken by the end of either stream."""

    async def send(self, item: bytes) -> None:
        self._outgoing.wait = self.sleep  # type: ignore[method-assign]
        await super().send(item)

    async def sleep(self) -> None:
        await anyio.sleep_forever()


class BreaksWhenCancelled(MemoryStream):
    broken = False

    async def send(self, item: bytes) -> None:
        self.broken = True
        await super().send(item)
        self.broken = False

    async def aclose(self) -> None:
        if self.broken:
            raise RuntimeError("half a record was sent")
        await super().aclose()


class ReceivesWhenClosed(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        return b"more" if self.closed else await super().receive(max_bytes)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("mistake", "check", "text"),
    [
        (
            SendsSomething,
            checks.to_send_nothing_sends_nothing,
            "received b'\\x00item 1' instead of b'item 1;'",
        ),
        (
            ReturnsArrays,
            checks.it_returns_no_more_bytes_than_it_is_asked_for,
            "which is not one or more bytes",
        ),
        (
            IgnoresLimit,
            checks.it_returns_no_more_bytes_than_it_is_asked_for,
            "receive(4) returned 6 bytes",
        ),
        (
            TakesAnyLimit,
            checks.it_returns_no_more_bytes_than_it_is_asked_for,
            "receive(0) returned b'1' instead of raising ValueError",
        ),
        (
            DropsTheRest,
            checks.it_returns_no_more_bytes_than_it_is_asked_for,
            "receive(0) returned b'' instead",
        ),
        (
            RepeatsItself,
            checks.it_returns_no_more_bytes_than_it_is_asked_for,
            "received b'1234156' instead of b'123456'",
        ),
        (Swaps, checks.much_data_goes_both_ways_at_once, "not those that were sent"),
        (
            ReceivesForTwo,
            checks.two_tasks_cannot_receive_at_once,
            "while receive() while another task was in it",
        ),
        (
            SendsForTwo,
            checks.a_task_that_sends_waits_for_one_that_receives,
            "while send() while another task was in it",
        ),
        (
            HasNoBound,
            checks.a_task_that_sends_waits_for_one_that_receives,
            "took 67108864 bytes that nobody received",
        ),
        (
            SleepsOn,
            checks.closing_wakes_the_task_that_sends,
            "while send(), when its own stream was closed,",
        ),
        (
            SleepsOn,
            checks.the_other_stream_wakes_the_task_that_sends,
            "while send(), when the other stream was closed,",
        ),
        (
            BreaksWhenCancelled,
            checks.a_cancelled_send_lets_the_stream_be_closed,
            "RuntimeError (half a record was sent)",
        ),
        (
            ReceivesWhenClosed,
            checks.a_cancelled_send_lets_the_stream_be_closed,
            "receive() after aclose() returned b'more' instead of raising",
        ),
    ],
)
async def test_mistakes(mistake: type[MemoryStream], check: Any, text: str) -> None:
    await check_finds(mistake, check, checks._Bytes(), text)


@pytest.mark.virtual_time
async def test_all_mistakes_are_told_at_once() -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncGenerator[tuple[ByteStream, ByteStream]]:
        one, other = memory_stream_pair()
        other.__class__ = SendsSomething
        yield one, other

    with pytest.raises(AssertionError) as caught:
        await check_byte_stream(make_pair)
    assert str(caught.value) == (
        "1 of 42 checks failed:\n- to send nothing sends nothing (second stream): "
        "received b'\\x00item 1' instead of b'item 1;'"
    )


def test_the_checks_are_all_made() -> None:
    made = {check.__name__ for check in checks._CHECKS}
    assert made == {
        name
        for name, value in vars(checks).items()
        if list(getattr(value, "__annotations__", ())) == ["ends", "return"]
    }
