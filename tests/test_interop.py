"""Real peers, not only ourselves: other libraries on both ends, plain and with TLS."""

from __future__ import annotations

import ssl
from functools import partial

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

from .support.interop import BIG, PEERS, REASON, Peer, Seen, serving


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    pytest.importorskip(request.param)
    if request.param == "trio_websocket":
        pytest.importorskip("trio")
    return PEERS[request.param]()


@pytest.fixture(params=["plain", "tls"])
def tls(
    request: pytest.FixtureRequest,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None, str]:
    """The contexts of a server and a client, and the scheme of their URL."""
    if request.param == "plain":
        return None, None, "ws"
    return server_tls, client_tls, "wss"


Tls = tuple[ssl.SSLContext | None, ssl.SSLContext | None, str]


async def test_our_client_and_their_server(peer: Peer, tls: Tls) -> None:
    server_context, client_context, scheme = tls
    with serving(peer, server_context) as port, anyio.fail_after(10):
        url = f"{scheme}://127.0.0.1:{port}/"
        async with open_websocket_url(url, client_context) as ws:
            for message in ("text", "wörld", b"binary", b"", b"x" * BIG):
                await ws.send_message(message)
                assert await ws.get_message() == message
            await ws.ping(b"ours")
            await ws.send_message("fragments")
            assert await ws.get_message() == "fragments"
            await ws.send_message("ping me")
            assert await ws.get_message() == "pong seen"
            await ws.send_message("close me")
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
            assert ws.closed == CloseReason(4002, REASON)
        async with open_websocket_url(url, client_context) as ws:
            await ws.aclose(4001, REASON)
        assert ws.closed is not None
        assert ws.closed.code == (peer.answers or 4001)


async def test_our_server_and_their_client(peer: Peer, tls: Tls) -> None:
    server_context, client_context, scheme = tls
    reasons: list[CloseReason | None] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        try:
            while True:
                message = await ws.get_message()
                if message == "ping me":
                    await ws.ping(b"ours")
                    await ws.send_message("pong seen")
                elif message == "close me":
                    await ws.aclose(4002, REASON)
                else:
                    await ws.send_message(message)
        finally:
            reasons.append(ws.closed)

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, handler, "127.0.0.1", 0, server_context)
        )
        url = f"{scheme}://127.0.0.1:{server.port}/"
        seen = await anyio.to_thread.run_sync(peer.visit, url, client_context)
        with anyio.fail_after(5):
            while len(reasons) < 2:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert seen == Seen(
        "text", b"binary", "fragments", BIG, (4002, REASON), (4001, REASON)
    )
    answer, close = reasons
    assert answer is not None
    assert answer.code == (peer.answers or 4002)
    assert close == CloseReason(4001, REASON)
