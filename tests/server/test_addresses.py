"""How many clients of one address there may be."""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketListener
from anyio.streams.tls import TLSListener

from anyio_websocket import Endpoint, WebSocketServer, open_websocket
from anyio_websocket._server._addresses import AddressLimit, TooManyError, source_of
from anyio_websocket._server._admission import Admission
from anyio_websocket.testing import handshake_request

from ..support.memory_servers import accepted_client, serving
from ..support.servers import connected, echo, is_answered, said
from ..support.servers import serving as serving_tcp


def of(address: str) -> Endpoint:
    return Endpoint(address, 1234, is_ssl=False)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (source_of(of(one)) == source_of(of(other))) is same


def test_a_unix_socket_has_no_address() -> None:
    assert source_of("/run/socket") is None
    limit = AddressLimit(1, pytest.fail)
    assert [limit.enter("") for _ in range(3)] == [None] * 3


@pytest.mark.virtual_time
async def test_counts_go_down_again(caplog: pytest.LogCaptureFixture) -> None:
    full: list[str] = []
    limit = AddressLimit(2, full.append)
    for _ in range(3):  # nothing is left of those before
        sources = [limit.enter(of("192.0.2.1")) for _ in range(2)]
        for _ in range(2):
            with pytest.raises(TooManyError):
                limit.enter(of("192.0.2.1"))
        for source in (*sources, limit.enter(of("192.0.2.2"))):
            assert source is not None
            limit.leave(source)
    assert limit._clients == {}
    [record] = said(caplog)  # not for each of them
    assert record.levelno == logging.WARNING
    assert "192.0.2.1" in record.message
    assert "max_connections_per_address" in record.message
    assert full == ["max_connections_per_address"]


@pytest.mark.virtual_time
async def test_a_client_that_gives_up_waiting_counts_no_longer() -> None:
    full: list[str] = []
    admission = Admission(1, None, 1, full.append)
    taken = await admission.admit()
    for _ in range(2):
        with anyio.move_on_after(1):
            await admission.admit(partial(of, "192.0.2.1"))
    taken.release()
    slot = await admission.admit(partial(of, "192.0.2.1"))
    slot.release()
    slot.release()
    assert (await admission.admit(partial(of, "192.0.2.1"))).is_taken
    assert full == ["max_connections"]


async def refused(port: int) -> bool:
    """Say whether a client is disconnected without a word."""
    async with connected(port) as peer:
        with anyio.fail_after(5):
            try:
                await peer.stream.send(handshake_request())
                await peer.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True
    return False


@pytest.mark.parametrize("kind", ["accept", "serve"])
async def test_G3_a_client_too_many_of_one_address_is_disconnected(
    kind: str, server_tls: ssl.SSLContext
) -> None:
    class OwnListener(TLSListener):
        """Has a serve() of its own, and does nothing about TLS."""

        async def serve(self, handler: Any, task_group: Any = None) -> None:
            await self.listener.serve(handler, task_group)

    async with AsyncExitStack() as stack:
        if kind == "accept":
            port = await stack.enter_async_context(
                serving_tcp(max_connections_per_address=2)
            )
        else:
            multi = await anyio.create_tcp_listener(local_host="127.0.0.1")
            port = multi.extra(SocketAttribute.local_port)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            server = WebSocketServer(
                echo, [OwnListener(multi, server_tls)], max_connections_per_address=2
            )
            await tasks.start(server.run)
        for _ in range(2):
            async with (
                connected(port, handshake_request()) as one,
                connected(port) as pending,
            ):
                assert await is_answered(one)
                assert await refused(port)
                # It counts from the beginning, and as long as it is connected.
                await pending.stream.send(handshake_request())
                assert await is_answered(pending)
                assert await refused(port)
            with anyio.fail_after(5):
                while await refused(port):
                    await anyio.sleep(0.01)


@pytest.mark.virtual_time
async def test_streams_without_an_address_have_no_limit() -> None:
    async with serving(echo, max_connections_per_address=1) as (listener, _):
        for peer in [await accepted_client(listener) for _ in range(3)]:
            await peer.stream.aclose()


async def test_E11_clients_that_wait_in_the_kernel_are_counted() -> None:
    listener = await SocketListener.from_socket(socket.create_server(("127.0.0.1", 0)))
    address: Any = listener.extra(SocketAttribute.local_address)
    server = WebSocketServer(echo, [listener], max_connections_per_address=1)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        async with open_websocket(address[0], address[1], "/", use_ssl=False):
            with socket.create_connection(address) as waiting:
                tasks.start_soon(partial(server.aclose, drain=30))
                while server.listeners and not_closed(listener):
                    await anyio.lowlevel.checkpoint()
                with suppress(ConnectionError):
                    assert waiting.recv(1) == b""


def not_closed(listener: SocketListener) -> bool:
    sock: socket.socket = listener.extra(SocketAttribute.raw_socket)
    return sock.fileno() >= 0
