"""Wrappers that users write around the options, as type checkers see them.

mypy and pyright check this module, both strictly: each line that is wrong has to be
found, and no other. That it runs as well is the lesser part.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Unpack

import anyio
import anyio.abc
import pytest
from anyio.abc import ByteStream, ObjectStream

from anyio_websocket import (
    ClientOptions,
    ConnectionOptions,
    PerMessageDeflate,
    ServerOptions,
    ServerStreamOptions,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_server_stream,
)
from anyio_websocket.streams import WebSocketAttribute

from .support.peer import linked

if TYPE_CHECKING:
    import trio

URL = "ws://x.invalid/"
SHARED: ConnectionOptions = {"max_message_size": 1000, "ping_interval": None}
LIMITS: ClientOptions = {"max_message_size": 1000, "subprotocols": ["chat"]}
SERVER: ServerOptions = {"origins": "*", "compression": PerMessageDeflate()}


def open_chat(
    path: str, **options: Unpack[ClientOptions]
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Pass options on, with others as defaults."""
    merged: ClientOptions = {**LIMITS, **options}
    return open_websocket("x.invalid", 80, path, use_ssl=False, **merged)


async def connect_chat(
    nursery: Any, **options: Unpack[ClientOptions]
) -> WebSocketConnection:
    return await connect_websocket_url(nursery, URL, **options)


async def read_request(
    nursery: Any, stream: Any, **options: Unpack[ServerStreamOptions]
) -> WebSocketRequest:
    return await wrap_server_stream(nursery, stream, 1, 1000, None, **options)


class ChatServer(WebSocketServer):
    def __init__(
        self,
        handler: Callable[[WebSocketRequest], Awaitable[object]],
        listeners: list[Any],
        **options: Unpack[ServerOptions],
    ) -> None:
        super().__init__(handler, listeners, **options)


def test_wrappers() -> None:
    open_websocket_url(URL, **LIMITS)
    open_websocket_url(URL, **SHARED)
    open_chat("/", connect_timeout=5)

    async def handler(request: WebSocketRequest) -> None:
        await request.accept(subprotocol="chat")

    class Listener:
        async def accept(self) -> Any: ...

    ChatServer(handler, [Listener()], **SERVER)
    WebSocketServer(handler, [Listener()], **SHARED)


def test_mistakes() -> None:
    wrong: ClientOptions = {"max_message_size": "1000"}  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match="max_message_size"):
        open_websocket_url(URL, **wrong)
    with pytest.raises(TypeError, match="ping_interval"):
        open_websocket_url(URL, ping_intervall=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="connect_timeout"):
        open_chat("/", connect_timeout="5")  # type: ignore[arg-type]


async def echo(request: WebSocketRequest) -> None:
    await request.accept()


async def serve_in_anyio(
    task_status: anyio.abc.TaskStatus[WebSocketServer] = anyio.TASK_STATUS_IGNORED,
) -> None:
    await serve_websocket(echo, "127.0.0.1", 0, None, task_status=task_status)


async def serve_in_trio(
    task_status: trio.TaskStatus[WebSocketServer],
) -> None:
    await serve_websocket(echo, "127.0.0.1", 0, None, task_status=task_status)


async def run_in_trio(
    server: WebSocketServer,
    task_status: trio.TaskStatus[WebSocketServer],
) -> None:
    await server.run(task_status=task_status)


async def run_with_a_wrong_status(
    server: WebSocketServer, task_status: trio.TaskStatus[int]
) -> None:
    await server.run(task_status=task_status)  # type: ignore[arg-type]


async def ask_who_is_there(port: int) -> tuple[str, int] | None:
    """Connect; return this side's address when the connection is closed."""
    async with open_websocket(
        *("127.0.0.1", port, "/"), use_ssl=False, extra_headers={"X-Token": "secret"}
    ) as ws:
        theirs: tuple[str, int] | None = ws.remote_address
        assert theirs == ("127.0.0.1", port)
        ws.remote.port  # type: ignore[union-attr]  # noqa: B018
    assert ws.remote_address == ("127.0.0.1", port)  # still
    return ws.local_address


async def test_H15_who_is_there() -> None:
    asked: list[tuple[str, str | None, str, int]] = []

    async def handler(request: WebSocketRequest) -> None:
        host, port = request.remote_address or ("", 0)
        asked.append((request.host, request.header("x-token"), host, port))
        ws = await request.accept()
        assert ws.remote_address == request.remote_address
        assert ws.local_address == request.local_address == ("127.0.0.1", server.port)

    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(
            serve_websocket, handler, "127.0.0.1", 0, None
        )
        host, port = await ask_who_is_there(server.port) or ("", 0)
        assert asked == [(f"127.0.0.1:{server.port}", "secret", host, port)]
        tasks.cancel_scope.cancel()


async def test_H4_task_status_of_anyio() -> None:
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(serve_in_anyio)
        same_way: WebSocketServer = await tasks.start(
            serve_websocket, echo, "127.0.0.1", 0, None
        )
        assert server.port != same_way.port
        tasks.cancel_scope.cancel()


def test_H4_task_status_of_trio() -> None:
    pytest.importorskip("trio")
    import trio

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server: WebSocketServer = await nursery.start(serve_in_trio)
            same_way: WebSocketServer = await nursery.start(
                serve_websocket, echo, "127.0.0.1", 0, None
            )
            assert server.port != same_way.port
            nursery.cancel_scope.cancel()

    trio.run(main)


async def use_streams(ws: WebSocketConnection) -> None:
    messages: ObjectStream[str | bytes] = ws.as_object_stream()
    with pytest.raises(ValueError, match="message must be"):
        await messages.send(1)  # type: ignore[arg-type]
    numbers = ws.as_object_stream(loads=int)
    number: int = await numbers.receive()
    assert number == 1
    await numbers.send("2")  # type: ignore[arg-type]
    stream: ByteStream = ws.as_byte_stream()
    path: str = stream.extra(WebSocketAttribute.path)
    assert path == stream.extra(WebSocketAttribute.connection).path
    with pytest.raises(AttributeError):
        stream.extra(WebSocketAttribute.subprotocol).upper()  # type: ignore[union-attr]


async def test_streams() -> None:
    async with linked() as (client, server):
        await server.send_message(b"1")
        await use_streams(client)
