"""Connections that fail: mistakes of the peer, broken streams, cancelled nurseries."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed
from anyio_websocket.testing import Frame

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    frame,
)
from ..support.peer import (
    Opener,
    closed_with,
    mangled,
)
from ..support.streams import failing

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("how", ["silent", "flooding", "leaving"])
async def test_E5_failure_reaches_the_peer(opener: Opener, how: str) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks, max_message_size=10)

        async def misbehave() -> None:
            await peer.send_frame(TEXT, b"x" * 11)
            if how == "flooding":
                with pytest.raises(anyio.BrokenResourceError):
                    while True:
                        await peer.send_frame(TEXT, b"x")
                        await anyio.sleep(0.1)
            elif how == "leaving":
                await peer.stream.send_eof()

        tasks.start_soon(misbehave)
        reason = await closed_with(connection)
        assert reason == CloseReason(1009, "Exceeded maximum message size: 10 bytes")
        (sent,) = await peer.receive_frames()
        assert sent == Frame(CLOSE, close_payload(1009, str(reason.reason)))
        with anyio.fail_after(3):
            await connection.wait_closed()
        assert stream.closed


@pytest.mark.parametrize(
    ("opcode", "payload", "how", "code"),
    [
        (3, b"", {}, 1002),
        (11, b"", {}, 1002),
        (TEXT, b"", {"rsv": 4}, 1002),
        (PING, b"", {"fin": False}, 1002),
        (PING, b"x" * 126, {}, 1002),
        (CONTINUATION, b"", {}, 1002),
        (TEXT, b"\xff", {}, 1007),
        (CLOSE, b"x", {}, 1002),
        (CLOSE, close_payload(1005), {}, 1002),
        (CLOSE, b"\x03\xe8\xff", {}, 1007),
        (BINARY, b"", {"length": 2**62}, 1009),
    ],
)
async def test_C1_to_C5_mistakes_are_answered_with_a_close(
    opener: Opener, opcode: int, payload: bytes, how: dict[str, Any], code: int
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        await peer.send_frame(TEXT, b"before")
        await peer.stream.send(mangled(peer, opcode, payload, **how))
        assert await connection.get_message() == "before"
        reason = await closed_with(connection)
        assert reason.code == code
        assert reason.reason
        await peer.stream.send_eof()
        (sent,) = await peer.receive_frames()
        assert sent == Frame(CLOSE, close_payload(code, reason.reason))
        await connection.wait_closed()
        assert stream.closed


async def test_C1_masks(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.send(
            mangled(peer, TEXT, b"x", mask=None if peer.is_client else b"\1\2\3\4")
        )
        assert (await closed_with(connection)).code == 1002
        tasks.cancel_scope.cancel()


async def test_C6_eof_without_a_close(opener: Opener) -> None:
    whole = frame(TEXT, b"whole", mask=None)
    for cut in range(len(whole)):
        async with anyio.create_task_group() as tasks:
            connection, peer, stream = await opener(tasks)
            data = peer.frame(TEXT, b"whole")
            await peer.stream.send(data[: len(data) - len(whole) + cut])
            await peer.stream.aclose()
            assert await closed_with(connection) == CloseReason(1006, None)
            await connection.aclose()
            assert stream.closed


async def test_E7_reset(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        stream.reset()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.get_message()
        assert caught.value.reason == CloseReason(1006, None)
        assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("x")
        assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
        await connection.aclose()
        assert stream.closed


async def test_answering_fails(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.before_send = failing(OSError("the wire is cut"))
        await peer.send_frame(PING)
        assert await closed_with(connection) == CloseReason(1006, None)
        await connection.wait_closed()
        assert stream.closed


async def test_the_nursery_is_cancelled(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        tasks.cancel_scope.cancel()
    assert stream.closed
    assert connection.closed is not None
    assert connection.closed.code == 1006
    with pytest.raises(anyio.EndOfStream):
        await peer.stream.receive()


async def test_tasks_of_a_cancelled_nursery_are_cancelled(opener: Opener) -> None:
    # And do not see a closed connection, although it is closed in the same moment.
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, capacity=1000)
        tasks.start_soon(connection.get_message)
        tasks.start_soon(connection.get_message)
        tasks.start_soon(connection.ping)
        tasks.start_soon(connection.send_message, b"x" * 5000)
        tasks.start_soon(connection.send_message, b"x" * 5000)
        tasks.start_soon(connection.wait_closed)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert connection.closed is not None
