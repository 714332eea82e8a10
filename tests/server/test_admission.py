"""A server that is full by its own limits; over real sockets."""

from __future__ import annotations

import logging
import socket
import ssl
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    open_websocket,
    open_websocket_url,
    serve_websocket,
)
from anyio_websocket._server import _admission
from anyio_websocket._server._admission import GRACE
from anyio_websocket.testing import ScriptedPeer, handshake_request

from ..support.frames import CLOSE
from ..support.servers import connected, echo, is_answered, is_served, said, serving


async def is_kept_waiting(*peers: ScriptedPeer) -> bool:
    """Say whether clients hear nothing, for so long that others were served thrice."""
    with anyio.move_on_after(0.1) as scope:
        async with anyio.create_task_group() as tasks:
            for peer in peers:
                tasks.start_soon(peer.stream.receive)
    return scope.cancelled_caught


async def test_G3_max_connections(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_connections=2) as port:
        async with (
            connected(port, handshake_request()) as one,
            connected(port, handshake_request()) as two,
        ):
            assert await is_answered(one)
            assert await is_answered(two)
            async with connected(port, handshake_request()) as three:
                async with connected(port, handshake_request()) as four:
                    assert await is_kept_waiting(three, four)
                    assert await is_served(one)
                    assert await is_served(two)
                    await one.stream.aclose()
                    assert await is_answered(three)
                    assert await is_kept_waiting(four)
                    assert await is_served(two)
                    await three.stream.aclose()
                    assert await is_answered(four)
                    assert await is_served(four)
                    assert await is_served(two)
    (record,) = said(caplog)  # and not one for each who waits
    assert record.levelno == logging.WARNING
    assert "2 connections are open" in record.message
    assert "max_connections" in record.message


async def test_G3_a_slot_is_released_however_a_client_leaves(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/reject":
            await request.reject(403)
        elif request.path == "/raise":
            raise RuntimeError("oops")
        elif request.path != "/nothing":
            ws = await request.accept()
            if request.path == "/accept-and-raise":
                raise RuntimeError("oops")
            async for message in ws:
                await ws.send_message(message)

    rude = [
        (b"", "close"),
        (b"nonsense\r\n\r\n", "read"),
        (handshake_request()[:-2], "close"),
        (handshake_request(line=b"GET /reject HTTP/1.1"), "read"),
        (handshake_request(line=b"GET /raise HTTP/1.1"), "read"),
        (handshake_request(line=b"GET /nothing HTTP/1.1"), "read"),
        (handshake_request(line=b"GET /accept-and-raise HTTP/1.1"), "close"),
        (handshake_request(), "close"),
        (handshake_request(), "reset"),
    ]
    options: dict[str, Any] = {"max_connections": 1, "max_pending_handshakes": 1}
    for tls in (None, server_tls):
        # Whoever says nothing is disconnected. Here nobody else is in a hurry.
        async with serving(tls=tls, connect_timeout=0.3, **options) as port:
            for _ in range(2):
                async with connected(port) as peer:
                    with anyio.fail_after(5):
                        await peer.receive_all()
        async with serving(handler, tls=tls, **options) as port:
            for data, how in rude:
                with anyio.fail_after(5):
                    async with connected(port, data) as peer:
                        if how == "reset":
                            raw = peer.stream.extra(SocketAttribute.raw_socket)
                            linger = socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                            raw.setsockopt(socket.SOL_SOCKET, *linger)
                        elif how != "close":
                            with pytest.raises(
                                (anyio.EndOfStream, anyio.BrokenResourceError)
                            ):
                                while True:
                                    await peer.stream.receive()
                    async with open_websocket(
                        "localhost", port, "/", use_ssl=client_tls if tls else False
                    ) as ws:
                        await ws.send_message("hello")
                        assert await ws.get_message() == "hello"


async def test_G3_all_listeners_share_the_slots(
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow the machine is, no handshake makes room for another one.
    monkeypatch.setattr(_admission, "GRACE", 60)

    class ServesByItself(TLSListener):
        """A subclass does TLS its own way, and accepts when it likes."""

    sockets = [
        await anyio.create_tcp_listener(local_host="127.0.0.1") for _ in range(3)
    ]
    serves_by_itself = ServesByItself(sockets[2], server_tls, standard_compatible=False)
    listeners = [*sockets[:2], serves_by_itself]
    plain, other, own = (
        listener.extra(SocketAttribute.local_port) for listener in sockets
    )
    opened: list[WebSocketConnection] = []

    async def wait_for_a_place(url: str, done: anyio.Event) -> None:
        async with open_websocket_url(
            url, client_tls if url.startswith("wss") else None
        ) as ws:
            opened.append(ws)
            await done.wait()

    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, listeners, max_connections=1)
        await tasks.start(server.run)
        urls = [f"ws://127.0.0.1:{plain}", f"ws://127.0.0.1:{other}"]
        urls += [f"wss://localhost:{own}"]
        done = anyio.Event()
        for url in urls * 3:
            tasks.start_soon(wait_for_a_place, url, done)
        for count in range(1, 10):
            with anyio.fail_after(5):
                while len(opened) < count:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.05)
            assert len(opened) == count
            ws = opened[-1]
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            await ws.aclose()
        done.set()
        tasks.cancel_scope.cancel()


