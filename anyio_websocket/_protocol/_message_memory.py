"""The memory of a message that comes in pieces.

It is a ``BytesIO``, because CPython hands out the memory of one as the message without
a copy: joining 1 MiB takes 20 us, where a ``bytearray`` and ``bytes`` of it take 800,
most of them page faults.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from ._kernels import mask, mask_into

_LARGE: Final = 16384  # bytes of a piece; for smaller ones it does not pay


def allocate(message: io.BytesIO, size: int) -> None:
    """Allocate memory for what is still to come of a message.

    Growing in steps costs page faults at each step, 400 us for 1 MiB instead of 20.

    :param size: bytes, of which there is one at least

    """
    end = message.tell()
    message.seek(size - 1, io.SEEK_CUR)
    message.write(b"\0")
    message.seek(end)


def store(message: io.BytesIO, data: bytes, start: int, size: int, key: bytes) -> None:
    """Add a piece to a message.

    With a mask it goes straight to its place, if there is memory for it. Each copy of 1
    MiB takes 30 us or more, even if the processor's cache has it.

    :param data: what was received
    :param start: offset of the piece in the data
    :param size: bytes of the piece
    :param key: the mask key, rotated to where the piece starts; empty if it is not
        masked

    """
    if not key:
        message.write(memoryview(data)[start : start + size])
        return
    if size >= _LARGE:
        at = message.tell()
        with message.getbuffer() as memory:
            has_room = size <= len(memory) - at
            if has_room:
                mask_into(memory, at, data, start, size, key)
        if has_room:
            message.seek(at + size)
            return
    message.write(mask(data[start : start + size], key))


def room(message: io.BytesIO) -> int:
    """Return for how many bytes of what is still to come there is memory."""
    start = message.tell()
    end = message.seek(0, io.SEEK_END)
    message.seek(start)
    return end - start


def receive_piece(
    message: io.BytesIO,
    size: int,
    key: bytes,
    receive_into: Callable[[memoryview], int],
) -> int:
    """Receive a piece of a message straight to its place.

    :param message: has memory for it, see `room`
    :param size: bytes to receive at most
    :param key: the mask key, rotated to where the piece starts; empty if it is not
        masked
    :param receive_into: receives without waiting, and returns how many bytes came
    :return: how many bytes came

    """
    at = message.tell()
    with message.getbuffer() as memory:
        with memory[at : at + size] as place:
            received = receive_into(place)
        if key:
            mask_into(memory, at, memory, at, received, key)
    message.seek(at + received)
    return received
