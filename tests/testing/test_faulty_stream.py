"""A stream on which something goes wrong, at a time that the test says."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from anyio_websocket import WebSocketError, WebSocketRequest, wrap_client_stream
from anyio_websocket.testing import FaultyStream, memory_stream_pair, serve_in_memory


async def test_without_a_fault_it_is_the_stream_below() -> None:
    one, other = memory_stream_pair()
    faulty = FaultyStream(one)
    await faulty.send(b"")
    await faulty.send(b"hello")
    assert await other.receive() == b"hello"
    await other.send(b"world")
    assert await faulty.receive(2) == b"wo"
    assert await faulty.receive() == b"rld"
    await faulty.send_eof()
    with pytest.raises(anyio.EndOfStream):
        await other.receive()
    await faulty.aclose()
    assert one.closed
    assert faulty.calls == 6
    assert faulty.extra(SocketAttribute.remote_address, None) is None


async def test_reads_and_writes_are_short() -> None:
    one, other = memory_stream_pair()
    sizes: list[int] = []

    class Noting(FaultyStream):
        async def send(self, item: bytes) -> None:
            sizes.append(len(item))
            await super().send(item)

    faulty = FaultyStream(Noting(one), max_send=2, max_receive=3)
    await faulty.send(b"12345")
    assert sizes == [2, 2, 1]
    assert await other.receive() == b"12345"
    await other.send(b"12345")
    assert await faulty.receive() == b"123"
    assert await faulty.receive(1) == b"4"


@pytest.mark.virtual_time
async def test_each_call_is_slow() -> None:
    one, other = memory_stream_pair()
    faulty = FaultyStream(one, delay=60)
    started = anyio.current_time()
    await faulty.send(b"x")
    await other.send(b"x")
    await faulty.receive()
    await faulty.aclose()
    assert anyio.current_time() - started == pytest.approx(180)


@pytest.mark.virtual_time
async def test_the_peer_stops_reading() -> None:
    one, other = memory_stream_pair()
    faulty = FaultyStream(one, capacity=4)
    await faulty.send(b"12")
    with anyio.move_on_after(3600) as scope:
        await faulty.send(b"3456")
    assert scope.cancelled_caught
    assert await other.receive() == b"1234"
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await faulty.send(b"more")

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        await faulty.aclose()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, anyio.BrokenResourceError),
        (OSError(5, "input/output error"), OSError),
        (lambda: RuntimeError("closed"), RuntimeError),
    ],
)
async def test_one_call_fails(error: Any, kind: type[Exception]) -> None:
    one, other = memory_stream_pair()
    options = {} if error is None else {"error": error}
    faulty = FaultyStream(one, fail_at=2, operations=["receive"], **options)
    await other.send(b"123")
    await faulty.send(b"does not count")
    assert await faulty.receive(1) == b"1"
    with pytest.raises(kind):
        await faulty.receive(1)
    assert await faulty.receive(1) == b"2"  # and works again
    assert faulty.calls == 3


@pytest.mark.virtual_time
@pytest.mark.parametrize("operation", ["receive", "send", "send_eof"])
async def test_one_call_never_ends_unless_the_stream_is_closed(operation: str) -> None:
    one, _ = memory_stream_pair()
    faulty = FaultyStream(one, hang_at=1)
    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await getattr(faulty, operation)(*[b"x"] * (operation == "send"))

        tasks.start_soon(call)
        await anyio.sleep(3600)
        await faulty.aclose()


@pytest.mark.virtual_time
async def test_closing_never_ends_unless_it_is_cancelled() -> None:
    one, _ = memory_stream_pair()
    faulty = FaultyStream(one, hang_at=1)
    with anyio.move_on_after(3600) as scope:
        await faulty.aclose()
    assert scope.cancelled_caught
    assert one.closed


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": -1},
        {"delay": -1},
        {"max_receive": 0},
        {"max_send": 0},
        {"fail_at": 0},
        {"hang_at": 0},
        {"operations": ["read"]},
        {"operations": "send"},
    ],
)
async def test_what_cannot_work_is_an_error_at_the_call(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).rstrip("s")):
        FaultyStream(memory_stream_pair()[0], **options)


@pytest.mark.virtual_time
async def test_every_call_of_a_connection_may_fail() -> None:
    async def echo(request: WebSocketRequest) -> None:
        connection = await request.accept()
        async for message in connection:
            await connection.send_message(message)

    async def talk(fail_at: int | None) -> FaultyStream:
        async with serve_in_memory(echo) as connect, anyio.create_task_group() as tasks:
            stream = FaultyStream(connect.stream(), fail_at=fail_at)
            with anyio.fail_after(100):
                client = await wrap_client_stream(tasks, stream, "localhost", "/")
                await client.send_message("hello")
                assert await client.get_message() == "hello"
                await client.aclose()
        return stream

    count = (await talk(None)).calls
    assert count >= 6
    failed = 0
    for number in range(1, count + 1):
        try:
            await talk(number)
        except* WebSocketError:
            failed += 1
    assert 4 <= failed < count  # closing may fail, and nobody is told
