"""A process that may open no more files."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from anyio_websocket import (
    HandshakeError,
    WebSocketServer,
    open_websocket,
    serve_websocket,
)
from anyio_websocket.testing import ScriptedPeer, handshake_request

from ..support.servers import connected, echo, is_answered, is_served, said, serving


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open nothing more."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("listener", ["ours", "anyio's"])
async def test_G1_no_more_files(
    listener: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with anyio.create_task_group() as tasks:
        if listener == "ours":
            server = await tasks.start(serve_websocket, echo, "127.0.0.1", 0, None)
        else:
            tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
            server = await tasks.start(WebSocketServer(echo, [tcp]).run)
        async with connected(server.port, handshake_request()) as one:
            assert await is_answered(one)
            with socket.socket() as late:
                late.setblocking(False)
                with no_more_files():
                    assert late.connect_ex(("127.0.0.1", server.port)) in (
                        0,
                        errno.EINPROGRESS,
                    )
                    late_done = anyio.current_time() + 0.5
                    while anyio.current_time() < late_done:
                        assert await is_served(one)
                        await anyio.sleep(0.05)
                    (record,) = said(caplog)  # of some five that failed
                    assert record.levelno == logging.ERROR
                    assert os.strerror(errno.EMFILE) in record.message
                # It is served as soon as there are files again.
                async with await anyio.abc.SocketStream.from_socket(late) as stream:
                    await stream.send(handshake_request())
                    assert await is_answered(ScriptedPeer(stream, is_client=True))
            assert await is_served(one)
        assert len(said(caplog)) == 1
        tasks.cancel_scope.cancel()


async def test_G1_a_client_that_may_open_nothing() -> None:
    async with serving() as port:
        with no_more_files(), pytest.raises(HandshakeError) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                raise AssertionError
        cause = caught.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno == errno.EMFILE
