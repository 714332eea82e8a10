"""What was received becomes messages without waiting, as far as there is room."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._connection._decoding import Decoding
from anyio_websocket._protocol import Engine
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


async def test_it_returns_the_message_that_bytes_begin_with(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        reader = connection._core.reader
        one, two, three = (peer.frame(BINARY, b"%d" % number) for number in range(3))
        more_expected = []
        for data in (one, one + two + three[:3]):
            assert reader.take_received(data) == b"0"
            more_expected.append(connection._core.outbox.more_expected)
        assert more_expected == [False, True]
        # What came before is returned first.
        assert reader.take_received(three[3:]) is None
        for number in (1, 2):
            assert await connection.get_message() == b"%d" % number
        assert reader.take_received(peer.frame(PING, b"")) is None
        assert reader.take() is None
        assert await peer.receive_frame() == Frame(PONG, b"")
        tasks.cancel_scope.cancel()


async def test_G10_it_fails_if_a_received_message_cannot_be_decoded(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(self: Engine, data: bytes, max_count: int) -> object:
        raise MemoryError

    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        monkeypatch.setattr(Engine, "take_received", no_memory)
        with pytest.raises(MemoryError):
            connection._core.reader.take_received(peer.frame(BINARY, b""))
        assert connection._core.engine.failed
        assert connection.closed
        tasks.cancel_scope.cancel()
