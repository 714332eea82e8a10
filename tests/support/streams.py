"""Hooks for streams in memory: an operation that hangs, or that fails."""

from __future__ import annotations

import anyio

from anyio_websocket.testing._streams import Hook


async def hang() -> None:
    """A hook: the operation never happens."""
    await anyio.sleep_forever()


def failing(error: Exception, *, after: int = 0) -> Hook:
    """Make a hook that lets some operations pass and then fails each."""
    count = 0

    async def hook() -> None:
        nonlocal count
        count += 1
        if count > after:
            raise error

    return hook
