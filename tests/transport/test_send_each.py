"""The same bytes over many sockets, in C and in Python."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from anyio_websocket._transport import SocketTransport, _send_each_py

try:
    from anyio_websocket._transport import _send_each_c
except ImportError:
    in_c = None
else:
    in_c = getattr(_send_each_c, "send_each", None)  # not on Windows

SendEach = Callable[[list[SocketTransport], bytes], list[tuple[int, int]]]


@pytest.fixture(params=["C", "Python"])
def send_each(request: pytest.FixtureRequest) -> SendEach:
    function = in_c if request.param == "C" else _send_each_py.send_each
    if function is None:
        pytest.skip("_send_each_c is not built")
    return function


@pytest.fixture
def pairs() -> Generator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        found: list[tuple[socket.socket, socket.socket]] = []
        for _ in range(4):
            one, other = socket.socketpair()
            stack.enter_context(one)
            stack.enter_context(other)
            one.setblocking(False)
            found.append((one, other))
        yield found


async def test_those_that_do_not_take_all_are_named(
    send_each: SendEach, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    transports = [SocketTransport(one) for one, _ in pairs]
    assert send_each(transports, b"text") == []
    assert [other.recv(100) for _, other in pairs] == [b"text"] * 4
    assert send_each([], b"text") == []
    (_, broken), (full, _), (_, free) = pairs[0], pairs[1], pairs[2]
    broken.close()
    full.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await transports[3].abort()  # its descriptor may be another socket's
    large = bytes(10_000_000)
    result = send_each(transports, large)
    assert [index for index, _ in result] == [0, 1, 2, 3]
    assert result[0] == (0, 0)
    assert 0 < result[1][1] < len(large)
    assert 0 < result[2][1] < len(large)
    assert result[3] == (3, 0)
    assert send_each(transports[1:2], b"more") == [(0, 0)]
    assert len(free.recv(1000)) == 1000


def test_it_takes_what_it_says() -> None:
    if in_c is None:
        pytest.skip("_send_each_c is not built")
    call: Callable[..., object] = in_c
    for args, error in (
        ((), TypeError),
        (([], "text"), TypeError),
        (((), b"text"), TypeError),
        (([1], b"text"), AttributeError),
    ):
        with pytest.raises(error):
            call(*args)


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="others do not count blocks"
)
async def test_it_keeps_nothing(
    send_each: SendEach, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    transports = [SocketTransport(one) for one, _ in pairs]
    pairs[0][1].close()
    send_each(transports, b"")
    before = sys.getallocatedblocks()
    for _ in range(1000):
        send_each(transports, b"text")
        for _, other in pairs[1:]:
            other.recv(100)
    assert sys.getallocatedblocks() - before < 500
