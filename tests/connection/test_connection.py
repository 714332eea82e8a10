"""Open connections: messages, iteration, arguments, and calls from many tasks."""

from __future__ import annotations

import math
import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    PerMessageDeflate,
    WebSocketConnection,
)
from anyio_websocket._connection import _fairness, _outbox, _reader
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket.testing import Frame

from ..support.frames import CLOSE, TEXT, close_payload
from ..support.peer import (
    Opener,
    linked,
    linked_by_sockets,
)
from ..support.stretch import calls_until_cancelled, set_max_stretch

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
        assert repr(client) == f"<WebSocketConnection {client}>"
        assert str(server).startswith("server-")
        assert "MemoryStream" in str(client.local)
        assert "MemoryStream" in str(client.remote)
        assert client.local_address is client.remote_address is None
        client.user = "attributes may be set"  # type: ignore[attr-defined]


async def test_iteration_ends_with_the_peer(opener: Opener) -> None:
    for code in (1000, 1001):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await peer.send_frame(TEXT, b"a")
            await peer.send_frame(TEXT, b"b")
            await peer.send_close(code)
            assert [message async for message in connection] == ["a", "b"]
            tasks.cancel_scope.cancel()


async def test_iteration_raises_for_any_other_end(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_frame(TEXT, b"a")
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
            {"a": 1},
            [["a"]],
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
        assert await peer.receive_frame() == Frame(TEXT, b"fine")
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
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000, "é" * 61))
        tasks.cancel_scope.cancel()


async def test_H2_calls_after_the_close(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4000)
        await peer.receive_frame()
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


async def test_F9_many_messages_leave_with_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages: list[str | bytes | bytearray] = ["a", "ö", b"b", bytearray(b"c")]
    writes = 0
    write = SocketTransport.write

    def counted(transport: SocketTransport, data: bytes, payload: bytes = b"") -> bool:
        nonlocal writes
        writes += 1
        return write(transport, data, payload)

    async with linked_by_sockets() as (client, server):
        monkeypatch.setattr(SocketTransport, "write", counted)
        await client.send_messages(iter(messages))
        assert writes == 1
        await client.send_messages([])
        assert writes == 1
        for message in messages:
            assert await server.get_message() == message


async def test_many_messages_of_any_size_compressed_or_not() -> None:
    messages: list[str | bytes] = [
        "x" * 10,
        "y" * 300_000,
        b"z" * 131_072,
        "",
        "ä" * 1000,
    ] * 3
    for compression in (None, PerMessageDeflate(threshold=0)):
        async with linked(
            client={"compression": compression}, server={"compression": compression}
        ) as (client, server):
            for sender, receiver in ((client, server), (server, client)):
                for compress in (None, True, False):
                    received: list[str | bytes] = []

                    async def receive(receiver: WebSocketConnection) -> None:
                        while len(received) < len(messages):  # noqa: B023
                            received.append(await receiver.get_message())  # noqa: B023

                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(receive, receiver)
                        await sender.send_messages(messages, compress=compress)
                    assert received == messages


async def test_many_messages_keep_together() -> None:
    # One of them has to wait, and another task wants to send meanwhile.
    async with linked(capacity=1000) as (client, server):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send_messages, ["x" * 300_000, "y", "z"])
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(client.send_message, "of another task")
            received = [await server.get_message() for _ in range(4)]
        assert received == ["x" * 300_000, "y", "z", "of another task"]


async def test_H1_one_invalid_message_of_many() -> None:
    invalid: list[tuple[Any, type[Exception]]] = [
        (["fits", 1], ValueError),
        (["fits", "\ud800"], ValueError),
        ("a single one", TypeError),
        (b"a single one", TypeError),
        (None, TypeError),
    ]
    async with linked() as (client, server):
        for messages, error in invalid:
            with pytest.raises(error):
                await client.send_messages(messages)
        await client.send_message("nothing was sent before this")
        assert await server.get_message() == "nothing was sent before this"


async def test_many_messages_of_a_cancelled_task() -> None:
    async with linked_by_sockets() as (client, server):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.send_messages(["a", "b"])
        assert scope.cancelled_caught
        await client.send_message("nothing was sent before this")
        assert await server.get_message() == "nothing was sent before this"


