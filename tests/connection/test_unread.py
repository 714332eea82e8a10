"""What is read when the stream is lost; see also ``test_last_words``."""

from __future__ import annotations

import anyio

from anyio_websocket._connection._unread import (
    MAX_READS,
    READ_SIZE,
    cancel_later,
    read_unread,
)

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
