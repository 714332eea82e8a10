"""A handler and its tests, on asyncio and on trio, without a port.

Run it by ``pytest examples/tested.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket import ConnectionRejected, WebSocketRequest
from anyio_websocket.testing import Opcode, ScriptedPeer, serve_in_memory

pytestmark = pytest.mark.anyio
TOKEN = {"X-Token": "sesame"}


async def shout(request: WebSocketRequest) -> None:
    """Send back in capitals what comes, to who has the token."""
    if request.header("X-Token") != "sesame":
        await request.reject(403, body=b"no token")
        return
    ws = await request.accept()
    async for message in ws:
        assert isinstance(message, str)
        await ws.send_message(message.upper())


async def test_it_shouts() -> None:
    async with serve_in_memory(shout) as connect, connect(extra_headers=TOKEN) as ws:
        await ws.send_message("hello")
        assert await ws.get_message() == "HELLO"


async def test_who_has_no_token_is_rejected() -> None:
    async with serve_in_memory(shout) as connect:
        with pytest.raises(ConnectionRejected) as caught:
            async with connect("/"):
                pass
    assert caught.value.status_code == 403
    assert caught.value.body == b"no token"


async def test_an_odd_client() -> None:
    async with serve_in_memory(shout) as connect:
        peer = ScriptedPeer(connect.stream(), is_client=True)
        await peer.handshake(b"X-Token: sesame")
        await peer.send_frame(Opcode.TEXT, "hel", fin=False)
        await peer.send_frame(Opcode.CONTINUATION, "lo")
        await peer.expect_frame(Opcode.TEXT, "HELLO")
        await peer.send_frame(Opcode.TEXT, b"\xff")  # no UTF-8
        await peer.expect_close(1007)


async def test_by_the_fixture(serve_in_memory: Any) -> None:
    connect = await serve_in_memory(shout, max_message_size=100)
    assert (await connect.request("GET")).status_code == 400
