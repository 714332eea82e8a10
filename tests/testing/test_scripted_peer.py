"""A peer that does what a test says, and how its expectations fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from anyio_websocket import WebSocketRequest
from anyio_websocket.testing import (
    MemoryStream,
    Opcode,
    ScriptedPeer,
    memory_stream_pair,
    serve_in_memory,
)


async def echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)


Peers = tuple[ScriptedPeer, ScriptedPeer]


@asynccontextmanager
async def failing(text: str) -> AsyncGenerator[Peers]:
    """Give a peer and its other end; the first must fail with a text."""
    ours, theirs = memory_stream_pair()
    with pytest.raises(AssertionError) as caught:
        yield ScriptedPeer(ours), ScriptedPeer(theirs)
    assert str(caught.value) == text


async def test_a_client_by_hand() -> None:
    async with serve_in_memory(echo) as connect:
        async with ScriptedPeer(connect.stream(), is_client=True) as peer:
            response = await peer.handshake(path="/echo?x=1")
            assert b"Sec-WebSocket-Accept: " in response
            await peer.send_frame(Opcode.TEXT, "hel", fin=False)
            await peer.send_bytes(
                peer.frame(Opcode.PING, b"1") + peer.frame(Opcode.CONTINUATION, "lo")
            )
            await peer.expect_frame(Opcode.PONG)
            await peer.expect_frame(Opcode.TEXT, "hello")
            await peer.send_frame(Opcode.TEXT, b"not masked", mask=b"")
            assert (await peer.expect_close(1002)).payload[2:]
            await peer.half_close()
            await peer.expect_end()


async def test_a_server_by_hand() -> None:
    ours, theirs = memory_stream_pair()
    client, server = ScriptedPeer(ours, is_client=True), ScriptedPeer(theirs)
    assert "as client" in repr(client)
    assert "as server" in repr(server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.handshake, b"X-A: b")
        assert b"\r\nX-A: b\r\n" in await client.handshake()
    await server.send_close(4000, "enough")
    await client.expect_close(4000, "enough")
    await server.send_frame(Opcode.CLOSE)
    await client.expect_close()
    await server.send_frame(Opcode.BINARY, b"x" * 200, rsv=4, mask=b"abcd")
    assert (await client.expect_frame(Opcode.BINARY, rsv=4)).payload == b"x" * 200


async def test_frames_until_the_end() -> None:
    ours, theirs = memory_stream_pair()
    peer = ScriptedPeer(theirs)
    await ours.send(b"\x81\x01a\x82\x00\x81\x05hel")
    await ours.aclose()
    with pytest.raises(AssertionError, match="ended within a frame: 81 05 68 65 6c"):
        await peer.receive_frames()
    peer.buffer[-5:] = b""
    assert [str(frame) for frame in await peer.receive_frames()] == [
        "Text 'a'",
        "Binary (empty)",
    ]


async def test_another_frame_came() -> None:
    async with failing(
        "expected Text 'hello', but this came: Close 1009 'too large'\n"
        "received before: Ping '1'; Text 'a'"
    ) as (peer, other):
        await other.send_frame(Opcode.PING, b"1")
        await other.send_frame(Opcode.TEXT, b"a")
        await other.send_close(1009, "too large")
        await peer.receive_frame()
        await peer.expect_frame(Opcode.TEXT)
        await peer.expect_frame(Opcode.TEXT, "hello")
    async with failing(
        "expected Text with any payload, but this came: Text 'a', not the last of its "
        "message"
    ) as (peer, other):
        await other.send_frame(Opcode.TEXT, b"a", fin=False)
        await peer.expect_frame(Opcode.TEXT)


async def test_a_long_payload_differs() -> None:
    shown = f"Text {'x' * 60!r}..."
    async with failing(
        f"expected {shown} (70 bytes), but this came: {shown} (71 bytes)\n"
        "of 70 bytes that were expected and 71 that came, the first 66 are the same"
    ) as (peer, other):
        await other.send_frame(Opcode.TEXT, "x" * 66 + "y" * 5)
        await peer.expect_frame(Opcode.TEXT, "x" * 70)
    async with failing(
        f"expected {shown} (70 bytes), but this came: {shown} (65 bytes)\n"
        "of 70 bytes that were expected and 65 that came, the first 65 are the same"
    ) as (peer, other):
        await other.send_frame(Opcode.TEXT, "x" * 65)
        await peer.expect_frame(Opcode.TEXT, "x" * 70)


async def test_another_close_came() -> None:
    for code, reason, text in (
        (1000, None, "Close 1000"),
        (None, "bye", "Close 'bye'"),
        (1001, "bye", "Close 1001 'bye'"),
    ):
        came = "this came: Close 1001 'going'"
        async with failing(f"expected {text}, but {came}") as (peer, other):
            await other.send_close(1001, "going")
            await peer.expect_close(code, reason)
    async with failing("expected Close, but this came: Text 'x'") as (peer, other):
        await other.send_frame(Opcode.TEXT, "x")
        await peer.expect_close()


@pytest.mark.virtual_time
async def test_nothing_came() -> None:
    text = "expected Close 1000, but nothing came within 10 seconds"
    async with failing(text) as (peer, other):
        await peer.expect_close(1000)
    async with failing(
        f"{text} but a part: 88 05 03\nreceived before: Ping (empty)"
    ) as (peer, other):
        await other.send_frame(Opcode.PING)
        await other.send_bytes(b"\x88\x05\x03")
        await peer.expect_frame(Opcode.PING)
        await peer.expect_close(1000)
    shown = "82 7e 00 ff" + " 00" * 28
    async with failing(f"{text} but a part: {shown}... (99 bytes)") as (peer, other):
        await other.send_bytes(b"\x82\x7e\x00\xff" + bytes(95))
        await peer.expect_close(1000)


@pytest.mark.virtual_time
async def test_it_waits_as_long_as_it_takes() -> None:
    ours, theirs = memory_stream_pair()
    peer = ScriptedPeer(ours, timeout=None)
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            await anyio.sleep(3600)
            await ScriptedPeer(theirs).send_frame(Opcode.TEXT, "late")

        tasks.start_soon(send)
        await peer.expect_frame(Opcode.TEXT, "late")


async def test_the_stream_ended_or_broke() -> None:
    async with failing("expected Close, but the stream ended") as (peer, other):
        await other.half_close()
        await peer.expect_close()
    async with failing(
        "expected Close, but the stream ended within a frame: 88 05"
    ) as (peer, other):
        await other.send_bytes(b"\x88\x05")
        await other.half_close()
        await peer.expect_close()
    async with failing(
        "expected Close, but the stream broke: BrokenResourceError()"
    ) as (peer, other):
        theirs = other.stream
        assert isinstance(theirs, MemoryStream)
        theirs.reset()
        await peer.expect_close()


@pytest.mark.virtual_time
async def test_it_did_not_end() -> None:
    text = "expected the end of the stream, but "
    async with failing(f"{text}nothing came within 10 seconds") as (peer, other):
        await peer.expect_end()
    async with failing(f"{text}this came: Text 'x'") as (peer, other):
        await other.send_frame(Opcode.TEXT, "x")
        await peer.expect_end()
    async with failing(f"{text}it ended within a frame: 81 05") as (peer, other):
        await other.send_bytes(b"\x81\x05")
        await other.half_close()
        await peer.expect_end()


async def test_the_server_rejects() -> None:
    async def reject(request: WebSocketRequest) -> None:
        await request.reject(403)

    async with serve_in_memory(reject) as connect:
        async with ScriptedPeer(connect.stream(), is_client=True) as peer:
            with pytest.raises(AssertionError) as caught:
                await peer.handshake()
    first, second, *rest = str(caught.value).splitlines()
    assert first == "expected a response with status 101, but this came:"
    assert second == "  HTTP/1.1 403 Forbidden"
    assert rest
