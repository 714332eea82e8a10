"""The functions that open a connection: arguments, and how their block is left."""

from __future__ import annotations

import asyncio
import math
import ssl
import subprocess
import sys
from types import MappingProxyType
from typing import Any, NoReturn

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from anyio_websocket import (
    CloseCode,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    DisconnectionTimeout,
    Endpoint,
    WebSocketRequest,
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
)
from anyio_websocket._client import _connector
from anyio_websocket._connection import ConnectionCore, _closing
from anyio_websocket._connection._close_state import CloseState
from anyio_websocket.testing import ScriptedPeer, handshake_response, memory_stream_pair

from ..support.backends import under_asyncio
from ..support.frames import CLOSE
from ..support.servers import never_closes, raw_server, serving

# -- ways to open --------------------------------------------------------------


async def test_open_websocket() -> None:
    async with serving() as port:
        async with open_websocket("127.0.0.1", port, "/a?b", use_ssl=False) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            assert ws.path == "/a?b"
            assert ws.remote == Endpoint("127.0.0.1", port, False)
            assert isinstance(ws.local, Endpoint)
        assert ws.closed == CloseReason(1000, None)
        assert ws.remote == Endpoint("127.0.0.1", port, False)  # still


async def test_open_websocket_url() -> None:
    async with serving() as port:
        async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
            await ws.send_message(b"hello")
            assert await ws.get_message() == b"hello"
            assert ws.path == "/"


async def test_connect_websocket() -> None:
    async with serving() as port, anyio.create_task_group() as tasks:
        one = await connect_websocket(tasks, "127.0.0.1", port, "x", use_ssl=False)
        two = await connect_websocket_url(tasks, f"ws://127.0.0.1:{port}/y")
        assert (one.path, two.path) == ("/x", "/y")
        for ws in (one, two):
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            await ws.aclose()


async def test_headers_and_subprotocols() -> None:
    async def handler(request: WebSocketRequest) -> None:
        assert request.proposed_subprotocols == ("chat", "superchat")
        assert (b"authorization", b"Token x") in request.headers
        assert (b"x-bytes", b"1") in request.headers
        assert not {b"host", b"sec-websocket-protocol"} & dict(request.headers).keys()
        ws = await request.accept(
            subprotocol="superchat", extra_headers=[("X-Answer", "42")]
        )
        assert ws.subprotocol == "superchat"

    async with serving(handler, handler_errors="raise") as port:
        async with open_websocket(
            "127.0.0.1",
            port,
            "/",
            use_ssl=False,
            subprotocols=["chat", "superchat"],
            extra_headers=[("Authorization", "Token x"), (b"x-bytes", b"1")],
        ) as ws:
            assert ws.subprotocol == "superchat"
            assert ws.handshake_headers == ((b"x-answer", b"42"),)


async def test_no_limits() -> None:
    async with serving(
        message_queue_size=math.inf, max_message_size=math.inf, connect_timeout=None
    ) as port:
        async with open_websocket(
            "127.0.0.1",
            port,
            "/",
            use_ssl=False,
            message_queue_size=math.inf,
            max_message_size=math.inf,
            receive_buffer_size=None,
            connect_timeout=math.inf,
            disconnect_timeout=math.inf,
        ) as ws:
            await ws.send_message(b"x" * 2**21)
            assert await ws.get_message() == b"x" * 2**21


# -- arguments -----------------------------------------------------------------


@pytest.mark.parametrize("use_ssl", [1, 0, None, "yes"])
async def test_use_ssl_of_the_wrong_type(use_ssl: Any) -> None:
    text = "`use_ssl` argument must be bool or ssl.SSLContext"
    with pytest.raises(TypeError, match=text):
        async with open_websocket("127.0.0.1", 1, "/", use_ssl=use_ssl):
            pass


def test_urls_are_checked_at_the_call() -> None:
    with pytest.raises(ValueError, match="scheme"):
        open_websocket_url("http://127.0.0.1/")
    with pytest.raises(ValueError, match="SSL context must be None"):
        open_websocket_url("ws://127.0.0.1/", ssl.create_default_context())


async def test_B8_nothing_is_looked_up_for_wrong_arguments() -> None:
    # Would these go as far as the network, they would raise HandshakeError.
    async with anyio.create_task_group() as tasks:
        for host, port, resource in (
            ("a" * 64 + ".invalid", 80, "/"),
            ("x.invalid", 0, "/"),
            ("x.invalid", 80, "/a b"),
            ("x.invalid", 80, "/a\r\n"),
        ):
            with pytest.raises(ValueError):  # noqa: PT011
                await connect_websocket(tasks, host, port, resource, use_ssl=False)
        with pytest.raises(ValueError, match="header"):
            await connect_websocket(
                tasks,
                "x.invalid",
                80,
                "/",
                use_ssl=False,
                extra_headers=[("Sec-WebSocket-Key", "x")],
            )
        with pytest.raises(ValueError, match="scheme"):
            await connect_websocket_url(tasks, "http://x.invalid/")


