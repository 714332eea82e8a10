"""The clients of the comparison: each sends some messages and receives as many.

``python clients.py NAME LOOP SIZE COUNT SECONDS PORT`` repeats that for some seconds.
It prints the microseconds of CPU time per message sent and received: the median of
periods of 50 ms.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from processes import ONE_BY_ONE
from servers import LIMIT, run

Round = Callable[[], Awaitable[None]]
Client = Callable[[str, bytes, int, Callable[[Round], Awaitable[float]]], Any]


async def ours(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """anyio_websocket."""
    from anyio_websocket import open_websocket_url

    messages = [message] * count
    async with open_websocket_url(url, max_message_size=LIMIT) as ws:

        async def one_by_one() -> None:
            for _ in range(count):
                await ws.send_message(message)
            for _ in range(count):
                await ws.get_message()

        async def together() -> None:
            await ws.send_messages(messages)
            for _ in range(count):
                await ws.get_message()

        # An earlier version may not have send_messages().
        single = (
            count == 1 or ONE_BY_ONE in os.environ or not hasattr(ws, "send_messages")
        )
        return await measure(one_by_one if single else together)


async def websockets(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """websockets on asyncio."""
    from websockets.asyncio.client import connect

    async with connect(url, max_size=LIMIT, compression=None) as ws:

        async def once() -> None:
            for _ in range(count):
                await ws.send(message)
            for _ in range(count):
                await ws.recv()

        return await measure(once)


async def websockets_trio(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """websockets on trio."""
    from websockets.trio.client import connect

    async with connect(url, max_size=LIMIT, compression=None) as ws:

        async def once() -> None:
            for _ in range(count):
                await ws.send(message)
            for _ in range(count):
                await ws.recv()

        return await measure(once)


async def aiohttp(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """aiohttp."""
    from aiohttp import ClientSession

    async with (
        ClientSession() as session,
        session.ws_connect(url, max_msg_size=LIMIT) as ws,
    ):

        async def once() -> None:
            for _ in range(count):
                await ws.send_bytes(message)
            for _ in range(count):
                await ws.receive_bytes()

        return await measure(once)


async def picows(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """picows, with a future that is set when the last message was received."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    remaining = 0
    done: asyncio.Future[None]

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            nonlocal remaining
            frame.get_payload_as_bytes()
            remaining -= 1
            if remaining == 0:
                done.set_result(None)

    transport, _ = await ws_connect(Listener, url, max_frame_size=LIMIT)
    loop = asyncio.get_running_loop()

    async def once() -> None:
        nonlocal remaining, done
        remaining = count
        done = loop.create_future()
        for _ in range(count):
            transport.send(WSMsgType.BINARY, message)
        await done

    took = await measure(once)
    transport.disconnect()
    return took


async def picows_websockets(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """picows.websockets, which has the API of websockets and is compiled."""
    from picows.websockets import connect

    # By default it uses a proxy from the environment, and ignores no_proxy.
    async with connect(url, max_size=LIMIT, compression=None, proxy=None) as ws:

        async def once() -> None:
            for _ in range(count):
                await ws.send(message)
            for _ in range(count):
                await ws.recv()

        return await measure(once)


async def trio_websocket(
    url: str, message: bytes, count: int, measure: Callable[[Round], Awaitable[float]]
) -> float:
    """trio-websocket."""
    from trio_websocket import open_websocket_url

    async with open_websocket_url(url, max_message_size=LIMIT) as ws:

        async def once() -> None:
            for _ in range(count):
                await ws.send_message(message)
            for _ in range(count):
                await ws.get_message()

        return await measure(once)


CLIENTS: dict[str, dict[str, Client]] = {
    "anyio_websocket": {"asyncio": ours, "uvloop": ours, "trio": ours},
    "picows": {"asyncio": picows, "uvloop": picows},
    "picows.websockets": {"asyncio": picows_websockets, "uvloop": picows_websockets},
    "aiohttp": {"asyncio": aiohttp, "uvloop": aiohttp},
    "websockets": {
        "asyncio": websockets,
        "uvloop": websockets,
        "trio": websockets_trio,
    },
    "trio-websocket": {"trio": trio_websocket},
}


async def cpu_of_a_message(seconds: float, count: int, once: Round) -> float:
    """Repeat a round; return microseconds of this process per message."""
    await once()
    took = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.process_time()
        period = time.perf_counter() + 0.05
        messages = 0
        while time.perf_counter() < period:
            await once()
            messages += count
        took.append((time.process_time() - start) / messages * 1e6)
    return statistics.median(took)


async def main(
    name: str, loop: str, size: int, count: int, seconds: float, port: int
) -> None:
    """Measure one client, and print the result."""
    took = await CLIENTS[name][loop](
        f"ws://127.0.0.1:{port}/{size}/{count}",
        bytes(size),
        count,
        lambda once: cpu_of_a_message(seconds, count, once),
    )
    print(took)


if __name__ == "__main__":
    name, loop, size, count, seconds, port = sys.argv[1:]
    run(main, loop, name, loop, int(size), int(count), float(seconds), int(port))
