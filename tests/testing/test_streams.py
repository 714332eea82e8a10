"""Streams in memory behave as sockets do, and worse on request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from anyio_websocket.testing import MemoryListener, memory_stream_pair

from ..support.streams import failing, hang


async def test_bytes_arrive_and_end() -> None:
    one, other = memory_stream_pair()
    await one.send(b"hello")
    assert await other.receive(2) == b"he"
    assert await other.receive() == b"llo"
    await one.send_eof()
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await other.receive()
    await other.send(b"still open this way")
    assert await one.receive() == b"still open this way"
    with pytest.raises(anyio.ClosedResourceError):
        await one.send(b"after the end")
    await one.aclose()
    await other.aclose()


async def test_a_full_stream_makes_the_sender_wait() -> None:
    one, other = memory_stream_pair(capacity=4)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.send, b"123456")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert await other.receive() == b"1234"  # a cancelled send leaves what was sent
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"56789")
        assert await other.receive() == b"5678"
        assert await other.receive() == b"9"


async def test_two_at_once_are_refused() -> None:
    one, other = memory_stream_pair(capacity=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await other.receive()
        await one.send(b"1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"22")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await one.send(b"3")
        assert [await other.receive(), await other.receive()] == [b"2", b"2"]


@pytest.mark.parametrize("how", ["receive", "send"])
async def test_closing_wakes_waiting_tasks(how: str) -> None:
    one, _ = memory_stream_pair(capacity=1)

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await (one.receive() if how == "receive" else one.send(b"12"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await one.aclose()
    await one.aclose()


async def test_closing_breaks_the_other_end() -> None:
    one, other = memory_stream_pair()
    await other.send(b"unread")
    await one.aclose()
    with pytest.raises(anyio.BrokenResourceError):  # a reset, for data was unread
        await other.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await other.send(b"no one listens")
    one, other = memory_stream_pair()
    await one.aclose()
    with pytest.raises(anyio.EndOfStream):
        await other.receive()


async def test_a_reset_breaks_both_ends() -> None:
    one, other = memory_stream_pair()
    one.reset()
    for stream in (one, other):
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"lost")


async def test_streams_fail_on_request() -> None:
    one, other = memory_stream_pair()
    one.max_send, other.max_receive = 2, 3
    one.before_send = failing(anyio.BrokenResourceError(), after=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"12345")
        got = [await other.receive()]
        while len(b"".join(got)) < 5:
            got.append(await other.receive())
    assert b"".join(got) == b"12345"
    assert max(map(len, got)) <= 3
    with pytest.raises(anyio.BrokenResourceError):
        await one.send(b"6")


@pytest.mark.virtual_time
@pytest.mark.parametrize("operation", ["receive", "send", "eof", "close"])
async def test_streams_hang_on_request(operation: str) -> None:
    one, _ = memory_stream_pair()
    setattr(one, f"before_{operation}", hang)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "receive": one.receive,
        "send": lambda: one.send(b"x"),
        "eof": one.send_eof,
        "close": one.aclose,
    }
    with anyio.move_on_after(3600) as scope:
        await calls[operation]()
    assert scope.cancelled_caught


async def test_a_stream_ends_whatever_is_on_its_way() -> None:
    one, other = memory_stream_pair()
    await one.send(b"half a fra")
    other.end()
    with pytest.raises(anyio.EndOfStream):
        await other.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await one.send(b"me")
    await other.send(b"still open this way")
    assert await one.receive() == b"still open this way"


async def test_a_listener_hands_over_the_other_end() -> None:
    listener = MemoryListener()
    client = listener.connect()
    server = await listener.accept()
    await client.send(b"hello")
    assert await server.receive() == b"hello"
    assert client.extra(SocketAttribute.local_address, None) is None
    await listener.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()
    with pytest.raises(anyio.ClosedResourceError):
        listener.connect()


async def test_a_listener_is_closed_while_somebody_waits() -> None:
    listener = MemoryListener()

    accepted: list[ByteStream] = []

    async def accept() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            while True:
                accepted.append(await listener.accept())

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        for count in (1, 2):
            listener.connect()
            await anyio.wait_all_tasks_blocked()
            assert len(accepted) == count
        await listener.aclose()


async def test_clients_that_nobody_accepts() -> None:
    listener = MemoryListener(backlog=1)
    client = listener.connect()
    with pytest.raises(anyio.WouldBlock):
        listener.connect()
    await listener.aclose()
    with pytest.raises(anyio.BrokenResourceError):
        await client.receive()


async def test_streams_have_addresses_as_over_tcp() -> None:
    listener = MemoryListener(host="::1")
    for port in (49_152, 49_153):
        server, client = listener.pair()
        assert client.extra(SocketAttribute.local_address) == ("::1", port)
        assert server.extra(SocketAttribute.remote_address) == ("::1", port)
        assert client.extra(SocketAttribute.remote_address) == ("::1", 80)
        assert server.extra(SocketAttribute.local_address) == ("::1", 80)


async def test_a_stream_becomes_narrow() -> None:
    one, other = memory_stream_pair()
    other.narrow(4, 3)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.send, b"123456")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert await other.receive() == b"123"
    assert await other.receive() == b"4"
