"""Accepting on a socket that somebody else made, and closing it under the acceptor."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSListener, TLSStream

from anyio_websocket import WebSocketRequest, WebSocketServer, wrap_client_stream
from anyio_websocket._transport import _socket_listeners
from anyio_websocket._transport._socket_listeners import (
    SocketTransportListener,
    socket_listener,
)
from anyio_websocket._transport._sockets import SocketTransport
from anyio_websocket._transport._tls import TlsTransport
from anyio_websocket.testing import MemoryListener

from ..support.servers import echo

no_unix = pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def on_trio() -> bool:
    return "trio" in sys.modules and sys.modules["trio"].lowlevel.in_trio_run()


async def listeners_of_every_kind(folder: Path, tls: ssl.SSLContext) -> list[Any]:
    unix = await anyio.create_unix_listener(folder / "plain")
    listeners: list[Any] = [
        await anyio.create_tcp_listener(local_host="127.0.0.1", reuse_port=True),
        await SocketListener.from_socket(listening()),
        TLSListener(await SocketListener.from_socket(listening()), tls),
        unix,
        TLSListener(
            MultiListener([await anyio.create_unix_listener(folder / "tls")]), tls
        ),
    ]
    if on_trio():
        import trio

        listeners += await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listeners


def address_of(listener: Any) -> Any:
    if isinstance(listener, TLSListener):
        return address_of(listener.listener)
    if isinstance(listener, MultiListener):
        return address_of(listener.listeners[0])
    if isinstance(listener, SocketListener):
        return listener.extra(SocketAttribute.local_address)
    return listener.socket.getsockname()


async def connected_to(listener: Any, tls: ssl.SSLContext) -> Any:
    address = address_of(listener)
    stream = (
        await anyio.connect_unix(address)
        if isinstance(address, str)
        else await anyio.connect_tcp(*address[:2])
    )
    if not isinstance(listener, TLSListener):
        return stream
    return await TLSStream.wrap(
        stream, hostname="localhost", ssl_context=tls, standard_compatible=False
    )


@no_unix
async def test_listeners_of_users_are_as_fast_as_our_own(
    tmp_path: Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    transports: list[Any] = []
    ended = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        transports.append(request._pending.transport)
        await echo(request)

    async def serve(*, task_status: Any) -> None:
        await server.run(task_status=task_status)
        ended.set()

    listeners = await listeners_of_every_kind(tmp_path, server_tls)
    server = WebSocketServer(handler, listeners)
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve)
        with anyio.fail_after(10):
            for listener in listeners:
                stream = await connected_to(listener, client_tls)
                ws = await wrap_client_stream(tasks, stream, "localhost", "/")
                await ws.send_message("a")
                assert await ws.get_message() == "a"
                await ws.aclose()
            # They are still the user's, who can close them, one way or another.
            assert not ended.is_set()
            for listener in listeners:
                assert address_of(listener)
                await listener.aclose()
            await ended.wait()
    kinds = [
        TlsTransport if isinstance(listener, TLSListener) else SocketTransport
        for listener in listeners
    ]
    assert [type(transport) for transport in transports] == kinds


async def test_what_accepts_in_its_own_way_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = await SocketListener.from_socket(listening())
    kind: Any = type(plain)

    class Choosy(kind):  # type: ignore[misc]
        """Accepts only whom it likes."""

        async def accept(self) -> SocketStream:
            raise NotImplementedError

    class Renamed(kind):  # type: ignore[misc]
        """Accepts as its parent does."""

    choosy, renamed = Choosy(listening()), Renamed(listening())
    patched: Any = await SocketListener.from_socket(listening())
    patched.accept = choosy.accept
    closed = await SocketListener.from_socket(listening())
    await closed.aclose()
    memory = MemoryListener()
    for listener in (choosy, patched, closed, memory, object()):
        assert socket_listener(listener) is None
    with monkeypatch.context() as patch:  # as on asyncio's proactor loop
        patch.setattr(_socket_listeners, "can_wait_for_sockets", lambda: False)
        assert socket_listener(renamed) is None
    taken = socket_listener(renamed)
    assert taken is not None
    assert socket_listener(taken) is taken
    for listener in (plain, choosy, patched, memory, taken):
        await listener.aclose()
    assert renamed.extra(SocketAttribute.raw_socket).fileno() < 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such sockets")
async def test_packets_are_left_to_the_listener(tmp_path: Path) -> None:
    plain = await anyio.create_unix_listener(tmp_path / "plain")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.bind(str(tmp_path / "packets"))
    sock.listen()
    sock.setblocking(False)
    kind: Any = type(plain)
    packets = kind(sock)  # not every version of anyio makes one
    async with plain, packets:
        assert socket_listener(packets) is None


async def accepted_by(listener: SocketTransportListener) -> SocketTransport | None:
    try:
        return await listener.accept()
    except anyio.ClosedResourceError:
        return None


async def test_a_listener_that_is_closed_while_it_waits_or_before() -> None:
    users = await SocketListener.from_socket(listening())
    listener = socket_listener(users)
    assert listener is not None
    results: list[SocketTransport | None] = []

    async def accept() -> None:
        results.append(await accepted_by(listener))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        await anyio.wait_all_tasks_blocked()
        await users.aclose()
    await accept()
    await listener.aclose()
    await users.aclose()
    assert results == [None, None]
    # The number of its descriptor is another's now, and no event loop minds.
    again = SocketTransportListener(listening())
    with socket.create_connection(again._socket.getsockname()), anyio.fail_after(5):
        transport = await accepted_by(again)
        assert transport is not None
        await transport.aclose()
    await again.aclose()


async def test_two_listeners_accept_on_one_socket() -> None:
    # Both are told that there is a client, and one of them comes too late.
    with listening() as sock:
        both = [SocketTransportListener(sock.dup()) for _ in range(2)]
        accepted: list[SocketTransport | None] = []

        async def accept(listener: SocketTransportListener) -> None:
            accepted.append(await accepted_by(listener))

        async with anyio.create_task_group() as tasks:
            for listener in both:
                tasks.start_soon(accept, listener)
            await anyio.sleep(0.05)
            with socket.create_connection(sock.getsockname()):
                while not accepted:
                    await anyio.sleep(0.01)
                await anyio.sleep(0.05)
                assert len(accepted) == 1
                for listener in both:
                    await listener.aclose()
    (transport,) = [transport for transport in accepted if transport is not None]
    await transport.aclose()


async def test_G1_a_socket_that_takes_no_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As on macOS if the peer is gone already. The socket is closed.
    def fail(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    listener = SocketTransportListener(listening())
    with socket.create_connection(listener._socket.getsockname()) as theirs:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "setsockopt", fail)
            with anyio.fail_after(5), pytest.raises(OSError, match="Invalid"):
                await listener.accept()
        theirs.settimeout(5)
        assert theirs.recv(1) == b""
    await listener.aclose()
