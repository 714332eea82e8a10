"""Messages in all the ways to send and receive them, over TCP, on every event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel

from anyio_websocket import WebSocketRequest, open_websocket_url

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
