"""The end of a server that is told to stop, instead of being cancelled."""

from __future__ import annotations

import math
import ssl
from functools import partial
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    serve_websocket,
)
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
)

from ..support.frames import CLOSE, TEXT, close_payload
from ..support.memory_servers import accepted_client, raw_client, running, status_of
from ..support.servers import echo

# -- what clients and handlers see ---------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("arguments", "close"),
    [
        ((), close_payload(1001)),
        ((1012, "we restart"), close_payload(1012, "we restart")),
    ],
)
async def test_E11_clients_are_told(arguments: tuple[Any, ...], close: bytes) -> None:
    seen: list[CloseReason | None] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            await ws.get_message()
        except ConnectionClosed as exc:
            await anyio.sleep(2)  # there is time to wind up
            seen.append(exc.reason)

    async with running(handler) as it, anyio.create_task_group() as tasks:
        peers = [await accepted_client(it.listener) for _ in range(3)]
        tasks.start_soon(partial(it.stop, *arguments))
        for peer in peers:
            assert await peer.receive_frame() == Frame(CLOSE, close)
            await peer.send_frame(CLOSE, close)
            assert await peer.receive_all() == b""
            await peer.stream.aclose()
    assert len(seen) == 3
    assert {reason.code for reason in seen if reason} == {int.from_bytes(close[:2])}
    assert it.took == pytest.approx(2, abs=0.1)


@pytest.mark.virtual_time
async def test_E11_handshakes_in_flight_get_a_503() -> None:
    cancelled: list[str] = []

    async def handler(asked: WebSocketRequest) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(asked.path)

    async with running(handler) as it, anyio.create_task_group() as tasks:
        peers = [
            await raw_client(it.listener, data)
            for data in (
                b"",
                handshake_request()[:50],
                handshake_request(line=b"GET /asked HTTP/1.1"),
            )
        ]
        await anyio.wait_all_tasks_blocked()
        peers.append(await raw_client(it.listener))  # and one that was just accepted
        tasks.start_soon(it.stop)
        for peer in peers:
            answer = await peer.receive_all()
            assert status_of(answer) == 503
            assert b"\r\nconnection: close\r\n" in answer.lower()
            await peer.stream.aclose()
    assert cancelled == ["/asked"]
    assert it.took < 1


@pytest.mark.virtual_time
async def test_E11_a_rejection_is_not_followed_by_another() -> None:
    # A 400 is on its way that the client does not take, when the server stops.
    async with running(echo) as it, anyio.create_task_group() as tasks:
        peer = await raw_client(it.listener, b"nonsense\r\n\r\n")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(it.stop)
        answer = await peer.receive_all()
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.1") == 1
        await peer.stream.aclose()
    assert it.took < 1


@pytest.mark.virtual_time
async def test_E11_a_request_that_comes_at_that_moment() -> None:
    async def never(asked: WebSocketRequest) -> None:
        raise AssertionError

    async with running(never, handler_errors="raise") as it:
        async with anyio.create_task_group() as tasks:
            peer = ScriptedPeer(it.listener.connect(), is_client=True)
            await anyio.wait_all_tasks_blocked()

            async def leave() -> None:
                assert status_of(await peer.receive_all()) == 503
                await peer.stream.aclose()

            tasks.start_soon(leave)
            await peer.stream.send(handshake_request())
            await it.stop()  # before the server's task has had its turn


@pytest.mark.virtual_time
async def test_E11_a_handler_that_has_rejected_is_cancelled() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await asked.reject(403)
        await anyio.sleep_forever()

    async with running(handler) as it:
        peer = await raw_client(it.listener)
        assert status_of(await peer.receive_all()) == 403
        await peer.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        await it.stop()
        assert it.took < 1


# -- the deadline --------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("timeout", [0, 3, None])
async def test_E11_clients_that_do_not_reply(timeout: float | None) -> None:
    async with running(echo, disconnect_timeout=5) as it:
        peers = [await accepted_client(it.listener) for _ in range(2)]
        await it.stop(timeout=timeout)
        assert it.took == pytest.approx(5 if timeout is None else timeout, abs=0.1)
        for peer in peers:
            if timeout != 0:
                assert await peer.receive_frame() == Frame(CLOSE, close_payload(1001))
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await peer.receive_frame()


@pytest.mark.virtual_time
@pytest.mark.parametrize("timeout", [0, 3])
async def test_E11_handlers_that_do_not_end(timeout: float) -> None:
    over: list[str] = []

    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        try:
            await anyio.sleep_forever()
        finally:
            over.append("cancelled")
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            over.append("tidied up")

    async with running(handler) as it, anyio.create_task_group() as tasks:
        peer = await accepted_client(it.listener)

        async def leave() -> None:
            with pytest.raises(anyio.EndOfStream):
                while (await peer.receive_frame()).opcode == CLOSE:
                    await peer.send_close(1001)
            await peer.stream.aclose()

        tasks.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        await it.stop(timeout=timeout)
        assert it.took == pytest.approx(timeout + 1, abs=0.1)
        assert over == ["cancelled", "tidied up"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("timeout", "took"), [(0.5, 0.5), (3, 1)])
