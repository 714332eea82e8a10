"""The memory of a message that comes in pieces, which go straight to their places."""

from __future__ import annotations

import io
import os

import pytest

from anyio_websocket._protocol._message_memory import (
    allocate,
    receive_piece,
    room,
    store,
)

from ..support.frames import masked

KEY = b"\x01\x80\xff\x7e"
SIZE = 100_000


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("allocated", [0, 1, SIZE - 1, SIZE, SIZE + 1])
@pytest.mark.parametrize("piece", [1001, 16_386, 30_003])
def test_pieces_are_stored(piece: int, allocated: int, key: bytes) -> None:
    payload = os.urandom(SIZE)
    data = b"ab" + (masked(payload, key) if key else payload) + b"?"
    message = io.BytesIO()
    message.write(b"first")
    if allocated:
        allocate(message, allocated)
    for start in range(0, SIZE, piece):
        turn = start % 4
        size = min(piece, SIZE - start)
        store(message, data, 2 + start, size, key[turn:] + key[:turn])
    message.truncate()
    assert message.getvalue() == b"first" + payload


def test_what_is_allocated_is_handed_out_without_a_copy() -> None:
    message = io.BytesIO()
    allocate(message, SIZE)
    assert message.tell() == 0
    store(message, bytes(SIZE), 0, SIZE, KEY)
    assert message.getvalue() is message.getvalue()
    assert len(message.getvalue()) == SIZE


@pytest.mark.parametrize("key", [b"", KEY])
def test_pieces_are_received_at_their_places(key: bytes) -> None:
    payload = os.urandom(SIZE)
    wire = io.BytesIO(masked(payload, key) if key else payload)
    message = io.BytesIO()
    message.write(b"first")
    assert room(message) == 0
    allocate(message, SIZE)
    came = 0
    for size in (1, SIZE // 2, SIZE):
        assert room(message) == SIZE - came
        turn = came % 4
        rotated = key[turn:] + key[:turn]
        came += receive_piece(message, size, rotated, wire.readinto)
    assert (came, room(message)) == (SIZE, 0)
    assert receive_piece(message, SIZE, key, wire.readinto) == 0
    assert message.getvalue() == b"first" + payload
