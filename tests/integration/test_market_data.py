"""The market-data client of the examples, with everything that happens to one."""

from __future__ import annotations

import importlib.util
import itertools
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, ByteStreamConnectable, TaskGroup

from anyio_websocket import (
    Attempt,
    ConnectionRejected,
    ProxyError,
    WebSocketConnection,
    WebSocketRequest,
    reconnecting,
)
from anyio_websocket.testing import ScriptedPeer, handshake_response, memory_stream_pair

from ..support.backends import jump, tasks_now
from ..support.forward_proxies import http_proxy
from ..support.frames import TEXT
from ..support.reconnects import rejects
from ..support.servers import serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "market_data.py"
LAST = 12

Scene = Callable[[ScriptedPeer], Awaitable[None]] | Exception


def market(url: str, **options: Any) -> tuple[Any, list[str]]:
    """Make the example's client, and the list of the tokens that it has got."""
    spec = importlib.util.spec_from_file_location("market_data", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokens: list[str] = []

    async def token() -> str:
        tokens.append(f"token-{len(tokens)}")
        return tokens[-1]

    return module.Market(url, token, "ANYIO", **options), tokens


class Exchange(ByteStreamConnectable):
    """The way to a server in memory, which plays another scene for each attempt."""

    def __init__(self, tasks: TaskGroup, *scenes: Scene) -> None:
        self._tasks = tasks
        self._scenes = iter(scenes)
        self.times: list[float] = []
        self.tokens: list[str] = []

    @property
    def remote_address(self) -> None:
        return None

    async def connect(self) -> ByteStream:
        self.times.append(anyio.current_time())
        scene = next(self._scenes)
        if isinstance(scene, Exception):
            raise scene
        ours, theirs = memory_stream_pair()

        async def play() -> None:
            async with theirs:
                await scene(ScriptedPeer(theirs, is_client=False))

        self._tasks.start_soon(play)
        return ours

    def trades(
        self, count: int, then: Callable[[ScriptedPeer], Awaitable[None]]
    ) -> Scene:
        """Let the client in, send it so many trades more, and end in some way."""

        async def scene(peer: ScriptedPeer) -> None:
            head = await peer.receive_head()
            (line,) = [line for line in head.split(b"\r\n") if b"Bearer" in line]
            self.tokens.append(line.split()[-1].decode())
            await peer.stream.send(handshake_response(head))
            asked = json.loads((await peer.receive_frame()).payload)
            assert asked["symbol"] == "ANYIO"
            for number in range(asked["after"] + 1, asked["after"] + 1 + count):
                trade = {"number": number, "price": 100 + number}
                await peer.send_frame(TEXT, json.dumps(trade).encode())
            await then(peer)

        return scene


def closing(code: int) -> Callable[[ScriptedPeer], Awaitable[None]]:
    async def close(peer: ScriptedPeer) -> None:
        await peer.send_close(code)
        await peer.receive_frame()

    return close


async def break_off(peer: ScriptedPeer) -> None:
    """Send half a trade, and end: a router on the way was restarted."""
    await peer.stream.send(peer.frame(TEXT, b'{"number": 999}')[:9])


async def fall_silent(peer: ScriptedPeer) -> None:
    """The server's machine is off: no byte comes, and no end."""
    await anyio.sleep_forever()


NIGHT = 8 * 3600  # seconds


async def sleep_with_the_laptop(peer: ScriptedPeer) -> None:
    """The client's machine sleeps while a Ping is due; the server forgets it."""
    await anyio.sleep(19)
    jump(NIGHT)
    await anyio.sleep_forever()


@pytest.mark.virtual_time
async def test_nothing_that_happens_to_a_client_loses_a_trade() -> None:
    offline = socket.gaierror(socket.EAI_AGAIN, "no network yet")
    async with anyio.create_task_group() as tasks:
        before = tasks_now()
        exchange = Exchange(tasks)
        exchange._scenes = iter(
            [
                exchange.trades(2, closing(1001)),  # 0: it restarts
                rejects(503, b"Retry-After: 120"),  # 1: it is not up yet
                exchange.trades(3, closing(1012)),  # 2: it restarts, and asks to wait
                exchange.trades(1, break_off),  # 3
                exchange.trades(2, fall_silent),  # 4: a dead peer
                exchange.trades(0, sleep_with_the_laptop),  # 5: it sleeps ...
                *[offline] * 20,  # 6: ... and has no network for a while
                exchange.trades(4, closing(1013)),  # 26: it is overloaded
                rejects(401),  # 27: the account was closed
            ]
        )
        client, tokens = market("ws://exchange.example/feed", via=exchange)
        with pytest.raises(ConnectionRejected) as caught:
            await client.follow()
        tasks.cancel_scope.cancel()
    assert caught.value.status_code == 401
    assert [trade["number"] for trade in client.trades] == [*range(1, LAST + 1)]
    assert len(exchange.times) == len(tokens) == 28
    assert len(set(exchange.tokens)) == 6  # fresh ones for each that got so far
    waits = [later - earlier for earlier, later in itertools.pairwise(exchange.times)]
    assert 0 <= waits[0] <= 5.1  # the first of the delays
    assert 120 <= waits[1] <= 125.1
    assert 5 <= waits[2] <= 30.1
    assert 0 <= waits[3] <= 5.1
    assert 40 <= waits[4] <= 45.1  # the keepalive has found out
    assert NIGHT + 39 <= waits[5] <= NIGHT + 49  # as soon as without the sleep
    assert all(wait <= 90 for wait in waits[6:26])
    assert max(waits[6:26]) > 20  # they have grown
    assert 30 <= waits[26] <= 90.1
    assert before >= 1


async def test_a_proxy_that_dies(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    connected, failed = anyio.Event(), anyio.Event()

    async def exchange(request: WebSocketRequest) -> None:
        assert (request.header("authorization") or "").startswith("Bearer token-")
        connection = await request.accept()
        after = json.loads(await connection.get_message())["after"]
        for number in (after + 1, after + 2):
            await connection.send_message(json.dumps({"number": number}))
        if after == 0:
            await connection.wait_closed()
        else:
            await connection.aclose(1000)

    async def session(connection: WebSocketConnection) -> None:
        connected.set()
        await client.session(connection)

    errors: list[Exception | None] = []

    async def connect(attempt: Attempt) -> Any:
        errors.append(attempt.error)
        if isinstance(attempt.error, ProxyError):
            failed.set()
        return await client.connect(attempt)

    async def proxy(until: anyio.Event) -> None:
        listener = await anyio.create_tcp_listener(
            local_host="127.0.0.1", local_port=port
        )
        async with listener, anyio.create_task_group() as connections:

            async def tunnel(stream: ByteStream) -> None:
                async with stream:
                    await http_proxy(stream, [])

            connections.start_soon(listener.serve, tunnel)
            await until.wait()
            while until is connected and len(client.trades) < 2:
                await anyio.lowlevel.checkpoint()  # the trades are on their way
            connections.cancel_scope.cancel()

    async with serving(exchange) as server_port:
        client, _ = market(
            f"ws://exchange.test:{server_port}/", proxy=f"http://127.0.0.1:{port}"
        )
        async with anyio.create_task_group() as tasks:

            async def die_and_come_back() -> None:
                await proxy(connected)
                await failed.wait()
                await proxy(anyio.Event())

            tasks.start_soon(die_and_come_back)
            with anyio.fail_after(10):
                await reconnecting(
                    connect, session, delays=lambda: itertools.repeat(0.01)
                )
            tasks.cancel_scope.cancel()
    assert [trade["number"] for trade in client.trades] == [1, 2, 3, 4]
    assert any(isinstance(error, ProxyError) for error in errors)