async def test_E19_clients_that_answer_the_close_and_keep_the_stream(
    timeout: float, took: float
) -> None:
    # They are waited for until the timeout of the call or of the closing.
    closed: list[CloseReason | None] = []

    async def handler(asked: WebSocketRequest) -> None:
        connection = await asked.accept()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.get_message()
        closed.append(caught.value.reason)
        await connection.wait_closed()
        closed.append(connection.closed)

    async with running(handler, disconnect_timeout=1) as it:
        peer = await accepted_client(it.listener)

        async def answer() -> None:
            assert (await peer.receive_frame()).opcode == CLOSE
            await peer.send_close(1012)
            with pytest.raises(anyio.EndOfStream):
                await peer.receive_frame()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            await it.stop(1012, timeout=timeout)
        assert it.took == pytest.approx(took, abs=0.1)
    assert closed == [CloseReason(1012, None)] * 2


@pytest.mark.virtual_time
async def test_E11_a_503_that_is_not_read() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await anyio.sleep_forever()

    async with running(handler) as it:
        for data in (b"", handshake_request()):
            peer = await raw_client(it.listener, data)
            await anyio.wait_all_tasks_blocked()
            # The pipe towards the client is full.
            peer.stream._incoming.data += bytes(65536)  # type: ignore[attr-defined]
        await it.stop(timeout=3)
        assert it.took == pytest.approx(3, abs=0.1)


@pytest.mark.virtual_time
async def test_E11_a_client_that_was_leaving_already() -> None:
    # Its Close came first, and the background task replies, to a client that does not
    # read the reply.
    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        await anyio.sleep_forever()

    async with running(handler, disconnect_timeout=100) as it:
        peer = await accepted_client(it.listener)
        peer.stream._incoming.data += bytes(65536)  # type: ignore[attr-defined]
        await peer.send_close(4000)
        await anyio.sleep(1)
        await it.stop(timeout=3)
        assert it.took == pytest.approx(3, abs=0.1)


# -- more than once, cancelled, early, late ------------------------------------


@pytest.mark.virtual_time
async def test_E11_several_calls() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        await anyio.sleep_forever()

    async with running(handler) as it:
        peer = await accepted_client(it.listener)
        times: list[float] = []

        async def stop(delay: float) -> None:
            await anyio.sleep(delay)
            await it.server.aclose(4000 + int(delay), timeout=3 + delay)
            times.append(anyio.current_time())

        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for delay in range(3):
                tasks.start_soon(stop, delay)
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
            await peer.send_close(4000)
            assert await peer.receive_all() == b""
            await peer.stream.aclose()
        assert [end - started for end in times] == [pytest.approx(3, abs=0.1)] * 3
        await it.stop()
        assert it.took == pytest.approx(0, abs=0.01)


@pytest.mark.virtual_time
async def test_E11_cancelled() -> None:
    over: list[str] = []

    async def handler(asked: WebSocketRequest) -> None:
        if asked.path != "/undecided":
            await asked.accept()
        try:
            await anyio.sleep_forever()
        finally:
            over.append(asked.path)

    async with running(handler, disconnect_timeout=50, connect_timeout=50) as it:
        rude = await accepted_client(it.listener)
        pending = [
            await raw_client(it.listener, data)
            for data in (b"GET", handshake_request(line=b"GET /undecided HTTP/1.1"))
        ]
        await anyio.wait_all_tasks_blocked()
        for peer in pending:
            peer.stream._incoming.data += bytes(65536)  # type: ignore[attr-defined]
        with anyio.move_on_after(1) as scope:
            await it.stop(timeout=None)
        assert scope.cancelled_caught
        # The second one finds everything closed.
        second = anyio.current_time()
        await it.server.aclose()
        await it.returned.wait()
        assert anyio.current_time() - second < 0.1
        assert sorted(over) == ["/", "/undecided"]
        assert await rude.receive_frame() == Frame(CLOSE, close_payload(1001))
        with pytest.raises(anyio.EndOfStream):
            await rude.receive_frame()


@pytest.mark.virtual_time
async def test_E11_the_nursery_is_cancelled_meanwhile() -> None:
    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener], disconnect_timeout=20)
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        tasks.start_soon(partial(server.aclose, timeout=None))
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1001))
        started = anyio.current_time()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - started < 0.1
    assert listener.closed


