"""A handler that waits for a minute, tested on trio in no time.

Run it by ``pytest examples/tested_by_clock.py``.
"""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

from anyio_websocket import ConnectionClosed, WebSocketRequest
from anyio_websocket.testing import serve_in_memory

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def listen(request: WebSocketRequest) -> None:
    """Close the connection of a client that says nothing for a minute."""
    ws = await request.accept()
    while True:
        with anyio.move_on_after(60) as scope:
            await ws.get_message()
        if scope.cancelled_caught:
            await ws.aclose(4000, "say something")
            return


async def test_a_client_that_says_nothing() -> None:
    async with serve_in_memory(listen) as connect, connect("/") as ws:
        started = anyio.current_time()
        with pytest.raises(ConnectionClosed, match="say something"):
            await ws.get_message()
        assert anyio.current_time() - started == pytest.approx(60, abs=1)
