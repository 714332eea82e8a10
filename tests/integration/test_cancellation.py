"""A cancellation at every single step, after which a connection works or is over.

Each operation is played once to count its steps, and then again for each of them. Over
a stream there is no way to know how much of a frame was sent, so the connection may be
over afterwards. Over the library's sockets only cancelling ``aclose()`` ends it.
On asyncio each is cancelled by a cancel scope, and by what asyncio itself has for it.
"""

from __future__ import annotations

import gc
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import product
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketError,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.testing import memory_stream_pair

from ..support.backends import tasks_now
from ..support.peer import linked, linked_by_sockets
from ..support.servers import serving
from ..support.steps import Way, by_scope, by_task, cancelled_at, ways
from ..support.sweeps import swept

pytestmark = pytest.mark.sweep

Operation = Callable[[WebSocketConnection], Coroutine[Any, Any, None]]
OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "disconnect_timeout": 3,
    "ping_interval": 5,
    "ping_timeout": 5,
    "message_queue_size": 100,
}
BUDGET = 30  # seconds
LARGE = bytes(range(256)) * 20
LARGER = LARGE * 2
HUGE = bytes(range(256)) * 400  # more than a socket takes at once


async def send_small(ws: WebSocketConnection) -> None:
    await ws.send_message("small")


async def send_large(ws: WebSocketConnection) -> None:
    await ws.send_message(LARGE)


async def send_huge(ws: WebSocketConnection) -> None:
    await ws.send_message(HUGE)


async def send_in_turn(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.send_message, HUGE)
        await anyio.lowlevel.checkpoint()
        await ws.send_message("behind")


async def send_many(ws: WebSocketConnection) -> None:
    for i in range(70):  # so many that the sender gives way in between
        await ws.send_message(f"one of many: {i}")


async def receive(ws: WebSocketConnection) -> None:
    await ws.send_message("for me")
    assert await ws.get_message() == "for me"


async def receive_in_parts(ws: WebSocketConnection) -> None:
    await ws.send_message(LARGE)
    async with ws.receive_fragments() as parts:
        found: list[Any] = [part async for part in parts]
    assert b"".join(found) == LARGE


async def leave_early(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.send_message, LARGE)
        async with ws.receive_fragments() as parts:
            await anext(parts)
        await ws.ping()


async def receive_by_two(ws: WebSocketConnection) -> None:
    await ws.send_message("for me")
    await ws.send_message("for the other")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.get_message)
        await ws.get_message()


async def ping_once(ws: WebSocketConnection) -> None:
    await ws.ping()


async def close(ws: WebSocketConnection) -> None:
    await ws.aclose(4000)


async def leave_the_block(ws: WebSocketConnection) -> None:
    async with ws:
        await ws.send_message("small")


async def close_from_two_tasks(ws: WebSocketConnection) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.aclose, 4000)
        await ws.aclose(4000)


OPERATIONS: list[Operation] = [
    send_small,
    send_large,
    send_in_turn,
    receive,
    receive_in_parts,
    leave_early,
    receive_by_two,
    ping_once,
    close,
    leave_the_block,
    close_from_two_tasks,
]
CLOSE: list[Operation] = [close, leave_the_block, close_from_two_tasks]


@asynccontextmanager
async def echoed(server: WebSocketConnection) -> AsyncGenerator[None]:
    """Echo while the block lasts, and until the connection ends."""

    async def answer() -> None:
        with suppress(ConnectionClosed):
            async for message in server:
                await server.send_message(message)

    with anyio.fail_after(BUDGET):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            yield


async def still_works(ws: WebSocketConnection) -> list[str | bytes]:
    """Demand whole messages in order; return those that came before the last one."""
    await ws.send_message("the last one")
    await ws.ping()
    rest: list[str | bytes] = []
    while (message := await ws.get_message()) != "the last one":
        rest.append(message)
    return rest


async def is_over(ws: WebSocketConnection) -> None:
    await ws.wait_closed()
    with pytest.raises(ConnectionClosed):
        await ws.send_message("too late")
    with pytest.raises(ConnectionClosed):
        while True:
            await ws.get_message()


