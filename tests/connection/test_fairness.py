"""The fairness budget: when a connection lets other tasks run."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from anyio_websocket._connection._fairness import LIMIT, FairnessBudget, last_yield

from ..support.peer import linked_by_sockets

pytestmark = pytest.mark.virtual_time


def test_renewing_counts_both_directions_from_zero() -> None:
    fairness = FairnessBudget()
    fairness.events = fairness.sends = LIMIT
    fairness.renew()
    assert (fairness.events, fairness.sends) == (0, 0)


def test_the_connections_of_a_thread_share_when_it_yielded() -> None:
    assert last_yield() is last_yield()
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(last_yield).result() is not last_yield()


async def test_an_echo_of_a_burst_is_sent_at_once() -> None:
    # Each of the messages is an event and a send, but these are not added up.
    async with linked_by_sockets(message_queue_size=math.inf) as (client, server):
        frame = client._core.engine.frame_message
        burst = b"".join(frame(b"%d" % i) for i in range(LIMIT))
        assert client._core.transport.write(burst)
        await anyio.wait_all_tasks_blocked()
        first = await server.get_message()  # waits, as the others need not
        assert server._core.reader._fairness is server._core.outbox._fairness
        server._core.reader._fairness.renew()
        server._core.outbox._quick_replies_needed = 0
        await server.send_message(first)
        for _ in range(LIMIT - 2):
            await server.send_message(await server.get_message())
        assert len(server._core.outbox._batch) == LIMIT - 1
        await server.send_message(await server.get_message())  # the last one
        assert not server._core.outbox._batch
        for i in range(LIMIT):
            assert await client.get_message() == b"%d" % i
