"""`check_byte_stream`: whether a byte stream keeps what anyio promises."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import anyio
from anyio import (
    BrokenResourceError,
    BusyResourceError,
    CancelScope,
    ClosedResourceError,
)
from anyio.abc import ByteStream

from ._stream_checks import (
    SHARED_CHECKS,
    Check,
    Ends,
    fail,
    run_checks,
    settle,
    shown,
)

# Bytes. Some kernels keep several megabytes of a TCP connection.
MAX_UNREAD: Final = 64 * 2**20
PIECE: Final = bytes(65_536)
LARGE: Final = 2**20


class _Bytes:
    """What the shared checks do with streams of bytes; see `Kind`."""

    stream_type: type[Any] = ByteStream

    def item(self, number: int) -> bytes:
        return b"item %d;" % number

    async def receive(self, stream: ByteStream, number: int) -> bytes:
        data, size = b"", len(self.item(number))
        while len(data) < size:
            data += checked(await stream.receive(size - len(data)), size - len(data))
        return data


def checked(piece: Any, max_bytes: int) -> bytes:
    """Check what ``receive()`` has returned."""
    if type(piece) is not bytes or not piece:
        fail(f"receive() returned {shown(piece)}, which is not one or more bytes")
    if len(piece) > max_bytes:
        fail(f"receive({max_bytes}) returned {len(piece)} bytes")
    return piece


async def check_byte_stream(
    make_pair: Callable[[], AbstractAsyncContextManager[tuple[ByteStream, ByteStream]]],
    *,
    timeout: float = 5,
) -> None:
    """Check that two connected byte streams keep what anyio promises.

    For tests of a :class:`anyio.abc.ByteStream` of your own: what is sent arrives,
    whatever is cancelled meanwhile; the end and everything that is wrong is told by
    the right exception, and by the same one again; no task is left waiting; the calls
    are checkpoints; a task that sends waits for one that receives. Each check is made
    for both streams, with a pair of its own. It needs no other test framework than the
    one that runs coroutines.

    Where anyio leaves it open, this is strict: two tasks in the same method at a time
    are a `BusyResourceError`, as in anyio's sockets. A stream may implement
    ``send_eof()`` or raise `NotImplementedError`.

    :param make_pair: returns an asynchronous context manager that yields two connected
        streams, such as a function with `contextlib.asynccontextmanager`. It has to
        bear that the streams were closed already when the block is left
    :param timeout: seconds that each check may take, for streams that never wake a task
    :raises AssertionError: if a check fails; it says which ones, and what happened

    """
    await run_checks((*SHARED_CHECKS, *_CHECKS), make_pair, _Bytes(), timeout)


async def to_send_nothing_sends_nothing(ends: Ends) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.receive, ends.far, 1)
        await ends.near.send(b"")
        await ends.send(ends.near, 1)


async def it_returns_no_more_bytes_than_it_is_asked_for(ends: Ends) -> None:
    near = ends.near
    data = b""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.far.send, b"123456")
        for wrong in (0, -1):
            call = partial(near.receive, wrong)
            await ends.raises(f"receive({wrong})", call, ValueError)
        while len(data) < 6:
            ends.doing = "receive(4)"
            data += checked(await near.receive(4), 4)
    if data != b"123456":
        fail(f"received {shown(data)} instead of b'123456'")


async def much_data_goes_both_ways_at_once(ends: Ends) -> None:
    data = random.Random(1).randbytes(LARGE)

    async def send(stream: ByteStream, data: bytes) -> None:
        sizes = random.Random(2)
        while data:
            size = sizes.randint(1, 100_000)
            await stream.send(data[:size])
            data = data[size:]

    async def receive(stream: ByteStream, expected: bytes) -> None:
        sizes = random.Random(3)
        received = b""
        while len(received) < len(expected):
            ends.doing = f"receiving the bytes after {len(received)} of {LARGE}"
            size = sizes.randint(1, 100_000)
            received += checked(await stream.receive(size), size)
        if received != expected:
            fail(f"{LARGE} bytes that went one way are not those that were sent")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, ends.near, data)
        tasks.start_soon(send, ends.far, data[::-1])
        tasks.start_soon(receive, ends.near, data[::-1])
        tasks.start_soon(receive, ends.far, data)


async def two_tasks_cannot_receive_at_once(ends: Ends) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.receive, ends.near, 1)
        await settle()
        await ends.raises(
            "receive() while another task was in it",
            ends.near.receive,
            BusyResourceError,
        )
        await ends.send(ends.far, 1)


class _Flood:
    """A task that sends until it has to wait, because nobody receives."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.sent = 0

    async def run(self) -> None:
        while self.sent < MAX_UNREAD:
            await self._stream.send(PIECE)
            self.sent += len(PIECE)

    async def wait_stuck(self) -> None:
        sent = -1
        while sent < self.sent:
            sent = self.sent
            await settle()
        if sent >= MAX_UNREAD:
            fail(f"send() took {sent} bytes that nobody received")


async def a_task_that_sends_waits_for_one_that_receives(ends: Ends) -> None:
    flood = _Flood(ends.near)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flood.run)
        await flood.wait_stuck()
        await ends.raises(
            "send() while another task was in it",
            lambda: ends.near.send(PIECE),
            BusyResourceError,
        )
        sent = flood.sent
        while flood.sent == sent:
            ends.doing = "receiving what was sent"
            checked(await ends.far.receive(), 65_536)
        tasks.cancel_scope.cancel()


async def closing_wakes_the_task_that_sends(ends: Ends) -> None:
    flood = _Flood(ends.near)
    what = "send(), when its own stream was closed,"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.raises, what, flood.run, ClosedResourceError)
        await flood.wait_stuck()
        await anyio.aclose_forcefully(ends.near)


async def the_other_stream_wakes_the_task_that_sends(ends: Ends) -> None:
    flood = _Flood(ends.near)
    what = "send(), when the other stream was closed,"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.raises, what, flood.run, BrokenResourceError)
        await flood.wait_stuck()
        await anyio.aclose_forcefully(ends.far)


async def a_cancelled_send_lets_the_stream_be_closed(ends: Ends) -> None:
    flood = _Flood(ends.near)
    with CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood.run)
            await flood.wait_stuck()
            scope.cancel()
    ends.doing = "closing it after a cancelled send()"
    await anyio.aclose_forcefully(ends.near)
    await ends.raises(
        "receive() after aclose()", ends.near.receive, ClosedResourceError
    )


_CHECKS: Final[tuple[Check, ...]] = (
    to_send_nothing_sends_nothing,
    it_returns_no_more_bytes_than_it_is_asked_for,
    much_data_goes_both_ways_at_once,
    two_tasks_cannot_receive_at_once,
    a_task_that_sends_waits_for_one_that_receives,
    closing_wakes_the_task_that_sends,
    the_other_stream_wakes_the_task_that_sends,
    a_cancelled_send_lets_the_stream_be_closed,
)
