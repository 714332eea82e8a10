"""What every transport shares."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import anyio
import pytest

from anyio_websocket._transport import clock_of_loop, send

from ..support.backends import under_asyncio
from ..support.sockets import pair, read

BIG = bytes(range(256)) * 2**14  # 4 MiB, more than any buffer of a socket holds


async def test_send_waits_until_all_was_taken() -> None:
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        sent = anyio.Event()

        async def send_both() -> None:
            await send(transport, b"small")
            await send(transport, BIG)
            sent.set()

        tasks.start_soon(send_both)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        with anyio.fail_after(10):
            assert await read(theirs, 5 + len(BIG)) == b"small" + BIG
            await sent.wait()


async def test_E2_a_peer_that_never_closes_has_some_time_for_it() -> None:
    async with pair() as (transport, _):
        assert await transport.send_eof()
        with anyio.fail_after(10), transport.linger(0.01):
            assert not await transport.receive(100)


async def test_E2_so_has_a_peer_that_sends_without_an_end() -> None:
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:

        async def send_without_an_end() -> None:
            while True:
                await anyio.wait_writable(theirs)
                with suppress(BlockingIOError):
                    theirs.send(bytes(2**16))

        tasks.start_soon(send_without_an_end)
        assert await transport.send_eof()
        received = 0
        with anyio.fail_after(10), transport.linger(0.05):
            while data := await transport.receive(1000):
                received += len(data)
        assert received > 0
        tasks.cancel_scope.cancel()


async def test_F1_a_task_is_cancelled_while_it_waits_for_the_end() -> None:
    async with pair() as (transport, _):
        assert await transport.send_eof()
        with anyio.move_on_after(0.01) as scope, transport.linger(10):
            await transport.receive(100)
        assert scope.cancelled_caught


async def test_the_clock_is_that_of_the_event_loop() -> None:
    clock = clock_of_loop()
    before = anyio.current_time()
    assert before <= clock() <= anyio.current_time()


@under_asyncio
async def test_the_clock_is_that_which_a_test_gives_the_loop() -> None:
    clock = clock_of_loop()  # of a server that was started before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "time", lambda: 12.5)
        assert clock() == anyio.current_time() == 12.5