@pytest.mark.parametrize(
    "option",
    [
        {"message_queue_size": -1},
        {"max_message_size": 0},
        {"receive_buffer_size": 0},
        {"connect_timeout": 0},
        {"disconnect_timeout": math.nan},
    ],
)
async def test_H3_settings(option: dict[str, Any]) -> None:
    (name,) = option
    for func in (connect_websocket, wrap_client_stream):
        async with anyio.create_task_group() as tasks:
            arguments: tuple[Any, ...] = ("127.0.0.1", 1, "/")
            if func is wrap_client_stream:
                arguments = (memory_stream_pair()[0], "x", "/")
            else:
                option = option | {"use_ssl": False}
            with pytest.raises(ValueError, match=name):
                await func(tasks, *arguments, **option)
            option.pop("use_ssl", None)
    with pytest.raises(ValueError, match=name):
        async with open_websocket("127.0.0.1", 1, "/", use_ssl=False, **option):
            pass


async def test_wrap_client_stream_wants_a_stream() -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises(TypeError, match="stream must be"):
            await wrap_client_stream(tasks, "stream", "x", "/")  # type: ignore[arg-type]


# -- leaving the block ---------------------------------------------------------


async def test_the_blocks_exception_comes_out_as_it_is() -> None:
    class MineError(Exception):
        pass

    error = MineError("mine")
    error.__cause__ = cause = KeyError("its cause")
    async with serving() as port:
        with pytest.raises(MineError) as caught:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                raise error
        assert caught.value is error
        assert error.__cause__ is cause
        assert error.__context__ is None
        assert ws.closed == CloseReason(1000, None)


async def test_F6_cancelled_block() -> None:
    async with serving() as port:
        with anyio.CancelScope() as scope:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                scope.deadline = anyio.current_time() + 0.1
                await ws.get_message()
        assert scope.cancelled_caught
        assert ws.closed is not None
        assert ws.closed.code == 1006


async def test_F6_error_in_a_cancelled_block() -> None:
    async with serving() as port:
        with pytest.raises(ValueError, match="mine"), anyio.CancelScope() as scope:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                scope.deadline = anyio.current_time() + 0.1
                try:
                    await ws.get_message()
                finally:
                    raise ValueError("mine")


async def test_F6_keyboard_interrupt_in_the_block() -> None:
    async with serving() as port:
        with pytest.raises(KeyboardInterrupt):
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                raise KeyboardInterrupt
        assert ws.closed is not None
        assert ws.closed.code == 1006


async def test_F6_cancelled_while_leaving() -> None:
    async with raw_server(never_closes) as port:
        with anyio.move_on_after(0.2) as scope:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                pass
        assert scope.cancelled_caught
        with pytest.raises(DisconnectionTimeout, match=r"0\.2 seconds"):
            async with open_websocket(
                "127.0.0.1", port, "/", use_ssl=False, disconnect_timeout=0.2
            ) as ws:
                pass
        with pytest.raises(KeyError):  # the block's wins
            async with open_websocket(
                "127.0.0.1", port, "/", use_ssl=False, disconnect_timeout=0.2
            ) as ws:
                raise KeyError
        with pytest.raises(KeyError), anyio.CancelScope() as scope:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                scope.deadline = anyio.current_time() + 0.2
                raise KeyError
        # An explicit close says nothing of it.
        async with open_websocket(
            "127.0.0.1", port, "/", use_ssl=False, disconnect_timeout=0.2
        ) as ws:
            with pytest.raises(DisconnectionTimeout):
                async with open_websocket(
                    "127.0.0.1", port, "/", use_ssl=False, disconnect_timeout=0.2
                ):
                    pass
            await ws.aclose()
            raise_at_exit = ws.closed
            assert raise_at_exit == CloseReason(1000, None)


@pytest.mark.parametrize("tls", [False, True])
async def test_E19_a_server_that_answers_the_close_and_keeps_the_connection(
    tls: bool,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_closing, "LINGER_TIMEOUT", 0.3)
    gone = anyio.Event()

    async def closes_late(stream: ByteStream) -> None:
        if tls:
            stream = await TLSStream.wrap(
                stream, server_side=True, ssl_context=server_tls
            )
        peer = ScriptedPeer(stream, is_client=False)
        await stream.send(handshake_response(await peer.receive_head()))
        assert (await peer.receive_frame()).opcode == CLOSE
        await peer.send_close(1000)
        await gone.wait()

    async with raw_server(closes_late) as port:
        with anyio.fail_after(20):
            async with open_websocket(
                *("127.0.0.1", port, "/"),
                use_ssl=client_tls if tls else False,
                disconnect_timeout=60,
            ) as ws:
                pass
        assert ws.closed == CloseReason(1000, None)
        gone.set()


