"""TLS over what is connected: streams, and TLS itself."""

from __future__ import annotations

import ssl

import anyio
import pytest
from anyio.streams.tls import TLSStream

from anyio_websocket._transport._interface import Transport, TransportLost, send
from anyio_websocket._transport._start_tls import start_tls
from anyio_websocket._transport._streams import StreamTransport
from anyio_websocket._transport._tls import TlsTransport
from anyio_websocket.testing import memory_stream_pair

from ..support.tls_ends import pair

BODY = b"0123456789" * 100_000


async def receive(transport: Transport, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await transport.receive(65536) or b""
    return data


async def test_tls_in_tls(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends:
        server = TlsTransport(ends.server, server_tls, None)

        async def serve() -> None:
            await server.handshake()
            assert await receive(server, len(BODY)) == BODY
            await send(server, BODY)
            assert await server.receive(10) == b""
            await send(server, b"bye")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            client = await start_tls(ends.client, client_tls, "localhost", b"")
            assert client.survives_cancel
            await send(client, BODY)
            assert await receive(client, len(BODY)) == BODY
            assert client.progress() is None
            assert not client.has_left(None)
            # What the peer does not read waits at the bottom, in order.
            assert await client.send_eof()
            assert await receive(client, 3) == b"bye"
            await client.aclose()


async def test_a_stream(client_tls: ssl.SSLContext, server_tls: ssl.SSLContext) -> None:
    mine, theirs = memory_stream_pair()

    async def serve() -> None:
        stream = await TLSStream.wrap(
            theirs, ssl_context=server_tls, standard_compatible=False
        )
        await stream.send(await stream.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        client = await start_tls(StreamTransport(mine), client_tls, "localhost", b"")
        assert client.is_ssl
        await send(client, b"hello")
        assert await client.receive(None) == b"hello"
        await client.abort()


@pytest.mark.parametrize("over_tls", [False, True])
async def test_what_came_already_is_not_lost_and_not_believed(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext, over_tls: bool
) -> None:
    """It is for TLS, which refuses what is not encrypted."""
    early = b"HTTP/1.1 503 Busy\r\n\r\n"
    if over_tls:
        async with pair(client_tls, server_tls) as ends:
            with pytest.raises(ssl.SSLError):
                await start_tls(ends.client, client_tls, "localhost", early)
            # closed, with the alert in front of the end
            assert await receive(ends.server, 1)
        return
    mine, theirs = memory_stream_pair()
    await theirs.send(early)
    transport = StreamTransport(mine)
    assert await transport.receive(5) == early[:5]  # the stream gives more
    with pytest.raises(ssl.SSLError):
        await start_tls(transport, client_tls, "localhost", early[:5])
    with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):
        await mine.send(b"x")


async def test_a_stream_that_ends(client_tls: ssl.SSLContext) -> None:
    mine, theirs = memory_stream_pair()
    await theirs.aclose()
    with pytest.raises(TransportLost) as caught:
        await start_tls(StreamTransport(mine), client_tls, "localhost", b"")
    assert isinstance(
        caught.value.__cause__, anyio.EndOfStream | anyio.BrokenResourceError
    )


@pytest.mark.virtual_time
async def test_a_cancelled_handshake_closes(client_tls: ssl.SSLContext) -> None:
    mine, theirs = memory_stream_pair()
    with anyio.move_on_after(0.01) as scope:
        await start_tls(StreamTransport(mine), client_tls, "localhost", b"")
    assert scope.cancelled_caught
    assert (await theirs.receive()).startswith(b"\x16\x03")  # what TLS begins with
    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
        await theirs.receive()
