"""The tasks of a server's clients: handlers, their errors and their end."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketRequest,
    WebSocketServer,
)
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    MemoryStream,
    ScriptedPeer,
    handshake_request,
)

from ..support.frames import CLOSE, PING, TEXT, close_payload
from ..support.memory_servers import accepted_client, raw_client, serving, status_of
from ..support.servers import echo, said
from ..support.streams import failing

# -- handlers ------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("how", "code"), [("returns", 1000), ("raises", 1011), ("group", 1011)]
)
async def test_E12_the_end_of_a_handler_closes_the_connection(
    how: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        if how == "raises":
            raise RuntimeError("oops")
        if how == "group":
            raise ExceptionGroup("oops", [RuntimeError("a"), ConnectionClosed(None)])

    async with serving(handler) as (listener, _):
        for _ in range(2):  # and the server lives
            peer = await accepted_client(listener)
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(code))
            await peer.send_close(code)
            assert await peer.receive_all() == b""
            await peer.stream.aclose()
    assert ("Traceback" in caplog.text) == (how != "returns")
    assert ("oops" in caplog.text) == (how != "returns")


@pytest.mark.virtual_time
@pytest.mark.parametrize("group", [False, True])
async def test_E12_the_connection_closed_of_its_connection_is_not_logged(
    group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        if not group:
            await ws.get_message()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ws.get_message)
            tasks.start_soon(ws.ping)

    async with serving(handler) as (listener, _):
        peer = await accepted_client(listener)
        if group:
            assert (await peer.receive_frame()).opcode == PING
        await peer.send_close(4000, "why")
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000, "why"))
        await peer.receive_all()
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
    assert not caplog.records


@pytest.mark.virtual_time
async def test_E12_the_connection_closed_of_another_connection_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        raise ConnectionClosed(CloseReason(1000, None))

    async with serving(handler) as (listener, _):
        peer = await accepted_client(listener)
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1011))
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
    assert "ConnectionClosed" in caplog.text


@pytest.mark.virtual_time
async def test_E12_that_of_another_connection_before_the_response_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        raise ConnectionClosed(CloseReason(1000, None))

    async with serving(handler) as (listener, _):
        peer = await raw_client(listener)
        assert status_of(await peer.receive_all()) == 500
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
    assert "ConnectionClosed" in caplog.text


@pytest.mark.virtual_time
@pytest.mark.parametrize("answered", [False, True])
async def test_handler_errors_raise(answered: bool) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if answered:
            await request.accept()
        if request.path == "/bad":
            raise RuntimeError("oops")
        await anyio.sleep_forever()

    peers: list[ScriptedPeer] = []
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="oops"), flatten_subgroups=True
    ):
        async with serving(
            handler, handler_errors="raise", disconnect_timeout=1, connect_timeout=1
        ) as (listener, _):
            peers.append(await raw_client(listener))
            await anyio.wait_all_tasks_blocked()
            peers.append(
                await raw_client(listener, handshake_request(line=b"GET /bad HTTP/1.1"))
            )
            await anyio.sleep_forever()
    good, bad = peers
    if answered:
        for peer, code in ((good, 1001), (bad, 1011)):
            await peer.receive_head()
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(code))
    else:
        assert status_of(await good.receive_all()) == 503
        assert status_of(await bad.receive_all()) == 500


async def test_G2_others_are_unaffected() -> None:
    # A stream that raises what no stream should ends its own connection only.
    async with serving(echo) as (listener, _):
        good = await accepted_client(listener)
        for hook in ("before_receive", "before_send"):
            server_end, client_end = listener.pair()
            setattr(server_end, hook, failing(RuntimeError("no stream does this")))
            await client_end.send(handshake_request())
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await client_end.receive()
        await good.send_frame(TEXT, b"still here?")
        assert await good.receive_frame() == Frame(TEXT, b"still here?")
        await good.stream.aclose()


# -- the end of a server -------------------------------------------------------


async def fail_in_the_end(error: Exception, started: anyio.Event) -> None:
    try:
        started.set()
        await anyio.sleep_forever()
    finally:
        raise error


@pytest.mark.parametrize("errors", ["log", "raise"])
async def test_E12_a_handler_fails_to_clean_up_while_the_server_stops(
    errors: Literal["log", "raise"], caplog: pytest.LogCaptureFixture
) -> None:
    # Another task of the handler is cancelled, so trio makes a group of both.
    started = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail_in_the_end, ValueError("oops"), started)
            tasks.start_soon(anyio.sleep_forever)

    expected = (
        nullcontext()
        if errors == "log"
        else pytest.RaisesGroup(
            pytest.RaisesExc(ValueError, match="oops"), flatten_subgroups=True
        )
    )
    listener = MemoryListener()
    server = WebSocketServer(
        handler, [listener], handler_errors=errors, disconnect_timeout=0.01
    )
    with expected:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            peer = await accepted_client(listener)
            await started.wait()
            await server.aclose(timeout=0.01)
            await peer.stream.aclose()
    assert [record.exc_info is not None for record in said(caplog)] == (
        [True] if errors == "log" else []
    )
    assert ("oops" in caplog.text) == (errors == "log")


async def test_E12_a_handlers_task_loses_its_connection_while_the_server_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        started.set()
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail_in_the_end, caught.value, anyio.Event())
            tasks.start_soon(anyio.sleep_forever)

    async with serving(handler, disconnect_timeout=0.01) as (listener, tasks):
        peer = await accepted_client(listener)
        await started.wait()
        tasks.cancel_scope.cancel()
    await peer.stream.aclose()
    assert not said(caplog)


@pytest.mark.virtual_time
async def test_E11_every_client_gets_1001() -> None:
    over: list[str] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            if request.path == "/reads":
                await ws.get_message()
            else:
                await anyio.sleep_forever()
        finally:
            over.append(request.path)

    peers: list[ScriptedPeer] = []
    started = 0.0
    async with serving(handler, disconnect_timeout=3) as (listener, tasks):
        for path in (b"/reads", b"/sleeps", b"/rude"):
            data = handshake_request(line=b"GET " + path + b" HTTP/1.1")
            peers.append(await raw_client(listener, data))
            await peers[-1].receive_head()
        pending = await raw_client(listener, b"GET /")
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for peer in peers:
                assert await peer.receive_frame() == Frame(CLOSE, close_payload(1001))
            for peer in peers[:2]:
                await peer.send_close(1001)
                assert await peer.receive_all() == b""
                await peer.stream.aclose()
            answer = await pending.receive_all()
            assert status_of(answer) == 503
            assert b"\r\nconnection: close\r\n" in answer.lower()
            await pending.stream.aclose()
            assert anyio.current_time() - started < 1
    assert 2.9 < anyio.current_time() - started < 3.5
    assert sorted(over) == ["/reads", "/rude", "/sleeps"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("own_nursery", [False, True])
async def test_E11_the_nursery_waits_for_handlers_that_clean_up(
    own_nursery: bool,
) -> None:
    cleaned_up: list[float] = []

    async def handler(request: WebSocketRequest) -> None:
        try:
            await request.accept()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(7)
                cleaned_up.append(anyio.current_time())

    async with anyio.create_task_group() as handlers:
        options = {"handler_nursery": handlers} if own_nursery else {}
        async with serving(handler, disconnect_timeout=1, **options) as (listener, _):
            peer = await accepted_client(listener)
            await anyio.wait_all_tasks_blocked()
            started = anyio.current_time()
            handlers.cancel_scope.cancel()
    assert [round(moment - started) for moment in cleaned_up] == [8]
    assert anyio.current_time() >= cleaned_up[0]
    await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_handler_nursery_outlives_the_server() -> None:
    async with anyio.create_task_group() as handlers:
        async with serving(echo, handler_nursery=handlers) as (listener, _):
            peer = await accepted_client(listener)
            other = await accepted_client(listener)
            undecided = await raw_client(listener, b"GET /")
            await anyio.wait_all_tasks_blocked()
        # The server is gone, its handlers are not.
        await peer.send_frame(TEXT, b"still here?")
        assert await peer.receive_frame() == Frame(TEXT, b"still here?")
        await other.send_close(1000)
        assert (await other.receive_frame()).opcode == CLOSE
        await other.stream.aclose()
        await undecided.stream.send(handshake_request()[5:])
        await undecided.receive_head()
        handlers.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for last in (peer, undecided):
                assert await last.receive_frame() == Frame(CLOSE, close_payload(1001))
                await last.stream.aclose()


@pytest.mark.virtual_time
async def test_handler_nursery_ends_with_the_last_handler() -> None:
    async with anyio.create_task_group() as handlers:
        async with serving(echo, handler_nursery=handlers) as (listener, _):
            peer = await accepted_client(listener)
        await peer.send_close(1000)
        await peer.receive_frame()
        await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_cancelled_handler_nursery_takes_no_new_clients() -> None:
    listener = MemoryListener()
    late: list[MemoryStream] = []
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="not active"), flatten_subgroups=True
    ):
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as handlers:
                server = WebSocketServer(echo, [listener], handler_nursery=handlers)
                await tasks.start(server.run)
                peer = await accepted_client(listener)

                async def leave(peer: ScriptedPeer = peer) -> None:
                    assert (await peer.receive_frame()).opcode == CLOSE
                    late.append(listener.connect())
                    await anyio.sleep(1)
                    await peer.stream.aclose()

                tasks.start_soon(leave)
                handlers.cancel_scope.cancel()
            # The server goes on, but has nowhere to put a client.
            late.append(listener.connect())
            await anyio.sleep_forever()
    assert listener.closed
    told, dropped = [ScriptedPeer(stream, is_client=True) for stream in late]
    assert status_of(await told.receive_all()) == 503
    assert await dropped.receive_all() == b""
