"""A WebSocket inside an ASGI application, used as this library's are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    Router,
    WebSocketRequest,
    asgi,
)
from anyio_websocket.asgi import WebSocketStream
from anyio_websocket.testing import serve_in_memory

CONNECT: dict[str, Any] = {"type": "websocket.connect"}
ACCEPTED: dict[str, Any] = {
    "type": "websocket.accept",
    "subprotocol": None,
    "headers": [],
}
GONE: dict[str, Any] = {"type": "websocket.disconnect", "code": 1001, "reason": "bye"}


def text(message: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": message}


class Server:
    """A server of others: what it says is given, what it is told is kept."""

    def __init__(self, events: Iterable[Any], scope: Any = None) -> None:
        self._events = list(events)
        self.sent: list[Any] = []
        self.is_gone = False
        self.stream = WebSocketStream(self.receive, self.send, scope=scope)

    async def receive(self) -> Any:
        if not self._events:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return self._events.pop(0)

    async def send(self, event: Any) -> None:
        if self.is_gone:
            raise OSError("gone")
        self.sent.append(event)


Handler = Callable[[WebSocketRequest | WebSocketStream], Awaitable[None]]


async def handler(request: WebSocketRequest | WebSocketStream) -> None:
    """Echo, as for this library's own server."""
    if "no" in request.path:
        await request.reject(418, extra_headers={"X-Why": "no"}, body=b"no")
        return
    name = request.select_subprotocol(["b", "c"])
    ws = await request.accept(subprotocol=name, extra_headers={"X-Path": request.path})
    assert ws.subprotocol == name
    await ws.send_json({"host": request.host, "origin": request.origin})
    async for message in ws:
        if message == "bye":
            await ws.aclose(4000, "bye")
        await ws.send_message(message, compress=False)


async def inside(scope: Any, receive: Any, send: Any) -> None:
    ws = WebSocketStream(receive, send, scope=scope)
    with suppress(ConnectionClosed):  # as this library's server does
        await handler(ws)
    await ws.aclose()


async def test_a_handler_runs_inside_an_application_as_it_does_alone() -> None:
    for candidate in (asgi.handler(inside), handler):
        async with serve_in_memory(candidate) as connect:
            async with connect("/a%20b?c", subprotocols=["a", "b"]) as ws:
                assert ws.subprotocol == "b"
                assert ws.handshake_headers[-1] == (b"x-path", b"/a%20b?c")
                assert await ws.get_json() == {"host": "localhost", "origin": None}
                for message in ("ü", b"\xff"):
                    await ws.send_message(message)
                    assert await ws.get_message() == message
                await ws.send_message("bye")
                with pytest.raises(ConnectionClosed):
                    await ws.get_message()
            assert ws.closed == CloseReason(4000, "bye")
            with pytest.raises(ConnectionRejected) as caught:
                async with connect("/no"):
                    raise AssertionError
            assert (caught.value.status_code, caught.value.body) == (418, b"no")
            assert (b"x-why", b"no") in caught.value.headers


async def test_messages() -> None:
    data = {"type": "websocket.receive", "text": None, "bytes": b"\xff"}
    server = Server([CONNECT, text(""), data, text("[1]"), GONE])
    async with await server.stream.accept() as ws:
        assert await ws.get_message() == ""
        assert await ws.get_message() == b"\xff"
        assert await ws.get_json() == [1]
        await ws.send_message("a")
        await ws.send_message(bytearray(b"b"))
        await ws.send_message(b"c", text=True)
        await ws.send_json([2])
        with pytest.raises(ValueError, match="message must be"):
            await ws.send_message(3)  # type: ignore[arg-type]
        assert ws.closed is None
        assert [message async for message in ws] == []
        assert ws.closed == CloseReason(1001, "bye")
        for call in (ws.get_message(), ws.send_message("")):
            with pytest.raises(ConnectionClosed, match="the peer closed") as e:
                await call
            assert e.value.received == ws.closed
            assert e.value.sent is None
    assert server.sent == [
        ACCEPTED,
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b"},
        {"type": "websocket.send", "text": "c"},
        {"type": "websocket.send", "text": "[2]"},
    ]


async def test_the_last_event_is_for_all_tasks_that_wait() -> None:
    server = Server([CONNECT, text("one"), GONE | {"code": 1011}])
    ws = await server.stream.accept()
    errors: list[ConnectionClosed] = []

    async def read() -> None:
        try:
            async for message in ws:
                assert message == "one"
        except ConnectionClosed as exc:
            errors.append(exc)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(read)
    assert [error.reason for error in errors] == [CloseReason(1011, "bye")] * 3


