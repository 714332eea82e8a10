"""Messages in all the ways to send and receive them, over TCP, on every event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from anyio_websocket import (
    ClientUpgrade,
    CloseReason,
    ConnectionClosed,
    WebSocketRequest,
    open_websocket_url,
)

from ..support.servers import serving

PART = "wörld" * 10_000


async def parts() -> AsyncIterator[str]:
    for _ in range(20):
        yield PART
        await anyio.lowlevel.checkpoint()


async def test_text_as_bytes_json_fragments_and_pings() -> None:
    pings: list[bytes] = []
    pongs: list[bytes] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept(on_ping=pings.append)
        async for message in ws:
            assert isinstance(message, bytes)
            half = len(message) // 2 + 1  # in the middle of a character
            await ws.send_message([message[:half], message[half:]], text=True)

    async with serving(handler, decode_text=False, max_message_size=2**22) as port:
        async with open_websocket_url(
            f"ws://127.0.0.1:{port}",
            on_pong=pongs.append,
            compression=True,
            max_message_size=2**22,
        ) as ws:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ws.send_message, parts())
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(ws.ping, b"between")
                assert await ws.get_message() == PART * 20
            await ws.send_json({"a": ["ö"]})
            assert await ws.get_json() == {"a": ["ö"]}
            assert ws.handshake_status == 101
    assert pings == pongs == [b"between"]


async def test_a_request_of_our_own_many_at_once_pongs_and_facts() -> None:
    async def handler(request: WebSocketRequest) -> None:
        pinged = anyio.Event()
        pings: list[bytes] = []

        def on_ping(payload: bytes) -> None:
            pings.append(payload)
            pinged.set()

        ws = await request.accept(on_ping=on_ping, auto_pong=False)
        await pinged.wait()
        await ws.pong(pings[0])
        await ws.send_messages(["wörld", b"", "x"])
        await ws.aclose(4000, "bye")

    async with serving(handler) as port, anyio.create_task_group() as tasks:
        upgrade = ClientUpgrade(f"ws://127.0.0.1:{port}/", decode_text=False)
        lines = [f"{name}: {value}" for name, value in upgrade.headers]
        head = ["GET / HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines, "", ""]
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.send("\r\n".join(head).encode())
        reader = BufferedByteReceiveStream(stream)
        answer = (await reader.receive_until(b"\r\n\r\n", 10_000)).decode()
        status, *lines = answer.splitlines()
        ws = await upgrade.finish(
            tasks,
            stream,
            int(status.split()[1]),
            [tuple(line.split(": ", 1)) for line in lines],  # type: ignore[misc]
            reader.buffer,
        )
        assert ws.handshake_status == 101
        await ws.ping(b"x")
        got = [await ws.get_message() for _ in range(3)]
        assert got == ["wörld".encode(), b"", b"x"]
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        closed = caught.value
        assert closed.received == closed.sent == CloseReason(4000, "bye")
        assert not closed.clean
        with pytest.raises(ConnectionClosed) as caught:
            await ws.send_message("late")
        assert caught.value.nothing_sent
