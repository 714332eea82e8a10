"""Pulling what a codec has to say, as a reader does."""

from __future__ import annotations

from collections.abc import Iterator

from anyio_websocket._protocol import Close, Codec, Received

AT_ONCE = 3  # messages; few, so that tests come across the bound


def received(codec: Codec, *, at_once: int = AT_ONCE) -> Iterator[Received]:
    """Yield all that was fed, up to a Close: the easy messages first, then the next.

    :param codec: which was fed
    :param at_once: easy messages to ask for; 0 for none, so that `next` has them all

    """
    while True:
        if found := codec.take_messages(at_once):
            assert len(found) <= at_once
            yield from found
            continue
        result = codec.next()
        if result is None:
            return
        yield result
        if isinstance(result, Close):
            return
