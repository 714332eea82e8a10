"""A server that lets its clients leave before it ends."""

from __future__ import annotations

import errno
import math
import socket
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from anyio_websocket import WebSocketRequest, WebSocketServer
from anyio_websocket._server import _listeners
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
)

from ..support.frames import CLOSE, TEXT, close_payload
from ..support.memory_servers import accepted_client, raw_client, running, status_of
from ..support.servers import echo

CLOSE_1012 = Frame(CLOSE, close_payload(1012, "bye"))


async def leave(peer: ScriptedPeer) -> float:
    """Answer the server's Close; return when it came."""
    assert await peer.receive_frame() == CLOSE_1012
    came = anyio.current_time()
    await peer.send_close(1012)
    assert await peer.receive_all() == b""
    await peer.stream.aclose()
    return came


@pytest.mark.virtual_time
@pytest.mark.parametrize(("drain", "spread"), [(10, 8), (10, 0), (0, 8)])
async def test_E11_clients_are_left_in_peace_and_closed_one_by_one(
    drain: float, spread: float
) -> None:
    times: list[float] = []

    async def client(peer: ScriptedPeer) -> None:
        times.append(await leave(peer) - it.started)

    async with running(echo) as it, anyio.create_task_group() as tasks:
        leaver, *peers = [await accepted_client(it.listener) for _ in range(5)]
        stop = partial(it.stop, 1012, "bye", drain=drain, spread=spread)
        tasks.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        assert it.listener.closed
        if drain:
            for peer in (leaver, *peers):
                await peer.send_frame(TEXT, b"still here?")
                assert await peer.receive_frame() == Frame(TEXT, b"still here?")
            await leaver.send_close(1000)
            await leaver.receive_frame()
            await leaver.receive_all()
            await leaver.stream.aclose()
        else:
            peers.insert(0, leaver)
        for peer in peers:
            tasks.start_soon(client, peer)
    # Evenly, from the first to the last.
    step = spread / len(peers)
    expected = [drain + step * number for number in range(len(peers))]
    assert sorted(times) == pytest.approx(expected, abs=0.1)
    assert it.took == pytest.approx(expected[-1], abs=0.1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("drain", [100, math.inf])
async def test_E11_it_does_not_wait_when_all_have_left(drain: float) -> None:
    async with running(echo) as it, anyio.create_task_group() as tasks:
        peer = await accepted_client(it.listener)
        tasks.start_soon(partial(it.stop, drain=drain, spread=100))
        await anyio.sleep(3)
        await peer.send_close(1000)
        await peer.receive_frame()
        await peer.receive_all()
        await peer.stream.aclose()
    assert it.took == pytest.approx(3, abs=0.1)
    async with running(echo) as it, anyio.create_task_group() as tasks:
        peers = [await accepted_client(it.listener) for _ in range(2)]
        tasks.start_soon(partial(it.stop, 1012, "bye", spread=100))
        await leave(peers[0])
        await anyio.sleep(3)
        await peers[1].send_close(1000)
        await peers[1].receive_frame()
        await peers[1].receive_all()
        await peers[1].stream.aclose()
    assert it.took == pytest.approx(3, abs=0.1)
    async with running(echo) as it:  # and not at all if there was none
        await it.stop(drain=drain, spread=100)
        assert it.took == pytest.approx(0, abs=0.1)


@pytest.mark.virtual_time
async def test_E11_handshakes_in_flight_are_finished() -> None:
    go_on = anyio.Event()

    async def handler(asked: WebSocketRequest) -> None:
        if asked.path == "/undecided":
            await go_on.wait()
        elif asked.path == "/never":
            await anyio.sleep_forever()
        await echo(asked)

    async with running(handler, connect_timeout=100) as it:
        data = handshake_request()
        slow = await raw_client(it.listener, data[:20])
        undecided = await raw_client(
            it.listener, handshake_request(line=b"GET /undecided HTTP/1.1")
        )
        never = await raw_client(
            it.listener, handshake_request(line=b"GET /never HTTP/1.1")
        )
        silent = await raw_client(it.listener, b"GET")
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(it.stop, 1012, "bye", drain=2, spread=4))
            await anyio.sleep(1)
            await slow.stream.send(data[20:])
            assert (await slow.receive_head()).startswith(b"HTTP/1.1 101 ")
            tasks.start_soon(leave, slow)
            await anyio.sleep(2)
            go_on.set()  # one that comes during the spread is closed in the end
            assert (await undecided.receive_head()).startswith(b"HTTP/1.1 101 ")
            assert await leave(undecided) - it.started == pytest.approx(6, abs=0.1)
            for peer in (never, silent):
                assert status_of(await peer.receive_all()) == 503
                await peer.stream.aclose()
    assert it.took == pytest.approx(6, abs=0.1)