async def test_G3_max_pending_handshakes(caplog: pytest.LogCaptureFixture) -> None:
    decide = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/undecided":
            await decide.wait()
        await echo(request)

    async with serving(handler, max_pending_handshakes=2) as port:
        async with (
            connected(port, handshake_request()) as one,
            connected(port, handshake_request()) as two,
        ):
            # An open connection is no pending handshake.
            assert await is_answered(one)
            assert await is_answered(two)
            undecided = handshake_request(line=b"GET /undecided HTTP/1.1")
            async with connected(port, undecided) as slow:
                async with connected(port, undecided) as other:
                    async with connected(port, handshake_request()) as three:
                        assert await is_kept_waiting(three)
                        assert await is_served(one)
                        assert await is_served(two)
                        decide.set()
                        assert await is_answered(slow)
                        assert await is_answered(other)
                        assert await is_answered(three)
    (record,) = said(caplog)
    assert "2 handshakes are pending" in record.message
    assert "max_pending_handshakes" in record.message


async def test_G3_stalled_tls_is_a_pending_handshake(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(tls=server_tls, max_pending_handshakes=2) as port:
        started = anyio.current_time()
        async with connected(port), connected(port, b"\x16\x03\x01"):
            # Neither of them leaves; one is dropped when it has had its time.
            async with open_websocket("localhost", port, "/", use_ssl=client_tls) as ws:
                assert 0.9 * GRACE < anyio.current_time() - started < 9
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"


async def test_G3_a_crowd_is_served_within_the_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow the machine is, no handshake makes room for another one.
    monkeypatch.setattr(_admission, "GRACE", 60)
    most = there = served = 0

    async def handler(request: WebSocketRequest) -> None:
        nonlocal most, there
        there += 1
        most = max(most, there)
        try:
            await echo(request)
        finally:
            there -= 1

    async def client(port: int) -> None:
        nonlocal served
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
        served += 1

    async with serving(handler, max_connections=5, max_pending_handshakes=3) as port:
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(client, port)
    assert served == 60
    assert 1 < most <= 5


async def test_G3_cancelled_while_full() -> None:
    async with serving(max_connections=1) as port:
        async with connected(port, handshake_request()) as one:
            assert await is_answered(one)
            async with connected(port, handshake_request()) as two:
                assert await is_kept_waiting(two)

        # The server ends here, with its accepting paused.


async def test_G3_cancelled_while_clients_wait_that_were_accepted(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    class ServesByItself(TLSListener):
        """Accepts when it likes, so its clients have to wait inside."""

    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = tcp.extra(SocketAttribute.local_port)
    listener = ServesByItself(tcp, server_tls, standard_compatible=False)
    async with anyio.create_task_group() as tasks:
        server = WebSocketServer(echo, [listener], max_connections=1)
        await tasks.start(server.run)
        use_ssl = client_tls
        async with open_websocket("localhost", port, "/", use_ssl=use_ssl) as ws:
            async with await anyio.connect_tcp(
                *("localhost", port),
                ssl_context=client_tls,
                tls_standard_compatible=False,
            ) as stream:
                assert await is_kept_waiting(ScriptedPeer(stream, is_client=True))
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True), anyio.fail_after(5):
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await stream.receive()
                    await ws.wait_closed()


async def test_G3_stopped_while_full() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, echo, "127.0.0.1", 0, None, max_connections=1)
        )
        async with connected(server.port, handshake_request()) as one:
            assert await is_answered(one)
            async with connected(server.port, handshake_request()) as two:
                assert await is_kept_waiting(two)
                tasks.start_soon(server.aclose)
                assert (await one.receive_frame()).opcode == CLOSE
                await one.stream.aclose()
                # It was never accepted, and is let go with the listening socket.
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    with anyio.fail_after(5):
                        await two.stream.receive()
