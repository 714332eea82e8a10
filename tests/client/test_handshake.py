"""The client's handshake: responses that are late, cut off, wrong, or a refusal."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyio_websocket import (
    ConnectionRejected,
    ConnectionTimeout,
    HandshakeError,
    open_websocket,
    wrap_client_stream,
)
from anyio_websocket.testing import ScriptedPeer, memory_stream_pair

from ..support.servers import answering, raw_server


@pytest.mark.virtual_time
async def test_B1_single_bytes_do_not_extend_the_deadline() -> None:
    ours, theirs = memory_stream_pair()

    async def drip() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            for byte in b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"y" * 1000:
                await theirs.send(bytes([byte]))
                await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drip)
        started = anyio.current_time()
        with pytest.raises(ConnectionTimeout):
            await wrap_client_stream(tasks, ours, "x", "/")
        assert anyio.current_time() - started == pytest.approx(10, abs=0.1)
        assert ours.closed


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.virtual_time
async def test_B2_a_server_that_leaves_is_an_error_at_once(reset: bool) -> None:
    for answer in (b"", b"HTTP/1.1 101 Switching Protocols\r\n"):
        ours, theirs = memory_stream_pair()
        async with anyio.create_task_group() as tasks:

            async def leave(
                theirs: Any = theirs, ours: Any = ours, answer: bytes = answer
            ) -> None:
                await ScriptedPeer(theirs, is_client=False).receive_head()
                await theirs.send(answer)
                if reset:
                    ours.reset()
                await theirs.aclose()

            tasks.start_soon(leave)
            started = anyio.current_time()
            with pytest.raises(HandshakeError) as caught:
                await wrap_client_stream(tasks, ours, "x", "/")
            assert anyio.current_time() - started < 1
            cause = caught.value.__cause__
            assert isinstance(cause, anyio.BrokenResourceError) == reset
            assert ours.closed


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.0 101 X\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3000,
    ],
)
async def test_B3_garbage_is_a_handshake_error(answer: bytes) -> None:
    async with raw_server(answering(answer, then_wait=True)) as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                pass
        assert type(caught.value) is HandshakeError


async def test_B4_a_rejection_has_status_headers_and_body() -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\nX-Why: \xff\r\nContent-Length: 2\r\n\r\nno"
    async with raw_server(answering(answer, then_wait=True)) as port:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                pass
        assert caught.value.status_code == 403
        assert caught.value.headers == ((b"x-why", b"\xff"), (b"content-length", b"2"))
        assert caught.value.body == b"no"


async def test_B4_a_slow_body_is_cut_at_the_deadline() -> None:
    answer = b"HTTP/1.1 503 Busy\r\n\r\nhalf of"
    async with raw_server(answering(answer, then_wait=True)) as port:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket(
                "127.0.0.1", port, "/", use_ssl=False, connect_timeout=1
            ):
                pass
        assert (caught.value.status_code, caught.value.body) == (503, b"half of")


async def test_B4_a_body_that_ends_with_the_stream() -> None:
    async with raw_server(answering(b"HTTP/1.1 500 Oops\r\n\r\nall of it")) as port:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                pass
        assert caught.value.body == b"all of it"
