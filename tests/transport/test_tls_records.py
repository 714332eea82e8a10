"""A TLS peer that makes work with many small records (row F12)."""

from __future__ import annotations

import ssl
from contextlib import suppress

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anyio_websocket._transport import _tls
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket._transport._tls import MAX_RECORDS, TlsTransport

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
            ends.server._give(wire[i : i + size])
            if ends.server._incoming.pending:
                with suppress(ssl.SSLWantReadError):
                    got += ends.server._read(1000)
        assert got == b"".join(wanted)
        assert not ends.server._waiting
        assert not ends.server._record_left


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
