"""Transports over streams: all streams look the same to a connection."""

from __future__ import annotations

import os
import ssl
import sys
import tempfile
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from anyio_websocket._transport._interface import TransportLost, send
from anyio_websocket._transport._streams import SEND_CHUNK_SIZE, transport_of
from anyio_websocket.testing import MemoryStream, memory_stream_pair

from ..support.streams import failing


async def test_a_stream_without_half_close() -> None:
    ours, _ = memory_stream_pair()
    ours.before_eof = failing(NotImplementedError())
    assert not await transport_of(ours).send_eof()


@pytest.mark.parametrize(
    ("hook", "method", "arguments"),
    [
        ("before_receive", "receive", (1,)),
        ("before_send", "send", (b"x",)),
        ("before_eof", "send_eof", ()),
        ("before_close", "aclose", ()),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        OSError("cut"),
        ssl.SSLError("broken"),
        anyio.BrokenResourceError(),
        anyio.ClosedResourceError(),
        anyio.BusyResourceError("receiving from"),
        RuntimeError("the handler is closed"),  # uvloop, after a reset
    ],
)
async def test_F7_errors_become_one(
    hook: str, method: str, arguments: tuple[Any, ...], error: Exception
) -> None:
    ours, _ = memory_stream_pair()
    setattr(ours, hook, failing(error))
    transport = transport_of(ours)
    with pytest.raises(TransportLost) as caught:
        if method == "send":
            await send(transport, *arguments)
        else:
            await getattr(transport, method)(*arguments)
    assert caught.value.__cause__ is error
    await transport.abort()  # never raises
    assert ours.closed


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_stream_that_returns_other_buffers(
    kind: type[Any], size: int | None
) -> None:
    ours, theirs = memory_stream_pair()
    receive = ours.receive

    async def receive_other(max_bytes: int = 65536) -> Any:
        return kind(await receive(max_bytes))

    ours.receive = receive_other  # type: ignore[method-assign]
    await theirs.send(b"data")
    received = await transport_of(ours).receive(size)
    assert type(received) is bytes
    assert received == b"data"


@pytest.mark.parametrize("returned", [300_000_000, None, "text", 1.5, [1], True])
async def test_G11_what_is_no_buffer_breaks_the_stream(returned: object) -> None:
    ours, _ = memory_stream_pair()

    async def receive(max_bytes: int = 65536) -> Any:
        return returned

    ours.receive = receive  # type: ignore[method-assign]
    transport = transport_of(ours)
    with pytest.raises(TransportLost) as caught:
        await transport.receive(4)
    assert isinstance(caught.value.__cause__, TypeError)


async def test_G11_more_than_was_asked_for_is_kept_for_the_next_call() -> None:
    ours, theirs = memory_stream_pair()
    receive = ours.receive

    async def receive_more(max_bytes: int = 65536) -> bytes:
        return await receive(10)

    ours.receive = receive_more  # type: ignore[method-assign]
    transport = transport_of(ours)
    await theirs.send(b"0123456789")
    assert await transport.receive(4) == b"0123"
    assert await transport.receive(4) == b"4567"
    assert await transport.receive(None) == b"89"
    await theirs.send(b"ab")
    assert await transport.receive(4) == b"ab"


async def test_G11_an_address_of_an_unknown_kind() -> None:
    class Odd(MemoryStream):
        @property
        def extra_attributes(self) -> Any:
            return {SocketAttribute.remote_address: lambda: ("nowhere",)}

    ours, theirs = memory_stream_pair()
    odd = Odd(ours._incoming, ours._outgoing)
    assert transport_of(odd).remote == repr(odd)
    await theirs.aclose()


async def test_E4_a_peer_that_takes_bytes_is_active() -> None:
    ours, theirs = memory_stream_pair()
    transport = transport_of(ours)
    assert not transport.write(bytes(3 * SEND_CHUNK_SIZE))
    transport.peer_active = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.flush)
        left = 3 * SEND_CHUNK_SIZE
        while left:
            left -= len(await theirs.receive())
    assert transport.peer_active


async def test_interrupt_without_a_reader() -> None:
    ours, theirs = memory_stream_pair()
    transport = transport_of(ours)
    transport.interrupt()
    await theirs.send(b"bytes")
    assert await transport.receive(None) == b"bytes"


async def test_addresses_of_a_dead_socket() -> None:
    ours, _ = memory_stream_pair()

    class Dead(type(ours)):  # type: ignore[misc]
        @property
        def extra_attributes(self) -> Any:
            def gone() -> None:
                raise OSError("not connected")

            return {
                anyio.abc.SocketAttribute.local_address: gone,
                anyio.abc.SocketAttribute.remote_address: gone,
            }

    stream = Dead(ours._incoming, ours._outgoing)
    assert transport_of(stream).local == repr(stream)


class TrioLike:
    """A stream with the methods of a ``trio.abc.Stream``, over one of anyio."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes) -> None:
        await self._stream.send(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._stream.receive(max_bytes or 65536)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_G11_a_stream_like_those_of_trio_where_trio_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str
) -> None:
    if anyio_backend_name != "trio":
        monkeypatch.delitem(sys.modules, "trio", raising=False)
    ours, theirs = memory_stream_pair()
    transport = transport_of(TrioLike(ours))
    assert not transport.is_ssl
    await theirs.send(b"bytes")
    assert await transport.receive(None) == b"bytes"
    await transport.abort()
    assert ours.closed


@pytest.mark.skipif(sys.platform == "win32", reason="no copies of sockets' handles")
async def test_G11_what_a_stream_has_for_a_socket_is_a_file() -> None:
    with tempfile.TemporaryFile() as file:

        class OverFile(MemoryStream):
            @property
            def extra_attributes(self) -> Any:
                return {SocketAttribute.raw_socket: lambda: file}

        ours, _ = memory_stream_pair()
        transport = transport_of(OverFile(ours._incoming, ours._outgoing))
        copy = os.dup(file.fileno())
        os.close(copy)
        await transport.abort()
        again = os.dup(file.fileno())
        os.close(again)
        assert again == copy  # the lowest descriptor that is free: none was left open


async def test_a_stream_can_do_nothing_at_once() -> None:
    # The callers ask `survives_cancel` first.
    ours, _ = memory_stream_pair()
    transport = transport_of(ours)
    assert not transport.survives_cancel
    assert not transport.call_soon(lambda: None)
    with memoryview(bytearray(1)) as view:
        assert transport.receive_into(view) == 0
    with pytest.raises(NotImplementedError):
        transport.receive_now(1)
