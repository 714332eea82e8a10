"""Both ends of a connection, as a test of an application is given them."""

from __future__ import annotations

import pytest

from anyio_websocket import ConnectionClosed
from anyio_websocket.testing import websocket_pair


async def test_both_ends_are_there_and_end_together() -> None:
    async with websocket_pair(
        max_message_size=5, client={"subprotocols": ["chat"]}
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == "chat"
        await client.send_message("hello")
        assert await server.get_message() == "hello"
        await server.send_message(b"again")
        assert await client.get_message() == b"again"
    for end in (client, server):
        assert end.closed is not None
        assert end.closed.code == 1000


async def test_the_limits_are_real() -> None:
    async with websocket_pair(server={"max_message_size": 4}) as (client, _):
        await client.send_message("hello")
        with pytest.raises(ConnectionClosed) as caught:
            await client.get_message()
    assert caught.value.reason is not None
    assert caught.value.reason.code == 1009


async def test_the_exception_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(AssertionError, match="of the block"):
        async with websocket_pair():
            raise AssertionError("of the block")
