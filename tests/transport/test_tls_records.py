"""A TLS peer that makes work with many small records (row F12)."""

from __future__ import annotations

import ssl

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyio_websocket._transport import _tls
from anyio_websocket._transport._interface import TransportLost
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket._transport._tls import TlsTransport
from anyio_websocket._transport._tls_records import MAX_RECORDS

from ..support.tls_ends import Ends, pair, strangers

MANY = 3 * MAX_RECORDS + 7
HEADER = 5  # bytes


async def send_records(ends: Ends, count: int = MANY) -> None:
    """Have the client send records of one byte, which the server gets in one read."""
    for _ in range(count):
        ends.client._tls.write(b"x")
    assert ends.client_socket.write(ends.client._outgoing.read())
    await anyio.sleep(0.05)


async def test_F12_others_run_while_records_are_decrypted(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends, anyio.create_task_group() as tasks:
        await send_records(ends)
        passes = 0

        async def watch() -> None:
            nonlocal passes
            while True:
                passes += 1
                await checkpoint()

        tasks.start_soon(watch)
        sizes: list[int] = []
        while sum(sizes) < MANY:
            data = await ends.server.receive(None)
            assert data is not None
            assert data == b"x" * len(data)
            sizes.append(len(data))
        assert max(sizes) <= MAX_RECORDS
        assert passes >= len(sizes) - 2  # trio shuffles the tasks of a pass
        tasks.cancel_scope.cancel()


async def test_F12_a_read_without_waiting_brings_as_many(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        await send_records(ends)
        got = b""
        while data := ends.server.receive_now(1000):
            assert len(data) <= MAX_RECORDS
            got += data
        assert got == b"x" * MANY


async def test_F12_a_task_is_interrupted_between_two_turns(
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pair(client_tls, server_tls) as ends:
        await send_records(ends)
        first = await ends.server.receive(None)

        async def interrupt() -> None:
            ends.server.interrupt()

        with monkeypatch.context() as patch:
            patch.setattr(_tls, "checkpoint", interrupt)
            assert await ends.server.receive(None) is None
        second = await ends.server.receive(None)
        assert first is not None
        assert second is not None
        assert len(first + second) <= 3 * MAX_RECORDS


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 50])
async def test_F12_records_may_be_cut_anywhere(
    size: int, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        wanted = [b"a" * 7, b"b", b"c" * 300]
        for one in wanted:
            ends.client._tls.write(one)
        wire = ends.client._outgoing.read()
        got = b""
        for i in range(0, len(wire), size):
            got += ends.server._decrypt(wire[i : i + size], 1000) or b""
        assert got == b"".join(wanted)
        assert not ends.server._has_left


async def test_F12_a_handshake_in_records_of_one_byte(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with (
        strangers(client_tls, server_tls) as ends,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ends.server.handshake)
        await _shake_hands(ends.client, ends.client_socket)
    assert ends.server._tls.version() is not None


async def _shake_hands(client: TlsTransport, below: SocketTransport) -> None:
    """Do a client's handshake, with a record for each byte of its first message."""
    with pytest.raises(ssl.SSLWantReadError):
        client._tls.do_handshake()
    hello = client._outgoing.read()
    assert len(hello) > MAX_RECORDS
    head = hello[: HEADER - 2] + b"\0\1"
    assert below.write(b"".join(head + bytes([byte]) for byte in hello[HEADER:]))
    await client.handshake()


async def test_E4_a_part_of_a_record_is_a_sign_of_life(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        ends.client._tls.write(b"x" * 1000)
        assert ends.client_socket.write(ends.client._outgoing.read()[:500])
        ends.server.peer_active = False
        while not ends.server.peer_active:
            assert ends.server.receive_now(100) is None
            await checkpoint()


async def test_C_noise_behind_a_record_does_not_take_its_data(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        ends.client._tls.write(b"last words")
        noise = b"GET / HTTP/1.1\r\n\r\n" * 20
        assert ends.client_socket.write(ends.client._outgoing.read() + noise)
        assert await ends.server.receive(None) == b"last words"
        with pytest.raises(TransportLost) as caught:
            await ends.server.receive(None)
        assert "WRONG_VERSION" in str(caught.value.__cause__)


@pytest.mark.parametrize("data", [b"", b"last words"])
async def test_E7_what_comes_behind_close_notify_is_never_taken(
    data: bytes, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        if data:
            ends.client._tls.write(data)
        with pytest.raises(ssl.SSLWantReadError):  # for the server's own
            ends.client._tls.unwrap()
        wire = ends.client._outgoing.read() + b"\x17\x03\x03\0\7nothing"
        assert ends.client_socket.write(wire)
        if data:
            assert await ends.server.receive(None) == data
        # The socket is still open.
        assert await ends.server.receive(None) == b""
        assert ends.server.receive_now(100) is None


async def test_records_are_longer_than_what_is_asked_for(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        payload = bytes(range(256)) * 2**8
        ends.client._tls.write(payload)
        wire = ends.client._outgoing.read()
        got = ends.server._decrypt(wire, 20_000)
        assert got == payload[:20_000]
        while ends.server._has_left:
            more = ends.server._decrypt(b"", 9_000)
            if more is not None:
                assert len(more) <= 9_000
                got += more
        assert got == payload
