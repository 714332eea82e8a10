"""What every transport shares."""

from __future__ import annotations

import anyio

from anyio_websocket._transport import send

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
