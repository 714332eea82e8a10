"""The end that the peer begins: what is recorded, and what it is sent."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket import CloseReason
from anyio_websocket._connection._peer_end import end_by_peer
from anyio_websocket._protocol import Close, Failure
from anyio_websocket.testing import Frame

from ..support.frames import CLOSE, close_payload
from ..support.peer import Opener

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("event", "received"),
    [
        (Close(4000, "bye"), CloseReason(4000, "bye")),
        (Close(1000, ""), CloseReason(1000, None)),
        (Failure(1002, "a mistake"), None),
    ],
)
async def test_the_peer_gets_a_close(
    opener: Opener, event: Close | Failure, received: CloseReason | None
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        core = connection._core
        end_by_peer(event, core.engine, core.outbox, core.close_state)
        reason = CloseReason(event.code, event.reason or None)
        assert connection.closed == core.close_state.sent == reason
        assert core.close_state.received == received
        assert await peer.receive_frame() == Frame(
            CLOSE, close_payload(event.code, event.reason)
        )
        await peer.stream.aclose()
        await connection.wait_closed()
