"""For how long sending waited."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._connection import _timed_outbox

from ..support.peer import Opener

pytestmark = pytest.mark.virtual_time


async def test_the_time_that_sending_waits_for_the_peer(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It has to be readable without an event loop, so it is not of the loop's clock.
    monkeypatch.setattr(_timed_outbox, "monotonic", anyio.current_time)

    def seconds() -> float | None:
        return connection.statistics().send_wait_seconds

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, capacity=1000, count_messages=True)
        await connection.send_message("short")
        assert seconds() == 0
        tasks.start_soon(connection.send_message, "x" * 5000)
        tasks.start_soon(connection.send_message, "waits for the other")
        await anyio.sleep(3)
        assert seconds() == 3
        assert connection.statistics().unsent_bytes >= 4000
        await peer.receive_frame()  # the short one
        await peer.receive_frame()
        await peer.receive_frame()
        await anyio.sleep(5)
        assert seconds() == 3
        assert connection.statistics().unsent_bytes == 0
        assert connection.statistics().messages_sent == 3
        tasks.cancel_scope.cancel()
