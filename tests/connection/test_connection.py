"""Open connections: messages, iteration, arguments, and calls from many tasks."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from ..support.frames import (
    CLOSE,
    TEXT,
    Frame,
    close_payload,
)
from ..support.peer import (
    Opener,
    linked,
)

pytestmark = pytest.mark.virtual_time


async def test_echo_of_all_kinds() -> None:
    async with linked() as (client, server):
        for message in ("text", "", "wörld", b"binary", b"", b"x" * 100_000):
            await client.send_message(message)
            assert await server.get_message() == message
            await server.send_message(message)
            assert await client.get_message() == message
        await client.send_message(bytearray(b"array"))
        await client.send_message(memoryview(b"a view")[2:])
        assert await server.get_message() == b"array"
        assert await server.get_message() == b"view"
    assert client.closed == server.closed == CloseReason(1000, None)


async def test_the_attributes_of_a_connection() -> None:
    async with linked() as (client, server):
        assert client.is_client
        assert not client.is_server
        assert server.is_server
        assert not server.is_client
        assert client.path == server.path == "/"
        assert client.subprotocol is None
        assert client.closed is None
        assert client.handshake_headers == ()
        assert dict(server.handshake_headers)[b"sec-websocket-version"] == b"13"
        assert str(client).startswith("client-")
        assert str(server).startswith("server-")
        assert "MemoryStream" in str(client.local)
        assert "MemoryStream" in str(client.remote)
        assert client.local_address is client.remote_address is None
        client.user = "attributes may be set"  # type: ignore[attr-defined]


async def test_iteration_ends_with_the_peer(opener: Opener) -> None:
    for code in (1000, 1001):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await peer.send(TEXT, b"a")
            await peer.send(TEXT, b"b")
            await peer.send_close(code)
            assert [message async for message in connection] == ["a", "b"]
            tasks.cancel_scope.cancel()


async def test_iteration_raises_for_any_other_end(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send(TEXT, b"a")
        await peer.send_close(4000, "why")
        assert await anext(connection) == "a"
        with pytest.raises(ConnectionClosed):
            await anext(connection)
        assert connection.closed == CloseReason(4000, "why")
        tasks.cancel_scope.cancel()


async def test_several_tasks_receive() -> None:
    got: list[str | bytes] = []

    async def receive(connection: WebSocketConnection) -> None:
        got.append(await connection.get_message())

    async with linked() as (client, server), anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(receive, server)
        await anyio.wait_all_tasks_blocked()
        for i in range(5):
            await client.send_message(str(i))
    assert sorted(map(str, got)) == list("01234")


async def test_H1_invalid_messages_are_an_error(opener: Opener) -> None:
    released = memoryview(b"x")
    released.release()
    square = memoryview(bytes(4)).cast("B", (2, 2))
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        wrong: list[Any] = [
            None,
            5,
            ["a"],
            "\ud800",
            released,
            square,
            memoryview(b"1234").cast("I"),
        ]
        for message in wrong:
            with pytest.raises(ValueError):  # noqa: PT011 - of any kind
                await connection.send_message(message)
        with pytest.raises(ValueError, match="message must be"):
            await connection.send_message(None)  # type: ignore[arg-type]
        await connection.send_message("fine")
        assert await peer.receive() == Frame(TEXT, b"fine")
        tasks.cancel_scope.cancel()


async def test_E10_close_codes_and_reasons(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=1)
        for code in (0, 999, 1004, 1016, 5000, 70_000):
            with pytest.raises(ValueError, match=str(code)):
                await connection.aclose(code)
        with pytest.raises(ValueError, match="surrogates"):
            await connection.aclose(1000, "\udcff")
        with pytest.raises(TypeError):
            await connection.aclose("1000")  # type: ignore[arg-type]
        assert connection.closed is None
        tasks.start_soon(connection.aclose, 1006, "é" * 62)
        assert await peer.receive() == Frame(CLOSE, close_payload(1000, "é" * 61))
        tasks.cancel_scope.cancel()


async def test_H2_calls_after_the_close(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000)
        await peer.receive()
        for during in (True, False):
            for func in (
                connection.get_message,
                connection.ping,
                connection.pong,
                lambda: connection.send_message("x"),
            ):
                with pytest.raises(ConnectionClosed) as caught:
                    await func()
                assert caught.value.reason == CloseReason(4000, None)
            if during:
                await peer.stream.aclose()
                await connection.wait_closed()
        await connection.aclose(1000)
        assert connection.closed == CloseReason(4000, None)


async def test_F4_all_at_once() -> None:
    rounds = 20
    async with linked(capacity=500) as (client, server):

        async def send(connection: WebSocketConnection, name: str) -> None:
            for i in range(rounds):
                await connection.send_message(f"{name}{i}" + "x" * 200)

        async def ping(connection: WebSocketConnection) -> None:
            for _ in range(rounds):
                await connection.ping()

        got: dict[WebSocketConnection, list[str]] = {client: [], server: []}

        async def receive(connection: WebSocketConnection) -> None:
            for _ in range(3 * rounds):
                got[connection].append(str(await connection.get_message()).rstrip("x"))

        async with anyio.create_task_group() as tasks:
            for connection in (client, server):
                for name in "abc":
                    tasks.start_soon(send, connection, name)
                    tasks.start_soon(ping, connection)
                tasks.start_soon(receive, connection)
        for messages in got.values():
            for name in "abc":  # FIFO for each sender
                assert [m for m in messages if m[0] == name] == [
                    f"{name}{i}" for i in range(rounds)
                ]
