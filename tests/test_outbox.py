"""The outbox by itself: what goes out before what."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket import CloseReason, ConnectionClosed
from anyio_websocket._attendant import Attendant
from anyio_websocket._closing import Closing
from anyio_websocket._outbox import Outbox
from anyio_websocket._transport import wrap

from .support.streams import MemoryStream, stream_pair


def same(frame: bytes) -> bytes:
    return frame


def outbox(stream: MemoryStream, attendant: Attendant) -> tuple[Outbox, Closing]:
    transport = wrap(stream)
    closing = Closing(transport, lambda: None, lambda: None)
    return Outbox(transport, closing, attendant), closing


async def test_a_pong_goes_before_the_next_message() -> None:
    # Whoever comes first to the lock, the sender or the job that writes answers.
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, _ = outbox(ours, Attendant(tasks))  # which runs no job before it starts
        box.pong(b"old pong, ")
        box.pong(b"pong, ")
        await box.send(same, b"message")
        assert not box.has_pong
        assert await theirs.receive() == b"pong, message"


async def test_nothing_goes_after_a_close() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, closing = outbox(ours, Attendant(tasks))
        box.pong(b"pong, ")
        box.note_close(b"close")
        closing.begin(CloseReason(1000, None), by_us=True)
        with pytest.raises(ConnectionClosed):
            await box.send(same, b"message")
        await box.flush()
        assert await theirs.receive() == b"pong, close"


async def test_nothing_goes_out_once_it_is_over() -> None:
    ours, theirs = stream_pair()
    async with anyio.create_task_group() as tasks:
        box, closing = outbox(ours, Attendant(tasks))
        await closing.abort()
        box.pong(b"pong")
        await box.flush()
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()