async def test_closed_by_the_server_before_leaving() -> None:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.aclose(1001, "bye")

    async with serving(handler) as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
        assert ws.closed == CloseReason(1001, "bye")


async def test_H5_both_sides_have_members_as_codes() -> None:
    codes: list[object] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.wait_closed()
        assert ws.closed is not None
        codes.append(ws.closed.code)

    async with serving(handler) as port:
        for code in (1001, 4000):
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                await ws.aclose(CloseCode.GOING_AWAY if code == 1001 else code)
            assert ws.closed is not None
            codes.append(ws.closed.code)
        with anyio.fail_after(5):
            while len(codes) < 4:
                await anyio.sleep(0.01)
    assert sorted(codes, key=str) == [1001, 1001, 4000, 4000]
    assert {type(code) for code in codes} == {CloseCode, int}


async def test_H9_a_mapping_of_headers() -> None:
    async def handler(request: WebSocketRequest) -> None:
        assert request.header("authorization") == "Token x"
        if request.path == "/no":
            await request.reject(403, extra_headers={b"X-Why": b"no"})
        else:
            await request.accept(extra_headers=MappingProxyType({"X-Answer": "42"}))

    async with serving(handler, handler_errors="raise") as port:
        url = f"ws://127.0.0.1:{port}"
        async with open_websocket_url(
            url, extra_headers={"Authorization": "Token x"}
        ) as ws:
            assert ws.handshake_headers == ((b"x-answer", b"42"),)
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket_url(
                f"{url}/no", extra_headers={b"Authorization": b"Token x"}
            ):
                pass
        assert (b"x-why", b"no") in caught.value.headers


# -- what goes wrong while a connection is opened or closed --------------------


@pytest.mark.parametrize("way", ["block", "nursery"])
async def test_G10_no_memory_for_the_connection(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.wait_closed()
        ended.set()

    async def use(port: int) -> None:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
            pass

    def no_memory(core: ConnectionCore, **_: object) -> NoReturn:
        raise MemoryError

    async with serving(handler) as port:
        with monkeypatch.context() as patch:
            patch.setattr(_connector, "WebSocketConnection", no_memory)
            # The background task ends, too, and not only when its Ping cannot be sent.
            with anyio.move_on_after(5) as soon:
                async with anyio.create_task_group() as tasks:
                    # The exception's traceback keeps the socket alive.
                    with pytest.raises(MemoryError) as caught:
                        if way == "block":
                            await use(port)
                        else:
                            await connect_websocket(
                                tasks, "127.0.0.1", port, "/", use_ssl=False
                            )
            assert not soon.cancel_called
        with anyio.fail_after(5):
            await ended.wait()
        del caught


_INTERRUPTED = r"""
import _thread
import base64
import hashlib
import signal
import socket
import sys
import threading

import anyio

from anyio_websocket import open_websocket_url

LISTENER = socket.create_server(("127.0.0.1", 0))
URL = f"ws://127.0.0.1:{LISTENER.getsockname()[1]}"


def serve():
    peer, _ = LISTENER.accept()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1000)
    key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
        % base64.b64encode(digest)
    )
    assert peer.recv(1)  # of the Close, which gets no reply
    if hasattr(signal, "pthread_kill"):  # which wakes an event loop that waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
    while peer.recv(1000):
        pass


async def main():
    async with open_websocket_url(URL, disconnect_timeout=30):
        raise ValueError("block")


threading.Thread(target=serve, daemon=True).start()
backend, _, uses_uvloop = sys.argv[1].partition("-")
try:
    anyio.run(
        main,
        backend=backend,
        backend_options={"use_uvloop": True} if uses_uvloop else None,
    )
except BaseException as exc:
    while exc is not None:
        print(repr(exc))
        exc = exc.__context__
"""


@pytest.mark.parametrize("loop", ["asyncio", "asyncio-uvloop", "trio"])
def test_F6_ctrl_c_while_closing_after_an_exception(loop: str) -> None:
    pytest.importorskip(loop.rpartition("-")[2])
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, loop],
        capture_output=True,
        text=True,
        timeout=60,
    )
    errors = done.stdout.splitlines()
    assert errors[:1] == ["KeyboardInterrupt()"], done
    assert "ValueError('block')" in errors


@under_asyncio
async def test_F6_a_task_of_asyncio_is_cancelled_while_closing() -> None:
    async with raw_server(never_closes) as port:

        async def use() -> None:
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False):
                leaves.set()
                raise KeyError

        leaves = asyncio.Event()
        task = asyncio.create_task(use())
        await leaves.wait()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.__context__, KeyError)


async def test_F6_closing_fails_after_an_interrupt_of_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    abort = CloseState.abort

    async def fail(state: CloseState) -> None:
        await abort(state)
        if state is ws._core.close_state:
            raise MemoryError

    async with serving() as port:
        monkeypatch.setattr(CloseState, "abort", fail)
        with pytest.raises(KeyboardInterrupt):
            async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
                raise KeyboardInterrupt
