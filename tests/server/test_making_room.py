"""A server that is full drops who does not do his part of the handshake (row G12)."""

from __future__ import annotations

import logging
import ssl

import anyio
import pytest

from anyio_websocket import (
    ConnectionClosed,
    WebSocketRequest,
    open_websocket,
)
from anyio_websocket._server._admission import GRACE
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
)

from ..support.frames import TEXT
from ..support.memory_servers import accepted_client, raw_client, serving, status_of
from ..support.servers import connected, echo, said
from ..support.servers import serving as serving_on_a_port


async def is_let_in(peer: ScriptedPeer) -> bool:
    return status_of(await peer.receive_head()) == 101


async def is_dropped(peer: ScriptedPeer) -> bool:
    """Say whether the server has closed the stream; it may need some passes for it."""
    with anyio.move_on_after(0.001):
        try:
            return await peer.receive_all() == b""
        except anyio.BrokenResourceError:  # with bytes of the client's unread
            return True
    return False


# -- who is dropped ------------------------------------------------------------


@pytest.mark.virtual_time
async def test_G12_the_oldest_without_a_request_makes_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, max_pending_handshakes=3) as (listener, _):
        oldest = await raw_client(listener, b"")
        await anyio.sleep(1)
        half = await raw_client(listener, handshake_request()[:-2])
        youngest = await raw_client(listener, b"")
        await anyio.sleep(1)
        assert not said(caplog)
        started = anyio.current_time()
        assert await is_let_in(await raw_client(listener))
        assert anyio.current_time() - started < 0.01
        assert await is_dropped(oldest)
        assert not await is_dropped(half)
        # Nobody else had to go for it, and they can finish.
        await half.stream.send(handshake_request()[-2:])
        await youngest.stream.send(handshake_request())
        assert await is_let_in(half)
        assert await is_let_in(youngest)
    (record,) = said(caplog)
    assert record.levelno == logging.WARNING
    assert "without a complete request are dropped" in record.message
    assert "3 handshakes are pending, as many as max_pending_handshakes" in caplog.text


@pytest.mark.virtual_time
async def test_G12_nobody_is_dropped_while_nobody_waits() -> None:
    async with serving(echo, max_pending_handshakes=2) as (listener, _):
        clients = [await raw_client(listener, b"") for _ in range(2)]
        await anyio.sleep(9)
        for client in clients:
            await client.stream.send(handshake_request())
            assert await is_let_in(client)


@pytest.mark.virtual_time
async def test_G12_everybody_has_some_time_for_the_handshake() -> None:
    async with serving(echo, max_pending_handshakes=2) as (listener, _):
        started = anyio.current_time()
        silent = [await raw_client(listener, b"") for _ in range(3)]
        await anyio.sleep(GRACE * 0.9)
        assert not [peer for peer in silent if await is_dropped(peer)]
        await silent[0].stream.send(handshake_request())
        assert await is_let_in(silent[0])
        # That one left room for the third. Now the second has had its time.
        assert await is_let_in(await raw_client(listener))
        assert GRACE <= anyio.current_time() - started < GRACE * 1.1
        assert await is_dropped(silent[1])
        assert not await is_dropped(silent[2])


@pytest.mark.virtual_time
async def test_G12_a_complete_request_is_not_dropped() -> None:
    decide = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await decide.wait()
        await echo(request)

    async with serving(handler, max_pending_handshakes=2) as (listener, _):
        clients = [await raw_client(listener) for _ in range(4)]
        await anyio.sleep(60)
        decide.set()
        for client in clients:
            assert await is_let_in(client)


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["invalid", "rejected"])
async def test_G12_who_does_not_take_his_rejection_makes_room(how: str) -> None:
    async def handler(asked: WebSocketRequest) -> None:
        if asked.path == "/reject":
            await asked.reject(403)
        await echo(asked)

    line = b"POST / HTTP/1.1" if how == "invalid" else b"GET /reject HTTP/1.1"
    async with serving(handler, max_pending_handshakes=2) as (listener, _):
        rude = [
            await raw_client(listener, handshake_request(line=line)) for _ in range(40)
        ]
        started = anyio.current_time()
        assert await is_let_in(await raw_client(listener))
        # Two at a time. Each of them could take two seconds.
        assert anyio.current_time() - started < len(rude) / 2 * GRACE * 1.1
        assert status_of(await rude[0].receive_all()) in (403, 405)


