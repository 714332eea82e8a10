"""With trio's own streams, listeners and nurseries."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    Endpoint,
    WebSocketServer,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket._transport._interface import TransportLost, send
from anyio_websocket._transport._streams import transport_of
from anyio_websocket.testing import ScriptedPeer, handshake_request

from ..support.frames import TEXT
from ..support.peer import linked_by_sockets
from ..support.servers import echo

trio = pytest.importorskip("trio")
trio_testing = pytest.importorskip("trio.testing")


def under_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test by trio itself."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        async def main() -> None:
            with trio.fail_after(10):
                await test(**fixtures)

        trio.run(main)

    return run


@under_trio
async def test_memory_streams() -> None:
    async with trio.open_nursery() as nursery:
        ours, theirs = trio_testing.memory_stream_pair()

        async def serve() -> None:
            asked = await wrap_server_stream(nursery, theirs)
            with pytest.raises(ConnectionClosed):
                await echo(asked)

        nursery.start_soon(serve)
        ws = await wrap_client_stream(nursery, ours, "localhost", "/")
        assert "StapledStream" in str(ws.local)
        assert "StapledStream" in str(ws.remote)
        await ws.send_message("a")
        assert await ws.get_message() == "a"
        await ws.aclose(4000, "bye")
        assert ws.closed == CloseReason(4000, "bye")


@under_trio
async def test_sockets_and_nurseries() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = await nursery.start(WebSocketServer(echo, listeners).run)
        assert server.listeners == [Endpoint("127.0.0.1", server.port, False)]
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        ws = await wrap_client_stream(nursery, stream, "localhost", "/")
        assert ws.remote == Endpoint("127.0.0.1", server.port, False)
        await ws.send_message("a")
        assert await ws.get_message() == "a"
        await ws.aclose()
        url = f"ws://127.0.0.1:{server.port}"
        other = await connect_websocket_url(nursery, url)
        await other.aclose()
        nursery.cancel_scope.cancel()


@under_trio
async def test_tls_listeners(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(
            0, server_tls, host="127.0.0.1", https_compatible=True
        )
        server = await nursery.start(WebSocketServer(echo, listeners).run)
        assert server.listeners == [Endpoint("127.0.0.1", server.port, True)]
        async with open_websocket_url(
            f"wss://localhost:{server.port}", client_tls
        ) as ws:
            await ws.send_message("a")
            assert await ws.get_message() == "a"
        # The client's side over a stream of trio's, and an end without close_notify.
        stream = await trio.open_ssl_over_tcp_stream(
            "localhost", server.port, ssl_context=client_tls, https_compatible=True
        )
        other = await wrap_client_stream(nursery, stream, "localhost", "/")
        assert other.remote == Endpoint("127.0.0.1", server.port, True)
        await other.send_message("b")
        assert await other.get_message() == "b"
        await stream.transport_stream.aclose()
        with pytest.raises(ConnectionClosed) as caught:
            await other.get_message()
        assert caught.value.reason == CloseReason(1006, None)
        # A refusal over a stream that has no half-close.
        stream = await trio.open_ssl_over_tcp_stream(
            "localhost", server.port, ssl_context=client_tls, https_compatible=True
        )
        evil = [(b"Origin", b"https://evil.example")]
        with pytest.raises(ConnectionRejected) as rejected:
            await wrap_client_stream(
                nursery, stream, "localhost", "/", extra_headers=evil
            )
        assert rejected.value.status_code == 403
        nursery.cancel_scope.cancel()


@under_trio
async def test_tls_without_close_notify(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    # trio's stream demands close_notify. Its absence still means the end.
    async with trio.open_nursery() as nursery:
        ours, theirs = trio_testing.memory_stream_pair()
        server = trio.SSLStream(theirs, server_tls, server_side=True)
        client = trio.SSLStream(ours, client_tls, server_hostname="localhost")
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
        transport = transport_of(client)
        assert transport.is_ssl
        assert not await transport.send_eof()
        await theirs.send_stream.aclose()
        assert await transport.receive(None) == b""
        await transport.abort()
        await transport_of(server).abort()


@under_trio
async def test_a_cancelled_server_closes_its_connections() -> None:
    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(serve_websocket, echo, "127.0.0.1", 0, None)
            )
            ws = await connect_websocket_url(outer, f"ws://127.0.0.1:{server.port}")
            nursery.cancel_scope.cancel()
        with pytest.raises(ConnectionClosed) as caught:
            await ws.get_message()
        assert caught.value.reason == CloseReason(1001, None)


def test_a_burst_after_the_main_task() -> None:
    # System tasks may outlive the one that writes delayed messages.
    got: list[str | bytes] = []

    async def outlive() -> None:
        with trio.CancelScope(shield=True), trio.fail_after(10):
            async with linked_by_sockets() as (ours, theirs):
                for when in ("before", "meanwhile", "after"):
                    for _ in range(6):
                        await ours.send_message(when)
                    if when == "meanwhile":
                        over.set()
                    got.extend([await theirs.get_message() for _ in range(6)])
                    await trio_testing.wait_all_tasks_blocked(0.05)

    async def main() -> None:
        trio.lowlevel.spawn_system_task(outlive)
        await over.wait()

    over = trio.Event()
    trio.run(main)
    assert got == ["before"] * 6 + ["meanwhile"] * 6 + ["after"] * 6


@under_trio
async def test_closing_a_listener() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(WebSocketServer(echo, [listener]).run)
        await listener.aclose()


@under_trio
async def test_F7_errors_of_trio_streams_become_one() -> None:
    for error in (
        trio.BrokenResourceError(),
        trio.ClosedResourceError(),
        trio.BusyResourceError(),
        OSError("cut"),
    ):
        ours, theirs = trio_testing.memory_stream_pair()

        async def fail(error: Exception = error) -> None:
            raise error

        ours.send_stream.send_all_hook = fail
        ours.receive_stream.receive_some_hook = fail
        for size in (None, 5):
            with pytest.raises(TransportLost) as caught:
                await transport_of(ours).receive(size)
            assert caught.value.__cause__ is error
        with pytest.raises(TransportLost) as caught:
            await send(transport_of(ours), b"x")
        assert caught.value.__cause__ is error

        class Stubborn:
            """The methods by which a trio stream is recognised."""

            async def aclose(self, error: Exception = error) -> None:
                raise error

            send_eof = send_all = receive_some = aclose

        stubborn = transport_of(Stubborn())  # type: ignore[arg-type]
        for method in ("send_eof", "aclose"):
            with pytest.raises(TransportLost) as caught:
                await getattr(stubborn, method)()
            assert caught.value.__cause__ is error
        await stubborn.abort()
        await ours.aclose()
        await theirs.aclose()


@under_trio
async def test_half_close_of_trio_streams() -> None:
    ours, theirs = trio_testing.memory_stream_pair()
    assert await transport_of(ours).send_eof()
    assert await transport_of(theirs).receive(None) == b""


@under_trio
async def test_addresses_of_a_dead_socket() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.aclose()
    assert "SocketStream" in str(transport_of(stream).remote)
    await listener.aclose()


@under_trio
async def test_E16_a_peer_that_left_a_trio_stream_is_noticed_without_reading() -> None:
    ours, theirs = (trio.SocketStream(sock) for sock in _tcp_pair())
    transport = transport_of(ours)
    assert not transport.has_left(None)
    await theirs.aclose()
    await anyio.sleep(0.01)
    assert transport.has_left(None)
    await ours.aclose()


def _tcp_pair() -> tuple[Any, Any]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return trio.socket.from_stdlib_socket(one), trio.socket.from_stdlib_socket(other)


@under_trio
async def test_a_request_over_trio_sockets() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, echo, "127.0.0.1", 0, None)
        )
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            peer = ScriptedPeer(stream, is_client=True)
            await stream.send(handshake_request() + peer.frame(TEXT, b"early"))
            await peer.receive_head()
            assert (await peer.receive_frame()).payload == b"early"
        async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False):
            pass
        nursery.cancel_scope.cancel()
