"""Waiting until a socket can be read, under asyncio: its events, and cancellation."""

from __future__ import annotations

import asyncio
import contextvars
import select

import pytest

from ..support.backends import under_asyncio
from ..support.sockets import pair


@under_asyncio
async def test_F1_cancelled_when_the_bytes_come() -> None:
    # A task is cancelled, and before it runs the socket's callback does: it leaves the
    # bytes for the next one.
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()  # twice counts as once
        theirs.send(b"bytes")
        select.select([transport._socket], [], [])
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await transport.receive(10) == b"bytes"


@under_asyncio
async def test_a_spurious_wake_up() -> None:
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        assert not task.done()
        theirs.send(b"bytes")
        assert await task == b"bytes"


@under_asyncio
async def test_the_context_of_a_task_that_waits() -> None:
    async with pair() as (transport, theirs):
        variable = contextvars.ContextVar("variable", default="theirs")
        seen: list[str] = []

        async def receive() -> None:
            variable.set("ours")
            await transport.receive(10)
            seen.append(variable.get())
            await transport.receive(10)
            seen.append(variable.get())

        task = asyncio.create_task(receive())
        for _ in range(2):
            await asyncio.sleep(0.01)
            theirs.send(b"bytes")
        await task
        assert seen == ["ours", "ours"]
