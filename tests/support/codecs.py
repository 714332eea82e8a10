"""Receiving from a codec as the reader does."""

from __future__ import annotations

from collections.abc import Iterator

from anyio_websocket._protocol import Close, Paused
from anyio_websocket._protocol._codec import Codec, Received

AT_ONCE = 3  # messages; few, so that the tests exceed it


def next_of(codec: Codec) -> Received | None:
    """Return what ``next()`` returns when it has not paused."""
    while (result := codec.next()) is Paused.PAUSED:
        pass
    return result


def received(codec: Codec, *, at_once: int = AT_ONCE) -> Iterator[Received]:
    """Yield everything that was fed, up to a Close.

    :param codec: the codec that was fed
    :param at_once: how many messages to ask `take_messages` for; 0 leaves all of them
        to `next`

    """
    while True:
        if found := codec.take_messages(at_once):
            assert len(found) <= at_once
            yield from found
            continue
        result = next_of(codec)
        if result is None:
            return
        yield result
        if isinstance(result, Close):
            return
