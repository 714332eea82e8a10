"""What is read when the stream is lost; see also ``test_last_words``."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket import ConnectionClosed
from anyio_websocket._connection._unread import (
    MAX_READS,
    READ_SIZE,
    cancel_later,
    read_unread,
)

from ..support.peer import Opener
from ..support.sockets import pair


async def test_E13_all_that_is_there_is_read() -> None:
    async with pair() as (transport, theirs):
        assert read_unread(transport) == b""
        theirs.sendall(b"x" * 150_000)
        await anyio.sleep(0.05)
        assert read_unread(transport) == b"x" * 150_000
        theirs.sendall(b"last")
        theirs.close()
        await anyio.sleep(0.01)
        assert read_unread(transport) == b"last"
        await transport.abort()
        assert read_unread(transport) == b""  # an error is the end
    assert MAX_READS * READ_SIZE > 6 * 2**20  # what Linux lets a socket store


async def test_E13_an_attempt_to_receive_ends() -> None:
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_later, scope)
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.virtual_time
async def test_E7_every_receiver_learns_of_the_end_while_a_sender_reads_what_is_left(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        ws, peer, _ = await opener(tasks)

        async def receive() -> None:
            for _ in range(3):  # it calls again before the other task has run
                with pytest.raises(ConnectionClosed):
                    await ws.get_message()

        async def send() -> None:
            with pytest.raises(ConnectionClosed):
                await ws.send_message(bytes(100_000))

        with anyio.fail_after(1):
            async with anyio.create_task_group() as users:
                users.start_soon(receive)
                users.start_soon(receive)
                users.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                await peer.stream.aclose()
                await ws.aclose()
