"""Connecting to a name: several addresses, and the first that answers."""

from __future__ import annotations

import errno
import socket
import time
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    Endpoint,
)
from anyio_websocket._transport._connect import CONNECTION_ATTEMPT_DELAY, connect


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int]) -> None:
    """Resolve every name to these addresses."""

    async def look_up(host: str, port: int, **_: object) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found
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
        with pytest.raises(ConnectionRefusedError):
            await connect("127.0.0.1", port)


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
    with anyio.fail_after(5), pytest.raises(OSError, match=r"from 255\.255"):
        await connect("255.255.255.255", 1)


async def test_a_zone() -> None:
    # A link-local address that does not exist.
    zone = socket.if_indextoname(1)
    with anyio.move_on_after(0.1), pytest.raises(OSError, match="from fe80::dead"):
        await connect(f"fe80::dead%{zone}", 1)


async def test_two_addresses_that_answer_in_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as one, socket.socket() as other:
        waiting = [socket.socket() for _ in range(6)]
        try:
            for i, full in enumerate((one, other)):
                full.bind(("127.0.0.1", 0))
                full.listen(0)
                for sock in waiting[i::2]:
                    sock.setblocking(False)
                    sock.connect_ex(full.getsockname())
            addresses(monkeypatch, one.getsockname(), other.getsockname())

            async def let_both_in() -> None:
                await anyio.sleep(CONNECTION_ATTEMPT_DELAY * 2)
                for sock in waiting:
                    sock.close()
                for full in (one, other):
                    full.setblocking(False)
                    with suppress(BlockingIOError):
                        while True:
                            full.accept()[0].close()
                # The kernel retries after a second. Block the event loop until then, so
                # that it sees both connections at once.
                time.sleep(1.5)  # noqa: ASYNC251

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(let_both_in)
                    transport = await connect("example.org", 1)
            ports = {full.getsockname()[1] for full in (one, other)}
            assert isinstance(transport.remote, Endpoint)
            assert transport.remote.port in ports
            await transport.aclose()
        finally:
            for sock in waiting:
                sock.close()


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
