"""What a connection says of itself, before, during and after its life."""

from __future__ import annotations

import pytest

from ..support.peer import linked

pytestmark = pytest.mark.virtual_time


async def test_the_handshake_is_remembered() -> None:
    async with linked(accept={"extra_headers": [("X-Room", "7")]}) as (client, server):
        assert client.handshake_status == server.handshake_status == 101
        assert client.handshake_headers == ((b"x-room", b"7"),)
        assert dict(server.handshake_headers)[b"upgrade"] == b"websocket"
    assert client.handshake_status == 101
    assert client.handshake_headers == ((b"x-room", b"7"),)
