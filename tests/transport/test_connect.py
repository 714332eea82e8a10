"""Connecting to a name: several addresses, and the first that answers."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from anyio_websocket import (
    Endpoint,
)
from anyio_websocket._transport import _connect
from anyio_websocket._transport._connect import (
    CONNECTION_ATTEMPT_DELAY,
    connect,
    connect_unix,
    connect_via,
)
from anyio_websocket._transport._interface import Transport, send
from anyio_websocket._transport._streams import StreamTransport
from anyio_websocket.testing import memory_stream_pair

from ..support.servers import raw_server, silent


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    """Resolve every name to these addresses."""

    async def look_up(host: str, port: int, **_: object) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
                *(socket.SOCK_STREAM, 6, "", address),
            )
            for address in found
        ]

    monkeypatch.setattr(anyio, "getaddrinfo", look_up)


async def test_a_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = await connect("localhost", listener.getsockname()[1])
        assert transport.remote == transport.remote
        await transport.aclose()


async def test_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as caught:
            await connect("127.0.0.1", port)
    code = errno.ECONNREFUSED
    words = getattr(socket, "errorTab", {}).get(code, os.strerror(code)).rstrip(".")
    assert str(caught.value) == f"[Errno {code}] {words}: 127.0.0.1"


async def test_the_first_address_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as good:
        unused.bind(("127.0.0.1", 0))
        addresses(monkeypatch, unused.getsockname(), good.getsockname())
        transport = await connect("example.org", 1)
        assert str(good.getsockname()[1]) in str(transport.remote)
        await transport.aclose()
        addresses(monkeypatch, unused.getsockname(), unused.getsockname())
        with pytest.raises(OSError, match="none of its 2 addresses") as caught:
            await connect("example.org", 1)
        assert isinstance(caught.value.__cause__, ExceptionGroup)


async def test_after_a_refusal_the_next_address_is_tried_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delay = "anyio_websocket._transport._connect.CONNECTION_ATTEMPT_DELAY"
    monkeypatch.setattr(delay, 60)
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as good:
        unused.bind(("127.0.0.1", 0))
        addresses(monkeypatch, unused.getsockname(), good.getsockname())
        with anyio.fail_after(5):
            transport = await connect("example.org", 1)
        await transport.aclose()


async def test_immediate_failure() -> None:
    with anyio.fail_after(5), pytest.raises(OSError, match=r": 255\.255"):
        await connect("255.255.255.255", 1)


async def test_a_zone() -> None:
    # A link-local address that does not exist.
    zone = socket.if_indextoname(1)
    with anyio.move_on_after(0.1), pytest.raises(OSError, match=": fe80::dead"):
        await connect(f"fe80::dead%{zone}", 1)


async def test_two_addresses_that_answer_in_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect_one = _connect._connect_one
    made: list[socket.socket] = []
    both = anyio.Event()

    async def connect_both(*arguments: Any) -> socket.socket:
        sock = await connect_one(*arguments)
        made.append(sock)
        if len(made) == 2:
            both.set()
        with anyio.CancelScope(shield=True):
            await both.wait()
        return sock

    monkeypatch.setattr(_connect, "_connect_one", connect_both)
    monkeypatch.setattr(_connect, "CONNECTION_ATTEMPT_DELAY", 0)
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = {sock.getsockname()[1] for sock in (one, other)}
        addresses(monkeypatch, one.getsockname(), other.getsockname())
        transport = await connect("example.org", 1)
        assert isinstance(transport.remote, Endpoint)
        assert transport.remote.port in ports
        assert sorted(sock.fileno() < 0 for sock in made) == [False, True]
        await transport.aclose()


async def test_B1_an_address_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as full, socket.create_server(("127.0.0.1", 0)) as good:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        try:
            for sock in waiting:  # the backlog is full, so SYNs are dropped
                sock.setblocking(False)
                assert sock.connect_ex(full.getsockname()) in (0, errno.EINPROGRESS)
            addresses(monkeypatch, full.getsockname(), good.getsockname())
            started = anyio.current_time()
            with anyio.fail_after(5):
                transport = await connect("example.org", 1)
            assert anyio.current_time() - started >= CONNECTION_ATTEMPT_DELAY
            assert str(good.getsockname()[1]) in str(transport.remote)
            await transport.aclose()
            # No address answers: when cancelled, every socket is closed.
            addresses(monkeypatch, full.getsockname(), full.getsockname())
            with anyio.move_on_after(0.4) as scope:
                await connect("example.org", 1)
            assert scope.cancelled_caught
        finally:
            for sock in waiting:
                sock.close()


# -- from an address, to a UNIX socket, by a user's object ---------------------


async def test_from_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(silent) as port:
        transport = await connect("127.0.0.1", port, "127.0.0.3")
        assert isinstance(transport.local, Endpoint)
        assert str(transport.local.address) == "127.0.0.3"
        await transport.aclose()
        # Addresses of the other family are left out.
        addresses(monkeypatch, ("::1", port), ("127.0.0.1", port))
        transport = await connect("x.invalid", port, "127.0.0.2")
        assert isinstance(transport.remote, Endpoint)
        assert str(transport.remote.address) == "127.0.0.1"
        await transport.aclose()
        with pytest.raises(OSError, match="no address of the family of 127"):
            await connect("::1", port, "127.0.0.1")
        with pytest.raises(OSError):  # noqa: PT011 - it is up to the system
            await connect("127.0.0.1", port, "192.0.2.1")


async def test_without_sockets_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connect, "can_wait_for_sockets", lambda: False)
    async with raw_server(silent) as port:
        transport = await connect("127.0.0.1", port, "127.0.0.3")
        assert isinstance(transport, StreamTransport)
        assert isinstance(transport.local, Endpoint)
        assert str(transport.local.address) == "127.0.0.3"
        await transport.aclose()


needs_unix = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets"
)


@needs_unix
@pytest.mark.parametrize("own", [False, True])
async def test_a_unix_socket(
    own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connect, "can_wait_for_sockets", lambda: own)
    path = str(tmp_path / "socket")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - a subclass of it
        await connect_unix(path)
    assert caught.value.errno == errno.ENOENT
    async with await anyio.create_unix_listener(path) as listener:
        transport = await connect_unix(path)
        assert transport.survives_cancel is own
        async with await listener.accept() as theirs:
            await send(transport, b"hello")
            assert await theirs.receive() == b"hello"
            assert transport.remote == path
            assert transport.progress() is None
            assert not transport.has_left(1)
            await transport.aclose()
            with pytest.raises(anyio.EndOfStream):
                await theirs.receive()


@needs_unix
@pytest.mark.skipif(sys.platform != "linux", reason="others say ECONNREFUSED")
async def test_a_unix_socket_whose_queue_is_full(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        first = await connect_unix(path)
        with anyio.move_on_after(0.03) as scope:
            await connect_unix(path)
        assert scope.cancelled_caught
        done: list[Transport] = []

        async def second() -> None:
            done.append(await connect_unix(path))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            assert not done
            listener.accept()[0].close()
        await first.aclose()
        await done[0].aclose()


class Connectable(anyio.abc.ByteStreamConnectable):
    """Makes a stream in memory, or fails."""

    def __init__(self, made: Any) -> None:
        self.made = made

    async def connect(self) -> anyio.abc.ByteStream:
        if isinstance(self.made, Exception):
            raise self.made
        made: anyio.abc.ByteStream = self.made
        return made


async def test_a_users_object() -> None:
    mine, theirs = memory_stream_pair()
    transport = await connect_via(Connectable(mine))
    await send(transport, b"hello")
    assert await theirs.receive() == b"hello"
    for error in (anyio.BrokenResourceError(), anyio.ClosedResourceError()):
        with pytest.raises(ConnectionError, match="broke while it was made") as lost:
            await connect_via(Connectable(error))
        assert lost.value.__cause__ is error
    with pytest.raises(TypeError, match="not NoneType"):
        await connect_via(Connectable(None))
    with pytest.raises(ConnectionRefusedError):
        await connect_via(Connectable(ConnectionRefusedError()))