@pytest.mark.virtual_time
async def test_E11_handlers_that_do_not_end_after_the_spread() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        await anyio.sleep_forever()

    async with running(handler, disconnect_timeout=50) as it:
        peers = [await accepted_client(it.listener) for _ in range(2)]
        async with anyio.create_task_group() as tasks:
            stop = partial(it.stop, 1012, "bye", drain=2, spread=4, timeout=3)
            tasks.start_soon(stop)
            # One answers its Close, and one does not.
            assert await leave(peers[0]) - it.started == pytest.approx(2, abs=0.1)
            assert await peers[1].receive_frame() == CLOSE_1012
            await peers[1].receive_all()
            await peers[1].stream.aclose()
        assert it.took == pytest.approx(2 + 4 + 3, abs=0.1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("cancels", ["aclose", "server"])
async def test_E11_cancelled_while_clients_are_let_go(
    after: float, cancels: str
) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        await anyio.sleep_forever()

    listener = MemoryListener()
    server = WebSocketServer(handler, [listener])
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        peers = [await accepted_client(listener) for _ in range(4)]
        async with anyio.create_task_group() as stopping:
            stop = partial(server.aclose, 1012, "bye", drain=2, spread=8)
            stopping.start_soon(stop)
            await anyio.sleep(after)
            started = anyio.current_time()
            scope = stopping.cancel_scope if cancels == "aclose" else tasks.cancel_scope
            scope.cancel()
            with anyio.CancelScope(shield=True):
                if cancels == "aclose":
                    await server.aclose()  # waits for what the first one does
                for number, peer in enumerate(peers):
                    frame = await peer.receive_frame()
                    told = number == 0 and after == 3
                    by_us = cancels == "aclose" or told
                    assert frame == CLOSE_1012 or not by_us
                    assert frame.opcode == CLOSE
                    await peer.stream.aclose()
    assert anyio.current_time() - started < 0.1
    assert listener.closed


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"drain": -1}, ValueError),
        ({"drain": None}, TypeError),
        ({"spread": math.nan}, ValueError),
        ({"spread": math.inf}, ValueError),
        ({"spread": "slow"}, TypeError),
    ],
)
async def test_E11_invalid_times_are_an_error(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    async with running(echo) as it:
        with pytest.raises(error, match=next(iter(arguments))):
            await it.server.aclose(**arguments)
        peer = await accepted_client(it.listener)  # it serves on
        await peer.stream.aclose()
        await it.stop()


# -- clients that wait in the kernel -------------------------------------------


async def leave_at_once(peer: ScriptedPeer) -> None:
    assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
    await peer.send_close(1000)
    assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
    assert await peer.receive_all() == b""
    await peer.stream.aclose()


@pytest.mark.parametrize("outcome", ["is let in", "no slot", "is lost"])
async def test_E11_a_client_that_waits_in_the_kernel(
    outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    listener = await SocketListener.from_socket(socket.create_server(("127.0.0.1", 0)))
    address: Any = listener.extra(SocketAttribute.local_address)
    server = WebSocketServer(
        echo, [listener], max_connections=1 if outcome == "no slot" else 2
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        first = ScriptedPeer(await anyio.connect_tcp(*address), is_client=True)
        await first.stream.send(handshake_request())
        async with anyio.create_task_group() as stopping:
            await anyio.wait_all_tasks_blocked()
            # The event loop does not look at the listener between these two.
            waiting = socket.create_connection(address)
            waiting.send(handshake_request())
            stopping.start_soon(partial(server.aclose, drain=30, spread=30))
            if outcome == "is let in":  # and no more, however many there are
                monkeypatch.setattr(_listeners, "MAX_WAITING", 1)
            elif outcome == "is lost":
                monkeypatch.setattr(socket.socket, "setsockopt", fail)
            while listener.extra(SocketAttribute.raw_socket).fileno() >= 0:
                await anyio.lowlevel.checkpoint()
            monkeypatch.undo()
            if outcome == "is let in":
                stream = await SocketStream.from_socket(waiting)
                await leave_at_once(ScriptedPeer(stream, is_client=True))
            else:
                with waiting, suppress(ConnectionError):
                    assert waiting.recv(1) == b""
            await leave_at_once(first)