@pytest.mark.virtual_time
async def test_G12_who_does_not_take_the_response_makes_room() -> None:
    ends: list[ConnectionClosed] = []

    async def handler(asked: WebSocketRequest) -> None:
        try:
            await echo(asked)
        except ConnectionClosed as exc:
            ends.append(exc)
            raise

    options = {"max_pending_handshakes": 1, "capacity": 64}
    async with serving(handler, **options) as (listener, tasks):
        deaf = ScriptedPeer(listener.connect(), is_client=True)
        tasks.start_soon(deaf.stream.send, handshake_request())
        await anyio.sleep(GRACE / 2)
        started = anyio.current_time()
        other = ScriptedPeer(listener.connect(), is_client=True)
        tasks.start_soon(other.stream.send, handshake_request())
        assert await is_let_in(other)
        assert anyio.current_time() - started < GRACE
        (end,) = ends
        assert "did not read the response" in str(end)


@pytest.mark.virtual_time
async def test_G12_max_connections() -> None:
    async with serving(echo, max_connections=3) as (listener, _):
        peers = [await accepted_client(listener) for _ in range(2)]
        silent = await raw_client(listener, b"")
        await anyio.sleep(GRACE)
        peers.append(await accepted_client(listener))
        assert await is_dropped(silent)
        # Those that are open are never dropped, and now nobody else is there.
        late = await raw_client(listener)
        await anyio.sleep(10)
        for peer in peers:
            await peer.send_frame(TEXT, b"still here?")
            assert await peer.receive_frame() == Frame(TEXT, b"still here?")
        await peers.pop().stream.aclose()
        assert await is_let_in(late)


@pytest.mark.virtual_time
async def test_G12_dropped_in_the_moment_in_which_the_request_is_complete() -> None:
    paths: list[str] = []
    second_is_served = anyio.Event()

    async def handler(asked: WebSocketRequest) -> None:
        paths.append(asked.path)
        second_is_served.set()
        await echo(asked)

    async def late() -> None:
        with anyio.CancelScope(shield=True):
            await second_is_served.wait()

    async with serving(handler, max_pending_handshakes=1) as (listener, _):
        stream, client = listener.pair()
        stream.before_receive = late
        first = ScriptedPeer(client, is_client=True)
        await first.stream.send(handshake_request(line=b"GET /first HTTP/1.1"))
        assert await is_let_in(await raw_client(listener))
        assert await is_dropped(first)
        # Its slot was given back once.
        for _ in range(3):
            assert await is_let_in(await raw_client(listener))
    assert paths == ["/"] * 4


async def test_G12_tls_that_is_begun_and_not_finished(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    hello = ssl.MemoryBIO()
    client = client_tls.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    async with serving_on_a_port(tls=server_tls, max_pending_handshakes=1) as port:
        async with connected(port, hello.read()) as begun:
            async with open_websocket("localhost", port, "/", use_ssl=client_tls) as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
            with anyio.fail_after(5):
                await begun.receive_all()  # what the server had said so far


# -- many of them --------------------------------------------------------------


@pytest.mark.virtual_time
async def test_G12_three_times_as_many_as_there_are_slots() -> None:
    options = {"max_pending_handshakes": 100, "backlog": 301}
    async with serving(echo, **options) as (listener, _):
        silent = [listener.connect() for _ in range(300)]
        started = anyio.current_time()
        assert await is_let_in(await raw_client(listener))
        # All have just come, and all slots can be replaced in the time of grace.
        assert anyio.current_time() - started <= 3 * GRACE
        assert len(silent) == 300


@pytest.mark.virtual_time
@pytest.mark.parametrize("round_trip", [0, 0.2])
async def test_G12_who_reconnects_at_once_displaces_nobody(round_trip: float) -> None:
    async def reconnect(listener: MemoryListener) -> None:
        while True:
            stream = listener.connect()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()

    async with serving(echo, max_pending_handshakes=10) as (listener, tasks):
        for _ in range(30):
            tasks.start_soon(reconnect, listener)
        await anyio.sleep(1)
        for _ in range(20):
            started = anyio.current_time()
            stream, client = listener.pair()

            async def arrive() -> None:
                await anyio.sleep(round_trip)

            # The request comes a round trip after the client was accepted, as with TLS.
            stream.before_receive = arrive
            peer = ScriptedPeer(client, is_client=True)
            await peer.stream.send(handshake_request())
            assert await is_let_in(peer)
            assert anyio.current_time() - started < 1
            await peer.stream.aclose()
        tasks.cancel_scope.cancel()
