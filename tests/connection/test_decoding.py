"""What was received becomes messages without waiting, as far as there is room."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._connection._decoding import Decoding
from anyio_websocket.testing import Frame

from ..support.frames import BINARY, PING, PONG
from ..support.peer import Opener

pytestmark = pytest.mark.virtual_time


async def test_it_decodes_as_far_as_there_is_room(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, ping_interval=None, message_queue_size=1
        )
        reader = connection._core.reader
        assert isinstance(reader, Decoding)
        data = b"".join(peer.frame(BINARY, b"%d" % number) for number in range(3))
        reader.feed(data + peer.frame(PING, b"behind"))
        assert not reader.decode_now()
        assert reader.is_full()
        assert reader.has_received
        for number in range(3):
            assert await connection.get_message() == b"%d" % number
        assert reader.decode_now()
        assert await peer.receive_frame() == Frame(PONG, b"behind")
        tasks.cancel_scope.cancel()