async def test_closing() -> None:
    server = Server([CONNECT, text("late")])
    ws = await server.stream.accept()
    for wrong in (999, "1000"):
        with pytest.raises((ValueError, TypeError)):
            await ws.aclose(wrong)  # type: ignore[arg-type]
    assert ws.closed is None
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            with pytest.raises(ConnectionClosed, match="this side closed"):
                await ws.get_message()

        tasks.start_soon(read)
        await anyio.lowlevel.checkpoint()
        await ws.aclose(4000, "é" * 100)
    await ws.aclose()
    reason = "é" * 61
    assert server.sent[1:] == [
        {"type": "websocket.close", "code": 4000, "reason": reason}
    ]
    assert ws.closed == CloseReason(4000, reason)
    with pytest.raises(ConnectionClosed) as caught:
        await ws.send_message("")
    assert caught.value.sent == ws.closed
    assert caught.value.received is None


async def test_a_client_that_is_gone() -> None:
    server = Server([CONNECT])
    ws = await server.stream.accept()
    server.is_gone = True
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match="1006"):
            await ws.send_message("")
    assert ws.closed == CloseReason(1006, None)
    # As a task sees it that had begun to send before.
    with pytest.raises(ConnectionClosed, match="1006"):
        await ws._say({})
    ws._disconnected(GONE)
    assert ws.closed == CloseReason(1006, None)
    early = Server([{"type": "websocket.disconnect"}])
    with pytest.raises(ConnectionClosed, match="1005"):
        await early.stream.accept()
    assert early.sent == []
    late = Server([CONNECT])
    late.is_gone = True
    await late.stream.aclose()
    assert late.stream.closed == CloseReason(1000, None)


async def test_calls_in_the_wrong_order() -> None:
    server = Server([CONNECT, text("one")])
    with pytest.raises(RuntimeError, match=r"call accept\(\) first"):
        await server.stream.get_message()
    ws = await server.stream.accept()
    for again in (ws.accept(), ws.reject(400)):
        with pytest.raises(RuntimeError, match="already accepted or rejected"):
            await again
    assert await ws.get_message() == "one"


async def test_a_rejection_where_the_server_knows_none() -> None:
    for scope in (None, {"extensions": None}, {}):
        server = Server([CONNECT], scope)
        with pytest.raises(ValueError, match="204 has no body"):
            await server.stream.reject(204, body=b"x")
        await server.stream.reject(401)
        assert server.sent == [{"type": "websocket.close"}]
        assert server.stream.closed == CloseReason(1006, "Rejected WebSocket handshake")
        with pytest.raises(ConnectionClosed):
            await server.stream.send_message("")


async def test_wrong_arguments_send_nothing() -> None:
    server = Server([CONNECT], {"subprotocols": ["a"]})
    with pytest.raises(ValueError, match="'b' is not among the 1"):
        await server.stream.accept(subprotocol="b")
    with pytest.raises(ValueError, match="may not be given"):
        await server.stream.accept(extra_headers={"Upgrade": "x"})
    assert server.sent == []
    await server.stream.accept(subprotocol="a", extra_headers=[("X-One", "1")])
    assert server.sent == [
        ACCEPTED | {"subprotocol": "a", "headers": [(b"x-one", b"1")]}
    ]


def test_what_is_known_of_the_request() -> None:
    scope = {
        "path": "/ü b",
        "query_string": b"q=1",
        "headers": [(b"Host", b"a"), (b"ORIGIN", b"https://a"), (b"x", b"\xff")],
        "client": ["127.0.0.1", 5],
        "server": ("127.0.0.1", 6),
        "subprotocols": ["a", "b"],
    }
    ws = Server([], scope).stream
    assert ws.path == "/%C3%BC%20b?q=1"
    assert ws.headers[0] == (b"host", b"a")
    assert (ws.host, ws.origin, ws.header("X")) == ("a", "https://a", "\xff")
    assert (ws.remote_address, ws.local_address) == (("127.0.0.1", 5), ("127.0.0.1", 6))
    assert ws.proposed_subprotocols == ("a", "b")
    assert ws.select_subprotocol(["c", "b"]) == "b"
    assert ws.select_subprotocol(["c"]) is None
    little = Server([], {"path": "/", "raw_path": b"/%41", "headers": []}).stream
    assert (little.path, little.host, little.origin) == ("/%41", "", None)
    assert (little.remote_address, little.local_address) == (None, None)
    assert little.proposed_subprotocols == ()
    assert Server([], {"server": ("/socket", None)}).stream.local_address is None
    with pytest.raises(RuntimeError, match=r"WebSocketStream\(receive, send, scope=sc"):
        _ = Server([]).stream.path


async def test_a_router_inside_an_application() -> None:
    router = Router()

    @router.route("/rooms/<int:number>")
    async def room(request: Any, number: int) -> None:
        await (await request.accept()).send_message(f"room {number}")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request: Any = WebSocketStream(receive, send, scope=scope)
        await router(request)

    async with serve_in_memory(asgi.handler(app)) as connect:
        async with connect("/rooms/7") as ws:
            assert await ws.get_message() == "room 7"
        with pytest.raises(ConnectionRejected, match="404"):
            async with connect("/x"):
                raise AssertionError