def right(operation: Operation, rest: list[str | bytes]) -> bool:
    """Say whether these are what the operation sent: in order, and none twice."""
    if operation is send_many:
        return rest == [f"one of many: {i}" for i in range(len(rest))]
    return rest in (
        *([], ["small"], [LARGE], [HUGE], ["behind"]),
        *([HUGE, "behind"], ["behind", HUGE]),  # whichever task came first
        *(["for me"], ["for me", "for the other"], ["for the other"]),
    )


@pytest.mark.virtual_time
@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_F1_to_F3_D7_E9_cancelled_at_every_step(
    operation: Operation, compression: bool, anyio_backend_name: str
) -> None:
    options = {**OPTIONS, "compression": compression}

    async def play(at: int | None, way: Way = by_scope) -> int:
        async with linked(1000, client=options, server=options) as (ws, server):
            stream: Any = ws._core.transport._stream  # type: ignore[attr-defined]
            async with echoed(server):
                count = await cancelled_at(at, operation(ws), way)
                if ws.closed is None:
                    assert right(operation, await still_works(ws))
                else:
                    assert stream.closed  # at once: nothing can follow
                    await is_over(ws)
                await ws.aclose()
        return count

    count = await play(None)
    assert count > 0
    for way, at in swept(product(ways(anyio_backend_name), range(count))):
        await play(at, way)
    gc.collect()  # what was not closed or awaited warns now, and fails the test


@pytest.mark.virtual_time
@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("operation", [*OPERATIONS, send_huge, send_many])
async def test_F1_to_F3_D7_E9_cancelled_at_every_step_over_sockets(
    operation: Operation, compression: bool, anyio_backend_name: str
) -> None:
    async def play(at: int | None, way: Way = by_scope) -> int:
        async with linked_by_sockets(compression, **OPTIONS) as (ws, server):
            async with echoed(server):
                count = await cancelled_at(at, operation(ws), way)
                if ws._core.transport.unsent and operation is send_huge:
                    # The frame is finished though no task sends anything more.
                    with anyio.fail_after(1):  # long before the keepalive does
                        assert await ws.get_message() == HUGE
                if ws.closed is None:
                    assert right(operation, await still_works(ws))
                else:
                    # What is cancelled while it sends leaves the rest to others, so
                    # only who closes ends it.
                    assert operation in CLOSE
                    await is_over(ws)
                await ws.aclose()
            assert server.closed is not None
        return count

    count = await play(None)
    for way, at in swept(product(ways(anyio_backend_name), range(count))):
        await play(at, way)
    gc.collect()


@pytest.mark.virtual_time
async def test_F6_handshakes_cancelled_at_every_step(anyio_backend_name: str) -> None:
    async def play(
        client: int | None, server: int | None, way: Way = by_scope
    ) -> tuple[int, int]:
        counts = [0, 0]
        ours, theirs = memory_stream_pair()
        with anyio.fail_after(BUDGET):
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    async def work() -> None:
                        try:
                            asked = await wrap_server_stream(tasks, theirs, **OPTIONS)
                            await (await asked.accept()).wait_closed()
                        except WebSocketError:
                            pass

                    counts[1] = await cancelled_at(server, work(), way)
                    await theirs.aclose()

                async def connect() -> None:
                    async def work() -> None:
                        try:
                            ws = await wrap_client_stream(
                                tasks, ours, "example.org", "/", **OPTIONS
                            )
                        except WebSocketError:
                            assert server is not None
                        else:
                            await ws.aclose()

                    counts[0] = await cancelled_at(client, work(), way)

                tasks.start_soon(serve)
                tasks.start_soon(connect)
        assert ours.closed
        return counts[0], counts[1]

    clients, servers = await play(None, None)
    assert clients > 3
    assert servers > 2
    for way, at in swept(product(ways(anyio_backend_name), range(clients))):
        await play(at, None, way)
    for way, at in swept(product(ways(anyio_backend_name), range(servers))):
        await play(None, at, way)
    gc.collect()