async def test_E8_many_messages_when_the_connection_ends() -> None:
    async with linked(capacity=1000) as (client, server):
        outcome: list[str] = []

        async def receive() -> None:
            with pytest.raises(ConnectionClosed):
                await client.get_message()

        async def send() -> None:
            try:
                # More than the server stores.
                await client.send_messages(["x" * 200_000] * 10)
            except ConnectionClosed:
                outcome.append("closed")
            else:
                outcome.append("sent")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await server.aclose()
        assert outcome == ["closed"]
    with pytest.raises(ConnectionClosed):
        await client.send_messages(["too late"])


# -- a task that computes ----------------------------------------------------------


async def test_F11_a_cancelled_task_that_computes_receives_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with linked_by_sockets(message_queue_size=100) as (client, server):
        await client.send_messages(["x"] * 50)
        await anyio.wait_all_tasks_blocked()
        assert await server.get_message() == "x"  # the others are there, too
        set_max_stretch(monkeypatch, 0)  # as if it computed before each call
        for receive in (server.get_message, server.__anext__):
            received = 0
            with anyio.CancelScope() as scope:
                scope.cancel()
                while True:
                    await receive()
                    received += 1
            assert scope.cancelled_caught
            assert received == 0
        assert await server.get_message() == "x"  # none was lost


async def test_F4_tasks_that_receive_take_turns() -> None:
    for one_by_one in (True, False):
        async with linked_by_sockets() as (client, server):
            got: dict[str, int] = {"a": 0, "b": 0, "c": 0}

            async def receive(name: str) -> None:
                async for _ in server:
                    got[name] += 1  # noqa: B023

            async with anyio.create_task_group() as tasks:
                for name in got:
                    tasks.start_soon(receive, name)
                await anyio.wait_all_tasks_blocked()
                if one_by_one:
                    for _ in range(30):
                        await client.send_message("x")
                        await anyio.wait_all_tasks_blocked()
                else:
                    await client.send_messages(["x"] * 30)
                    await anyio.wait_all_tasks_blocked()
                await client.aclose()
            assert got == {"a": 10, "b": 10, "c": 10}


async def test_F4_a_cancelled_task_leaves_its_message_to_the_next() -> None:
    async with linked_by_sockets() as (client, server):
        got: list[str | bytes] = []

        async def receive(
            scope: anyio.CancelScope, cancels: anyio.CancelScope | None = None
        ) -> None:
            with scope:
                got.append(await server.get_message())
                if cancels is not None:
                    cancels.cancel()

        first, second, third = (anyio.CancelScope() for _ in range(3))
        async with anyio.create_task_group() as tasks:
            # The first one reads. The others wait in line.
            tasks.start_soon(receive, first, third)
            for scope in (second, third):
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(receive, scope)
            await anyio.wait_all_tasks_blocked()
            second.cancel()  # while it waits
            await anyio.wait_all_tasks_blocked()
            # The first one wakes the third, which is cancelled before it runs.
            await client.send_messages(["a", "b"])
        assert got[0] == "a"
        await client.send_message("last")
        while got[-1] != "last":
            got.append(await server.get_message())
        assert got == ["a", "b", "last"]


async def test_F12_many_messages_let_other_tasks_run() -> None:
    async with linked_by_sockets(message_queue_size=math.inf) as (client, server):
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.lowlevel.checkpoint()
                ticks += 1

        async def receive() -> None:
            for _ in range(10_000):
                await server.get_message()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(tick)
            await client.send_messages([b""] * 10_000)
            assert ticks >= 9  # between two writes
            tasks.cancel_scope.cancel()


async def test_F11_a_task_that_computes_after_full_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # After a full read the next one is tried without waiting.
    async with linked_by_sockets(receive_buffer_size=7) as (client, server):
        await client.send_messages(["x"] * 20)  # 7 bytes each
        assert await server.get_message() == "x"
        seconds = time.monotonic()
        set_max_stretch(monkeypatch, 0.5)
        for module in (_fairness, _outbox, _reader):
            monkeypatch.setattr(module, "monotonic", lambda: seconds)

        async def compute_and_receive() -> None:
            nonlocal seconds
            await server.get_message()
            seconds += 1

        assert await calls_until_cancelled(compute_and_receive) <= 2
