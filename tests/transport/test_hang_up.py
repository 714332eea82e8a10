"""What a socket tells of its peer without being read."""

from __future__ import annotations

import select
import socket
import struct
import sys

import anyio
import pytest

from anyio_websocket._transport import _hang_up
from anyio_websocket._transport._hang_up import (
    bytes_taken,
    has_hung_up,
    has_vanished,
)

from ..support.sockets import pair, read, reset


@pytest.mark.parametrize("how", ["fin", "reset", "closed here"])
async def test_E16_a_peer_that_hung_up(how: str) -> None:
    async with pair() as (transport, theirs):
        theirs.sendall(b"unread")
        assert not has_hung_up(transport._socket)
        assert not has_vanished(transport._socket, 0)
        if how == "reset":
            reset(theirs)
        elif how == "fin":
            theirs.close()
        else:
            await transport.abort()
        with anyio.fail_after(20):  # the network may take its time
            while not has_hung_up(transport._socket):
                await anyio.sleep(0.001)


def test_E16_a_socket_that_is_not_tcp() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not has_hung_up(one)
        assert not has_vanished(one, 0)


class _Socket:
    """A socket whose kernel says what a test wants."""

    def __init__(self, retransmits: int, unacked: int, last_ack: int) -> None:
        info = bytearray(60)
        info[2] = retransmits
        struct.pack_into("=I", info, 24, unacked)
        struct.pack_into("=I", info, 56, last_ack)
        self._info = bytes(info)

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        return self._info[:size]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize(
    ("info", "vanished"),
    [
        ((6, 1, 21_000), True),
        ((0, 1, 21_000), False),  # idle for long, and something was just sent
        ((6, 0, 21_000), False),  # the peer takes no more, but answers probes
        ((6, 1, 5_000), False),  # a bad network
    ],
)
def test_E16_a_machine_that_vanished(
    info: tuple[int, int, int], vanished: bool
) -> None:
    assert has_vanished(_Socket(*info), 20) is vanished


def test_E16_where_the_system_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on Windows; there a reset is noticed, as getpeername() fails after it.
    monkeypatch.delattr(select, "poll")
    monkeypatch.setattr(_hang_up, "_TCP_INFO", None)
    one, other = socket.socketpair()
    with one:
        other.close()
        assert not has_hung_up(one)
        assert not has_vanished(one, 0)
        assert bytes_taken(one) is None
    assert has_hung_up(one)


class _AsksForMore:
    """No socket: it has the methods, and they take other arguments."""

    def getpeername(self, family: int) -> None: ...

    def getsockopt(self, level: int) -> None: ...


@pytest.mark.parametrize("odd", [object(), _AsksForMore()])
def test_G11_what_a_stream_has_for_a_socket_is_none(odd: object) -> None:
    assert not has_hung_up(odd)
    assert not has_vanished(odd, 0)
    assert bytes_taken(odd) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_G13_bytes_that_the_peer_took() -> None:
    async with pair() as (transport, theirs):
        before = bytes_taken(transport._socket)
        assert before is not None
        assert transport.write(bytes(1000))
        await read(theirs, 1000)
        assert bytes_taken(transport._socket) == before + 1000


def test_G13_what_cannot_be_asked() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert bytes_taken(one) is None
    assert bytes_taken(one) is None
    assert bytes_taken(_Socket(0, 0, 0)) is None  # a kernel before 4.1
