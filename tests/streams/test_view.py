"""How the end of a connection is told by the streams over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.abc import ByteStream, ObjectStream

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from anyio_websocket.testing import MemoryStream

from ..support.peer import linked

pytestmark = pytest.mark.virtual_time

Stream = ByteStream | ObjectStream[Any]
KINDS: list[Callable[[WebSocketConnection], Stream]] = [
    WebSocketConnection.as_byte_stream,
    WebSocketConnection.as_object_stream,
]


@pytest.fixture(params=KINDS, ids=["bytes", "objects"])
def view(request: pytest.FixtureRequest) -> Callable[[WebSocketConnection], Stream]:
    result: Callable[[WebSocketConnection], Stream] = request.param
    return result


async def check_end(
    stream: Stream,
    reason: CloseReason,
    receiving: type[Exception],
    sending: type[Exception] | None = None,
) -> None:
    """Both calls say that it is over, always in the same way, and name the cause."""
    sending = sending or receiving
    calls: list[tuple[Callable[[], Any], type[Exception]]] = [
        (stream.receive, receiving),
        (lambda: stream.send(b"x"), sending),
        (lambda: stream.send(b""), sending),
    ]
    for call, expected in calls * 2:
        with pytest.raises(expected) as caught:
            await call()
        cause = caught.value.__cause__
        assert isinstance(cause, ConnectionClosed)
        assert cause.reason == reason
        assert str(caught.value) == str(cause)


@pytest.mark.parametrize("code", [1000, 1001, 1005])
async def test_the_peer_closes_in_the_normal_way(view: Any, code: int) -> None:
    async with linked() as (client, server):
        stream = view(client)
        await server.send_message(b"last")
        reason = CloseReason(1000 if code == 1005 else code, "bye")
        await server.aclose(code, "bye")
        assert await stream.receive() == b"last"
        await check_end(stream, reason, EndOfStream, BrokenResourceError)
        async for _ in stream:
            pytest.fail("there is nothing more")


async def test_the_peer_closes_because_something_is_wrong(view: Any) -> None:
    async with linked() as (client, server):
        await server.aclose(1011, "a bug")
        reason = CloseReason(1011, "a bug")
        await check_end(view(client), reason, BrokenResourceError)


async def test_the_stream_below_ends_without_a_close(view: Any) -> None:
    async with linked() as (client, server):
        transport: Any = server._core.transport
        below: MemoryStream = transport._stream
        below.end()
        await below.aclose()
        lost = CloseReason(1006, None)
        await check_end(view(client), lost, BrokenResourceError)
        # It is the same if the other side has closed it since.
        await view(client).aclose()


async def test_this_side_closes_the_stream_or_the_connection(view: Any) -> None:
    for by_stream in (False, True):
        async with linked() as (client, _):
            stream = view(client)
            await (stream if by_stream else client).aclose()
            assert client.closed == CloseReason(1000, None)
            await check_end(stream, client.closed, ClosedResourceError)
            await stream.aclose()


async def test_this_side_closes_when_the_peer_has_closed(view: Any) -> None:
    async with linked() as (client, server):
        stream = view(client)
        for _ in range(3):
            await server.send_message(b"not fetched")
        await server.aclose(1001)
        assert await stream.receive() == b"not fetched"
        await stream.aclose()
        reason = CloseReason(1001, None)
        await check_end(stream, reason, ClosedResourceError)


@pytest.mark.parametrize("expected", [ClosedResourceError, EndOfStream])
async def test_a_task_that_waits_is_told_who_closes(
    view: Any, expected: type[Exception]
) -> None:
    async with linked() as (client, server):

        async def wait() -> None:
            with pytest.raises(expected):
                await view(client).receive()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await (server if expected is EndOfStream else client).aclose()


async def test_one_direction_cannot_be_ended_alone(view: Any) -> None:
    async with linked() as (client, server):
        with pytest.raises(NotImplementedError, match="one direction alone"):
            await view(client).send_eof()
        await view(client).send(b"x")
        assert await view(server).receive() == b"x"


async def test_closing_is_a_checkpoint_and_closes_even_if_it_is_cancelled(
    view: Any,
) -> None:
    async with linked() as (client, _):
        for _ in range(2):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await view(client).aclose()
            assert scope.cancelled_caught
            assert client.closed is not None
