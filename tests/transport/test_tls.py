"""`TlsTransport` at both ends of a real connection, and what may disturb it."""

from __future__ import annotations

import ssl
from functools import partial

import anyio
import pytest

from anyio_websocket import (
    Endpoint,
    WebSocketRequest,
    open_websocket,
    serve_websocket,
)
from anyio_websocket._transport._interface import TransportLost, send
from anyio_websocket._transport._tls import PIECE, TlsTransport
from anyio_websocket._transport._tls_records import MAX_PLAINTEXT, MAX_RECORDS

from ..support.tls_ends import pair, strangers

BIG = bytes(range(256)) * 2**14  # 4 MiB


async def read(transport: TlsTransport, size: int, step: int | None = None) -> bytes:
    data = b""
    while len(data) < size:
        piece = await transport.receive(step)
        assert piece
        assert step is None or len(piece) <= step
        data += piece
    return data


async def test_both_ways(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        for one, other in ((ends.client, ends.server), (ends.server, ends.client)):
            assert one.write(b"abc")
            assert await read(other, 3) == b"abc"
            assert one.is_ssl
            assert str(one.local) == str(other.remote)
            assert isinstance(one.local, Endpoint)
            assert one.local.is_ssl


async def test_more_than_a_record_and_more_than_was_asked_for(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        for step in (1000, 16384, 20000, None):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, ends.client, BIG[:100_000])
                assert await read(ends.server, 100_000, step) == BIG[:100_000]


async def test_small_records_are_returned_together(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        for i in range(MAX_RECORDS):
            ends.client._tls.write(b"%02d" % i)
        beginning = b"\x17\x03\x03"  # of another one
        assert ends.client_socket.write(ends.client._outgoing.read() + beginning)
        data = await ends.server.receive(None)
        assert data == b"".join(b"%02d" % i for i in range(MAX_RECORDS))
        with anyio.move_on_after(0.05) as scope:
            await ends.server.receive(None)
        assert scope.cancelled_caught


class _Below:
    """A socket that takes some writes, and keeps all that come then."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> bool:
        self.writes.append(data)
        return len(self.writes) <= self.takes


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize(("takes", "writes"), [(3, 3), (1, 3), (0, 2)])
async def test_F3_a_large_payload_leaves_in_pieces(
    takes: int,
    writes: int,
    is_masked: bool,
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
) -> None:
    async with pair(client_tls, server_tls) as ends:
        payload = BIG[: 2 * PIECE + 1]
        below = _Below(takes)
        ends.client._below = below  # type: ignore[assignment]
        # A client masks the payload, and passes it in one piece with the header.
        parts = (b"head" + payload,) if is_masked else (b"head", payload)
        assert ends.client.write(*parts) is (takes == 3)
        ends.client._below = ends.client_socket
        # What the socket does not take is kept in one piece, behind what it took.
        assert len(below.writes) == writes
        wire = b"".join(below.writes)
        got = ends.server._decrypt(wire, 2 * len(payload)) or b""
        while ends.server._has_left:
            got += ends.server._decrypt(b"", 2 * len(payload)) or b""
        assert got == b"head" + payload


async def test_a_caller_may_ask_for_more_than_there_can_be(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        ends.client.write(b"all of it")
        assert await ends.server.receive(10 * MAX_PLAINTEXT) == b"all of it"
        ends.client.write(b"again")
        await anyio.wait_readable(ends.server_socket._socket)
        with memoryview(bytearray(9)) as view:
            assert ends.server.receive_into(view) == 0
        assert ends.server.receive_now(10 * MAX_PLAINTEXT) == b"again"


async def test_F3_unsent_records_are_kept(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        assert not ends.client.write(BIG)
        assert ends.client.unsent_bytes() == len(ends.client.unsent) > 0
        with anyio.move_on_after(0.01):
            await ends.client.flush()
        assert not ends.client.write(b"behind")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ends.client.flush)
            assert await read(ends.server, len(BIG) + 6) == BIG + b"behind"
        assert not ends.client.unsent


async def test_half_close_sends_close_notify(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        ends.client.write(b"last")
        assert await ends.client.send_eof()
        assert await read(ends.server, 4) == b"last"
        assert await ends.server.receive(None) == b""
        # Only one direction is closed.
        assert ends.server.write(b"answer")
        assert await read(ends.client, 6) == b"answer"
        await ends.server.send_eof()
        assert await ends.client.receive(None) == b""
        with pytest.raises(TransportLost) as caught:
            ends.client.write(b"after the end")
        assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_A7_what_comes_after_a_half_close_is_dropped_until_the_end(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        # The server has more of it than it asked for: the client goes on sending.
        ends.client.write(b"request")
        ends.client.write(b"more")
        assert await read(ends.server, 1, 1) == b"r"
        ends.server.write(b"answer")
        assert await ends.server.send_eof()
        assert await read(ends.client, 6) == b"answer"
        assert not ends.client.write(BIG)

        async def send_the_rest() -> None:
            await ends.client.flush()
            await ends.client_socket.send_eof()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_the_rest)
            while await ends.server.receive(None):
                pass


async def test_E7_an_end_without_close_notify(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        await ends.client_socket.send_eof()
        assert await ends.server.receive(None) == b""


async def test_interrupt(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        results: list[bytes | None] = []

        async def receive() -> None:
            results.append(await ends.server.receive(None))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            ends.server.interrupt()
        assert results == [None]


async def test_the_next_pass(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        passed = anyio.Event()
        assert ends.client.call_soon(passed.set)
        await passed.wait()


async def test_C_noise_in_the_middle(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        ends.client_socket.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        with pytest.raises(TransportLost) as caught:
            await ends.server.receive(None)
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        # An alert says why.
        with pytest.raises(TransportLost):
            await ends.client.receive(None)


async def test_A4_noise_instead_of_a_handshake(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with strangers(client_tls, server_tls) as ends:
        ends.client_socket.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        with pytest.raises(ssl.SSLError):
            await ends.server.handshake()


@pytest.mark.parametrize("how", ["end", "close"])
async def test_leaving_during_the_handshake(
    how: str, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with strangers(client_tls, server_tls) as ends:
        if how == "end":
            await ends.server_socket.send_eof()
        else:
            await ends.server_socket.abort()
        with pytest.raises(TransportLost):
            await ends.client.handshake()


async def test_B10_another_name(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with strangers(client_tls, server_tls, "example.org") as ends:
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                # It may hear of it only afterwards: TLS 1.3 is done before the client
                # has looked at the certificate.
                with pytest.raises((ssl.SSLError, TransportLost)):
                    await ends.server.handshake()
                    await ends.server.receive(None)

            tasks.start_soon(serve)
            with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.org"):
                await ends.client.handshake()


async def test_two_tasks_at_once(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        async with anyio.create_task_group() as tasks:
            for one in (ends.client, ends.server):
                tasks.start_soon(send, one, BIG)
            tasks.start_soon(partial(read, ends.client, len(BIG)))
            assert await read(ends.server, len(BIG)) == BIG


async def test_E4_keepalive(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await (await request.accept()).wait_closed()

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, ping_interval=None)
        server = await tasks.start(serve, handler, "localhost", 0, server_tls)
        async with open_websocket(
            *("localhost", server.port, "/"),
            use_ssl=client_tls,
            ping_interval=0.1,
            ping_timeout=5,
        ) as ws:
            with anyio.fail_after(5):
                while ws.latency is None:
                    await anyio.sleep(0.05)
            await anyio.sleep(0.3)
            assert ws.closed is None
        tasks.cancel_scope.cancel()


async def test_E16_a_peer_that_left_is_noticed_without_reading(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with strangers(client_tls, server_tls) as ends:
        assert not ends.server.has_left(None)
        await ends.client.abort()
        await anyio.sleep(0.01)
        assert ends.server.has_left(None)
