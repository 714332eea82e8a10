"""Everything that anyio builds on streams works over a WebSocket."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio import BrokenResourceError, EndOfStream, IncompleteRead
from anyio.abc import ByteStream, ByteStreamConnectable
from anyio.streams.buffered import (
    BufferedByteReceiveStream,
    BufferedByteStream,
    BufferedConnectable,
)
from anyio.streams.stapled import StapledByteStream, StapledObjectStream
from anyio.streams.text import TextConnectable, TextStream
from anyio.streams.tls import TLSAttribute, TLSConnectable, TLSStream

from anyio_websocket import (
    CloseReason,
    WebSocketRequest,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket.streams import WebSocketAttribute

from ..support.peer import linked
from ..support.servers import serving

virtual = pytest.mark.virtual_time


@virtual
async def test_buffered_streams() -> None:
    async with linked() as (client, server):
        stream = BufferedByteStream(client.as_byte_stream())
        for message in (b"a line\r", "\nexact", b"ly", b"", b"half"):
            await server.send_message(message)
        assert await stream.receive_until(b"\r\n", 100) == b"a line"
        assert await stream.receive_exactly(7) == b"exactly"
        await stream.send(b"reply")
        assert await server.get_message() == b"reply"
        await server.aclose()
        with pytest.raises(IncompleteRead) as caught:
            await stream.receive_exactly(5)
        assert isinstance(caught.value.__cause__, EndOfStream)
        assert stream.buffer == b"half"
        await stream.aclose()


@virtual
async def test_buffered_streams_of_messages() -> None:
    async with linked() as (client, server):
        stream: Any = BufferedByteReceiveStream(client.as_object_stream())  # type: ignore[arg-type]
        await server.send_message(b"one:two")
        assert await stream.receive_until(b":", 100) == b"one"
        assert await stream.receive() == b"two"


@virtual
async def test_texts() -> None:
    async with linked(client={"decode_text": False}) as (client, server):
        for stream in (
            TextStream(client.as_byte_stream()),
            TextStream(client.as_object_stream()),  # type: ignore[arg-type]
        ):
            for piece in (b"w\xc3", b"\xb6", b"rld"):
                await server.send_message(piece)
            assert [await stream.receive() for _ in range(3)] == ["w", "ö", "rld"]
            await stream.send("zurück")
            assert await server.get_message() == "zurück".encode()


@virtual
async def test_stapled_streams() -> None:
    async with linked() as (there, far), linked() as (back, near):
        stream = StapledByteStream(there.as_byte_stream(), back.as_byte_stream())
        await stream.send(b"ping")
        assert await far.get_message() == b"ping"
        await near.send_message(b"pong")
        assert await stream.receive() == b"pong"
        assert stream.extra(WebSocketAttribute.connection) is back
        objects = StapledObjectStream(
            there.as_object_stream(loads=json.loads),
            back.as_object_stream(loads=json.loads),
        )
        await objects.send([1])
        assert await far.get_json() == [1]
        await near.send_json([2])
        assert await objects.receive() == [2]
        await stream.send_eof()  # it closes the connection for sending
        assert there.closed == far.closed == CloseReason(1000, None)
        await near.send_message(b"still")
        assert await stream.receive() == b"still"
        await stream.aclose()
        assert near.closed == CloseReason(1000, None)


async def echo(stream: ByteStream) -> None:
    async for data in stream:
        await stream.send(data)


def tunnelled(
    handler: Callable[[ByteStream], Awaitable[None]],
) -> Callable[[WebSocketRequest], Awaitable[None]]:
    """Make a handler of WebSockets of one of byte streams."""

    async def handle(request: WebSocketRequest) -> None:
        await handler((await request.accept()).as_byte_stream())

    return handle


class Tunnel(ByteStreamConnectable):
    """Connects by a WebSocket."""

    def __init__(self, nursery: Any, url: str) -> None:
        self.nursery = nursery
        self.url = url

    async def connect(self) -> ByteStream:
        ws = await connect_websocket_url(self.nursery, self.url)
        return ws.as_byte_stream()


async def test_tls_over_a_websocket_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    ended: list[CloseReason | None] = []

    async def serve(stream: ByteStream) -> None:
        ws = stream.extra(WebSocketAttribute.connection)
        try:
            tls = await TLSStream.wrap(stream, ssl_context=server_tls)
            await echo(tls)
            await tls.aclose()
        except BrokenResourceError:
            ended.append(ws.closed)

    async with serving(tunnelled(serve), server_tls) as port:
        for orderly in (True, False):
            async with open_websocket("localhost", port, "/", use_ssl=client_tls) as ws:
                stream = await TLSStream.wrap(
                    ws.as_byte_stream(), hostname="localhost", ssl_context=client_tls
                )
                assert stream.extra(TLSAttribute.server_side) is False
                assert (
                    stream.extra(TLSAttribute.ssl_object)
                    is not ws.extra(TLSAttribute.ssl_object)
                    is not None
                )
                data = bytes(range(256)) * 1000
                buffered = BufferedByteStream(stream)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stream.send, data)
                    assert await buffered.receive_exactly(len(data)) == data
                if orderly:
                    await stream.unwrap()
            assert ws.closed == CloseReason(1000, None)
    # Without a close_notify, the other end takes the data for incomplete.
    assert ended == [CloseReason(1000, None)]


@virtual
async def test_a_websocket_in_a_websocket_in_a_websocket() -> None:
    async with (
        linked() as (outer, outer_server),
        anyio.create_task_group() as tasks,
    ):

        async def serve(stream: ByteStream, depth: int) -> None:
            request = await wrap_server_stream(tasks, stream)
            ws = await request.accept()
            if depth:
                await serve(ws.as_byte_stream(), depth - 1)
            else:
                async for message in ws:
                    await ws.send_message(message)

        tasks.start_soon(serve, outer_server.as_byte_stream(), 1)
        middle = await wrap_client_stream(tasks, outer.as_byte_stream(), "middle", "/")
        inner = await wrap_client_stream(tasks, middle.as_byte_stream(), "inner", "/")
        for message in ("text", b"bytes", "x" * 300_000, b"\x00" * 300_000):
            async with anyio.create_task_group() as both:
                both.start_soon(inner.send_message, message)
                assert await inner.get_message() == message
        await inner.ping()
        assert inner.extra(WebSocketAttribute.connection) is inner
        await inner.aclose(1001, "done")
        assert inner.closed == CloseReason(1001, "done")
        for ws in (middle, outer, outer_server):
            await ws.wait_closed()
            assert ws.closed == CloseReason(1000, None)


async def test_connectables(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def serve_tls(stream: ByteStream) -> None:
        await echo(
            await TLSStream.wrap(
                stream, ssl_context=server_tls, standard_compatible=False
            )
        )

    async def serve_websocket(stream: ByteStream) -> None:
        async with anyio.create_task_group() as tasks:
            ws = await (await wrap_server_stream(tasks, stream)).accept()
            async for message in ws:
                await ws.send_message(message)

    async with (
        serving(tunnelled(echo)) as port,
        serving(tunnelled(serve_tls)) as tls_port,
        serving(tunnelled(serve_websocket)) as websocket_port,
        anyio.create_task_group() as tasks,
    ):
        plain = Tunnel(tasks, f"ws://127.0.0.1:{port}/")
        async with await BufferedConnectable(plain).connect() as buffered:
            await buffered.send(b"one two")
            assert await buffered.receive_until(b" ", 10) == b"one"
        async with await TextConnectable(plain).connect() as text:
            await text.send("hällo")
            assert await text.receive() == "hällo"
        secret = TLSConnectable(
            Tunnel(tasks, f"ws://127.0.0.1:{tls_port}/"),
            hostname="localhost",
            ssl_context=client_tls,
            standard_compatible=False,
        )
        async with await secret.connect() as stream:
            await stream.send(b"secret")
            assert await stream.receive() == b"secret"
        via = Tunnel(tasks, f"ws://127.0.0.1:{websocket_port}/")
        async with open_websocket_url("ws://inner.test/", via=via) as ws:
            await ws.send_message("inside")
            assert await ws.get_message() == "inside"