@pytest.mark.virtual_time
async def test_E11_only_the_arguments_of_the_first_call_count() -> None:
    ended: list[float] = []

    async def handler(asked: WebSocketRequest) -> None:
        await (await asked.accept()).wait_closed()
        await anyio.sleep(5)
        ended.append(anyio.current_time())

    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(handler, [listener])
        await tasks.start(server.run)
        peer = await accepted_client(listener)
        tasks.start_soon(partial(server.aclose, 1012, timeout=20))
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1012))
        await peer.send_close(1012)
        await peer.stream.aclose()
        await server.aclose(timeout=0)  # would cancel the handler
        assert len(ended) == 1


@pytest.mark.virtual_time
async def test_E11_stopped_before_it_runs() -> None:
    listener = MemoryListener()
    server = WebSocketServer(echo, [listener])
    await server.aclose()
    assert listener.closed
    await server.aclose()
    async with anyio.create_task_group() as tasks:
        assert await tasks.start(server.run) is server  # and returns at once


@pytest.mark.virtual_time
async def test_E11_stopped_after_it_was_cancelled() -> None:
    # Its handlers live on, in a nursery of their own; now they are to end as well.
    async with anyio.create_task_group() as handlers:
        listener = MemoryListener()
        async with anyio.create_task_group() as tasks:
            server = WebSocketServer(echo, [listener], handler_nursery=handlers)
            await tasks.start(server.run)
            peer = await accepted_client(listener)
            tasks.cancel_scope.cancel()
        await peer.send_frame(TEXT, b"still here?")
        assert await peer.receive_frame() == Frame(TEXT, b"still here?")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.aclose, 1012)
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(1012))
            await peer.send_close(1012)
            await peer.receive_all()
            await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_E11_a_handler_that_waits_for_its_own_end() -> None:
    # It is told not to; still nothing hangs.
    servers: list[WebSocketServer] = []

    async def handler(asked: WebSocketRequest) -> None:
        await asked.accept()
        await servers[0].aclose(timeout=3)
        raise AssertionError

    async with running(handler) as it:
        servers.append(it.server)
        peer = await accepted_client(it.listener)
        started = anyio.current_time()
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1001))
        await peer.send_close(1001)
        assert await peer.receive_all() == b""
        await peer.stream.aclose()
    assert anyio.current_time() - started == pytest.approx(3, abs=0.1)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"code": 999}, ValueError),
        ({"code": "1001"}, TypeError),
        ({"reason": "\ud800"}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "soon"}, TypeError),
    ],
)
async def test_E11_invalid_arguments_are_an_error(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    async with running(echo) as it:
        with pytest.raises(error):
            await it.server.aclose(**arguments)
        peer = await accepted_client(it.listener)  # it serves on
        await peer.stream.aclose()
        await it.stop()


# -- over real sockets ---------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
async def test_E11_over_real_sockets(
    tls: bool, port: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        if asked.path == "/undecided":
            asked_for.set()
            await anyio.sleep_forever()
        await echo(asked)

    asked_for = anyio.Event()
    closed: list[WebSocketConnection] = []
    codes: list[int] = []

    async def client(*, task_status: Any) -> None:
        use_ssl = client_tls if tls else False
        async with open_websocket("localhost", port, "/", use_ssl=use_ssl) as ws:
            task_status.started()
            async for _ in ws:
                raise AssertionError
            closed.append(ws)

    async def undecided() -> None:
        use_ssl = client_tls if tls else False
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("localhost", port, "undecided", use_ssl=use_ssl):
                raise AssertionError
        codes.append(caught.value.status_code)

    over = anyio.Event()

    async def serve(*, task_status: Any) -> None:
        await serve_websocket(
            handler,
            "127.0.0.1",
            port,  # which nobody takes when it is given back
            server_tls if tls else None,
            task_status=task_status,
        )
        over.set()  # it returns, although it used to be said that it never does

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve)
        async with await anyio.connect_tcp("127.0.0.1", port) as stalled:
            await stalled.send(b"\x16\x03\x01" if tls else b"GET / HTTP")
            # These come later, so when they are there that one is as well.
            for _ in range(5):
                await tasks.start(client)
            tasks.start_soon(undecided)
            with anyio.fail_after(5):
                await asked_for.wait()
                tasks.start_soon(server.aclose)
                answer = await ScriptedPeer(stalled, is_client=True).receive_all()
                assert answer == b"" if tls else status_of(answer) == 503
                await stalled.aclose()
                await server.aclose()
                await over.wait()
        with pytest.raises(HandshakeError):
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                raise AssertionError
    assert [ws.closed for ws in closed] == [CloseReason(1001, None)] * 5
    assert codes == [503]