@pytest.mark.virtual_time
async def test_F3_the_nursery_cancelled_at_every_step(anyio_backend_name: str) -> None:
    # Here the nursery of the connection is cancelled, and so is its background task.
    async def play(at: int | None, way: Way = by_scope) -> int:
        ours, theirs = memory_stream_pair(1000)
        counts: list[int] = []
        closed: list[CloseReason | None] = []

        async def serve() -> None:
            async with anyio.create_task_group() as tasks:
                with suppress(WebSocketError):  # it may be gone before that
                    asked = await wrap_server_stream(tasks, theirs, **OPTIONS)
                    ws = await asked.accept()
                    with suppress(ConnectionClosed):
                        async for message in ws:
                            await ws.send_message(message)
                    await ws.aclose()
                    closed.append(ws.closed)

        async def use() -> None:
            async with anyio.create_task_group() as tasks:
                ws = await wrap_client_stream(
                    tasks, ours, "example.org", "/", **OPTIONS
                )
                await ws.ping()
                await ws.send_message(LARGE)
                assert await ws.get_message() == LARGE
                await ws.aclose()

        with anyio.fail_after(BUDGET):
            async with anyio.create_task_group() as outer:

                async def work() -> None:
                    counts.append(await cancelled_at(at, use(), way))

                outer.start_soon(work)
                await serve()
        assert ours.closed
        assert theirs.closed
        return counts[0]

    count = await play(None)
    for way, at in swept(product(ways(anyio_backend_name), range(count))):
        # If a scope of another task of the group is cancelled at the same moment, anyio
        # takes a cancellation of this task back.
        await play(at, partial(by_task, counted=False) if way is by_task else way)
    gc.collect()


@pytest.mark.virtual_time
@pytest.mark.parametrize("compression", [False, True])
async def test_F1_F2_E7_cancelled_at_every_step_beside_others(
    compression: bool, anyio_backend_name: str
) -> None:
    async def play(at: int | None, way: Way = by_scope) -> int:
        got: list[str | bytes] = []
        sent = False
        async with linked_by_sockets(compression, **OPTIONS) as (ws, server):

            async def receive() -> None:
                got.append(await ws.get_message())

            async def use() -> None:
                nonlocal sent
                await ws.send_message(LARGER)
                sent = True
                await receive()

            async with echoed(server):
                async with anyio.create_task_group() as others:
                    for message in ("before", LARGE[1:]):
                        others.start_soon(receive)
                        others.start_soon(ws.send_message, message)
                    await anyio.lowlevel.checkpoint()
                    count = await cancelled_at(at, use(), way)
                    await ws.send_message("behind")
                got += await still_works(ws)
                await ws.aclose()
        for message in ("before", LARGE[1:], "behind"):
            got.remove(message)
        assert got == [LARGER] or not (got or sent)
        return count

    count = await play(None)
    for way, at in swept(product(ways(anyio_backend_name), range(count))):
        await play(at, way)
    gc.collect()


@pytest.mark.parametrize("tls", [False, True])
async def test_F6_a_block_opened_and_cancelled_at_every_step(
    tls: bool,
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
    anyio_backend_name: str,
) -> None:
    async def use(port: int) -> None:
        context = client_tls if tls else False
        async with open_websocket("localhost", port, "/", use_ssl=context) as ws:
            await ws.send_message("small")
            assert await ws.get_message() == "small"

    async def play(port: int, at: int | None, way: Way = by_scope) -> int:
        before = tasks_now()
        count = await cancelled_at(at, use(port), way)
        with anyio.fail_after(BUDGET):
            while tasks_now() > before:
                await anyio.sleep(0.001)
        return count

    async with serving(tls=server_tls if tls else None) as port:
        url = f"{'wss' if tls else 'ws'}://localhost:{port}"
        async with (
            open_websocket_url(url, client_tls if tls else None) as other,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(other.get_message)  # so the background task has no job
            count = await play(port, None)
            assert count > 5
            for way, at in swept(product(ways(anyio_backend_name), range(count))):
                await play(port, at, way)
            await other.send_message("still here?")
    gc.collect()
