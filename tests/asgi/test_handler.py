"""ASGI applications as handlers: the rules of HTTP and WebSocket 2.5, one by one."""

from __future__ import annotations

import logging
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    accept_upgrade,
    asgi,
    open_websocket_url,
    serve_websocket_unix,
)
from anyio_websocket.asgi._scope import unix_path
from anyio_websocket.testing import (
    Frame,
    ScriptedPeer,
    handshake_request,
    memory_stream_pair,
    serve_in_memory,
)

from ..support.attributes import Known
from ..support.frames import BINARY, CLOSE, TEXT, close_payload
from ..support.memory_servers import raw_client, running, serving
from ..support.servers import said
from ..support.servers import serving as serving_on_a_port

Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]

ACCEPT: dict[str, Any] = {"type": "websocket.accept"}
CLOSING: dict[str, Any] = {"type": "websocket.close"}
LOST = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
HELLO = {"type": "websocket.send", "text": "hello"}


class App:
    """An application that is written as a function of its exchange.

    It also keeps what it was told and what became of it, for tests to look at.
    """

    def __init__(self, function: Callable[[Receive, Send], Awaitable[None]]) -> None:
        self._function = function
        self.scopes: list[dict[str, Any]] = []
        self.returned = anyio.Event()

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        self.scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await self._function(receive, send)
        self.returned.set()


async def accepting(receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    await receive()


# -- the scope -----------------------------------------------------------------


async def test_the_scope_has_all_that_asgi_names() -> None:
    app = App(accepting)
    state: dict[str, Any] = {"shared": []}
    handler = asgi.handler(app, state=state, root_path="/api")
    lines = [b"X-Two: 2", b"Sec-WebSocket-Protocol: a, b", b"x-one: \xff", b"X-two: 3"]
    extensions = b"Sec-WebSocket-Extensions: permessage-deflate"
    async with serve_in_memory(handler) as connect:
        for _ in range(2):
            peer = ScriptedPeer(connect.stream(), is_client=True)
            line = b"GET /api/%C3%BC%2F%20?q=%C3%BC&x HTTP/1.1"
            await peer.stream.send(handshake_request(*lines, extensions, line=line))
            await peer.receive_head()
            await peer.stream.aclose()
    one, other = app.scopes
    for scope in (one, other):
        host, number = scope.pop("client")
        assert (host, type(number)) == ("127.0.0.1", int)
        assert scope.pop("server") == ("127.0.0.1", 80)
    expected = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/api/ü/ ",
        "raw_path": b"/api/%C3%BC%2F%20",
        "query_string": b"q=%C3%BC&x",
        "root_path": "/api",
        "headers": [
            (b"host", b"example.org"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            (b"sec-websocket-version", b"13"),
            (b"x-two", b"2"),
            (b"sec-websocket-protocol", b"a, b"),
            (b"x-one", b"\xff"),
            (b"x-two", b"3"),
            (b"sec-websocket-extensions", b"permessage-deflate"),
        ],
        "subprotocols": ["a", "b"],
        "state": {"shared": []},
        "extensions": {"websocket.http.response": {}},
    }
    assert one == other == expected
    # A copy for each request, and a shallow one.
    assert one["state"] is not other["state"]
    assert one["state"]["shared"] is other["state"]["shared"] is state["shared"]
    assert one["headers"] is not other["headers"]


async def test_the_scope_over_tls_has_addresses_and_the_certificate(
    authority: trustme.CA, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    app = App(accepting)
    theirs = authority.issue_cert("ann@example.org", common_name="ann")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    theirs.configure_cert(context)
    demanding = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(demanding)
    authority.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED
    for tls, client in ((demanding, context), (server_tls, client_tls)):
        async with serving_on_a_port(asgi.handler(app), tls) as port:
            async with open_websocket_url(f"wss://127.0.0.1:{port}/", client) as ws:
                ours = ws.local_address
    scope, anonymous = app.scopes
    assert scope["scheme"] == "wss"
    assert scope["server"][0] == "127.0.0.1"
    assert anonymous["client"] == ours
    assert anonymous["server"] == ("127.0.0.1", port)
    tls = scope["extensions"]["tls"]
    (pem,) = tls["client_cert_chain"]
    sent = theirs.cert_chain_pems[0].bytes().decode()
    assert pem.split() == sent.split()
    assert tls["client_cert_name"].startswith("CN=ann,")
    assert tls["tls_version"] == 0x0304
    assert tls["cipher_suite"] >> 8 == 0x13
    assert anonymous["extensions"]["tls"]["client_cert_chain"] == []
    assert anonymous["extensions"]["tls"]["client_cert_name"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
async def test_the_scope_over_a_unix_socket_has_its_path(tmp_path: Path) -> None:
    app = App(accepting)
    path = str(tmp_path / "s")
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_websocket_unix, asgi.handler(app), path)
        async with open_websocket_url("ws://localhost/", unix_path=path):
            pass
        tasks.cancel_scope.cancel()
    (scope,) = app.scopes
    assert scope["server"] == (path, None)
    assert scope["client"] is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/run/s", ("/run/s", None)),
        (b"\0name\xff", ("\0name\udcff", None)),
        ("", None),
        (("::1", 80), None),
    ],
)
def test_paths_of_unix_sockets(address: Any, expected: Any) -> None:
    assert unix_path(Known({SocketAttribute.local_address: address})) == expected


async def test_the_scope_of_a_stream_of_http2() -> None:
    app = App(accepting)
    ours, theirs = memory_stream_pair()

    async def respond(status: int, headers: Any) -> None:
        assert status == 200

    async with anyio.create_task_group() as tasks:
        asked = await accept_upgrade(
            tasks,
            ours,
            method="CONNECT",
            target="/chat",
            headers=[
                (":protocol", "websocket"),
                (":authority", "example.org"),
                ("sec-websocket-version", "13"),
            ],
            http_version="2",
            respond=respond,
        )
        await theirs.aclose()
        await asgi.handler(app)(asked)
    (scope,) = app.scopes
    assert scope["http_version"] == "2"
    assert scope["headers"][0] == (b"host", b"example.org")


# -- accept, reject ------------------------------------------------------------


async def test_accept_with_a_subprotocol_and_headers() -> None:
    async def app(receive: Receive, send: Send) -> None:
        headers = [[b"x-one", b"1"], (b"x-one", b"2")]
        await send(ACCEPT | {"subprotocol": "b", "headers": headers})
        await receive()

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        async with connect("/", subprotocols=["a", "b"]) as ws:
            assert ws.subprotocol == "b"
            assert ws.handshake_headers == ((b"x-one", b"1"), (b"x-one", b"2"))


async def test_nothing_is_received_before_the_request_is_accepted() -> None:
    received: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        async def read() -> None:
            while True:
                received.append(await receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert received == []
            await send(ACCEPT)

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        async with connect() as ws:
            await ws.send_message("one")
            await ws.aclose(4000, "done")
    assert received == [
        {"type": "websocket.receive", "text": "one"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "done"},
    ]


async def test_a_close_before_accept_is_a_403() -> None:
    events: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await send(CLOSING | {"code": 4000, "reason": "no"})
        events.append(await receive())
        with pytest.raises(OSError, match="the request was rejected"):
            await send(ACCEPT)
        with pytest.raises(OSError, match="was told that it is disconnected"):
            await receive()

    application = App(app)
    async with serve_in_memory(asgi.handler(application)) as connect:
        with pytest.raises(ConnectionRejected) as caught:
            async with connect():
                raise AssertionError
        await application.returned.wait()
    assert (caught.value.status_code, caught.value.body) == (403, b"")
    assert events == [LOST]


async def test_a_response_instead_of_accept() -> None:
    async def app(receive: Receive, send: Send) -> None:
        kind = "websocket.http.response"
        headers = [(b"x", b"1"), (b"content-length", b"4"), (b"connection", b"close")]
        await send({"type": f"{kind}.start", "status": 418, "headers": headers})
        await send({"type": f"{kind}.body", "body": b"tea", "more_body": True})
        with pytest.raises(RuntimeError, match=r"http.response.body was expected, not"):
            await send(ACCEPT)
        await send({"type": f"{kind}.body", "body": b"!"})
        assert await receive() == LOST
        with pytest.raises(OSError, match="rejected"):
            await send({"type": f"{kind}.body"})

    application = App(app)
    async with serve_in_memory(asgi.handler(application)) as connect:
        with pytest.raises(ConnectionRejected) as caught:
            async with connect():
                raise AssertionError
        await application.returned.wait()
    assert caught.value.status_code == 418
    assert caught.value.body == b"tea!"
    assert caught.value.headers == (
        (b"connection", b"close"),
        (b"content-length", b"4"),
        (b"x", b"1"),
    )


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_client_that_does_not_take_the_101(leaves: bool) -> None:
    accepting, accepted = anyio.Event(), anyio.CancelScope()

    async def app(receive: Receive, send: Send) -> None:
        accepting.set()
        if leaves:
            with pytest.raises(asgi.ClientDisconnected, match="1006") as caught:
                await send(ACCEPT)
            assert isinstance(caught.value.__cause__, ConnectionClosed)
        else:
            with accepted:
                await send(ACCEPT)
        assert await receive() == LOST

    application = App(app)
    async with serving(asgi.handler(application), capacity=1) as (listener, _):
        peer = await raw_client(listener)
        await accepting.wait()
        await anyio.wait_all_tasks_blocked()
        if leaves:
            await peer.stream.aclose()
        else:
            accepted.cancel()
        await application.returned.wait()


# -- messages ------------------------------------------------------------------


async def test_texts_and_bytes_in_both_directions() -> None:
    received: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "ü", "bytes": None})
        await send({"type": "websocket.send", "text": None, "bytes": b"\xff"})
        await send({"type": "websocket.send", "text": ""})
        await send({"type": "websocket.send", "bytes": bytearray(), "more": "keys"})
        received.extend([await receive() for _ in range(4)])

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        async with connect() as ws:
            messages: list[str | bytes] = ["ü", b"\xff", "", b""]
            for message in messages:
                await ws.send_message(message)
            assert [message async for message in ws] == messages
    # Exactly one of the keys, as applications look for them.
    assert received == [
        {"type": "websocket.receive", "text": "ü"},
        {"type": "websocket.receive", "bytes": b"\xff"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b""},
    ]


async def test_send_waits_for_the_client_and_nothing_is_read_ahead() -> None:
    large, count = bytes(65536), 20
    sent: list[int] = []
    taken: list[int] = []
    go_on = anyio.Event()

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        for number in range(count):
            await send({"type": "websocket.send", "bytes": large})
            sent.append(number)
        await go_on.wait()
        for _ in range(count):
            assert (await receive())["bytes"] == large

    handler = asgi.handler(App(app))
    async with serving(handler, message_queue_size=1) as (listener, tasks):
        peer = await raw_client(listener)
        assert (await peer.receive_head()).startswith(b"HTTP/1.1 101 ")
        frame = peer.frame(BINARY, large)

        async def send() -> None:
            for number in range(count):
                await peer.stream.send(frame)
                taken.append(number)

        await anyio.wait_all_tasks_blocked()
        assert len(sent) <= 2
        for _ in range(count):
            assert await peer.receive_frame() == Frame(BINARY, large)
        await anyio.wait_all_tasks_blocked()
        assert len(sent) == count
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert len(taken) <= 4
        go_on.set()
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        assert len(taken) == count
        await peer.stream.aclose()


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        ({}, KeyError, "type"),
        ({"type": "websocket.send"}, ValueError, 'either "text" or "bytes"'),
        ({"type": "websocket.send", "text": "", "bytes": b""}, ValueError, "either"),
        ({"type": "websocket.send", "text": b"x"}, TypeError, "must be a str, not byt"),
        ({"type": "websocket.send", "bytes": "x"}, TypeError, "must be bytes, not str"),
        ({"type": "websocket.send", "text": "\ud800"}, ValueError, "surrogates"),
        ({"type": "websocket.close", "code": 999}, ValueError, "999 may not be sent"),
        ({"type": "websocket.close", "code": "1"}, TypeError, "must be an int"),
        ({"type": "websocket.close", "reason": b"x"}, TypeError, "str or None"),
        (ACCEPT, RuntimeError, "websocket.send or websocket.close was expected, not"),
        ({"type": "x"}, RuntimeError, "expected, not x"),
    ],
)
def test_wrong_events_on_an_open_websocket(
    event: dict[str, Any], error: type[Exception], text: str
) -> None:
    anyio.run(_wrong, [ACCEPT], event, error, text)


@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        (
            HELLO,
            RuntimeError,
            "websocket.http.response.start was .* not w",
        ),
        ({"type": "websocket.http.response.body"}, RuntimeError, "expected, not"),
        (ACCEPT | {"subprotocol": "b"}, ValueError, "'b' is not among the 0"),
        (ACCEPT | {"headers": [("x", "1")]}, TypeError, "pairs of bytes"),
        (
            ACCEPT | {"headers": [(b"sec-websocket-protocol", b"x")]},
            ValueError,
            "may not be given",
        ),
    ],
)
def test_wrong_events_before_accept(
    event: dict[str, Any], error: type[Exception], text: str
) -> None:
    anyio.run(_wrong, [], event, error, text)


async def _wrong(
    before: list[Any], event: dict[str, Any], error: type[Exception], text: str
) -> None:
    async def app(receive: Receive, send: Send) -> None:
        for earlier in before:
            await send(earlier)
        with pytest.raises(error, match=text):
            await send(event)
        # Nothing was sent, and the application may go on.
        if not before:
            await send(ACCEPT)
        await send(HELLO)

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        async with connect() as ws:
            assert [message async for message in ws] == ["hello"]
        assert ws.closed == CloseReason(1000, None)


# -- the end -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "closed"),
    [
        (CLOSING, CloseReason(1000, None)),
        (CLOSING | {"reason": None}, CloseReason(1000, None)),
        (CLOSING | {"code": 4321, "reason": "bye"}, CloseReason(4321, "bye")),
    ],
)
async def test_the_application_closes(event: Any, closed: CloseReason) -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(event)
        assert await receive() == {
            "type": "websocket.disconnect",
            "code": closed.code,
            "reason": closed.reason or "",
        }
        for late in (HELLO, CLOSING):
            with pytest.raises(asgi.ClientDisconnected, match="with code") as error:
                await send(late)
            assert error.value.reason == closed

    application = App(app)
    async with serve_in_memory(asgi.handler(application)) as connect:
        async with connect() as ws:
            with pytest.raises(ConnectionClosed):
                await ws.get_message()
        assert ws.closed == closed
    assert application.returned.is_set()


async def test_its_close_is_sent_before_it_is_told_of_it() -> None:
    told = anyio.Event()

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)

        async def read() -> None:  # as Quart does
            await receive()
            told.set()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await send(CLOSING | {"code": 4000})

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        peer = ScriptedPeer(connect.stream(), is_client=True)
        await peer.stream.send(handshake_request())
        await peer.receive_head()
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(4000))
        await anyio.wait_all_tasks_blocked()
        assert not told.is_set()
        await peer.send_close(4000)
        await told.wait()
        await peer.stream.aclose()


@pytest.mark.parametrize("how", ["code", "no code", "lost"])
async def test_the_client_closes(how: str, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        events.append(await receive())
        for late in (HELLO, CLOSING):
            with pytest.raises(asgi.ClientDisconnected):
                await send(late)
        if how == "code":
            await receive()  # an application that does not look ends so

        async def sends() -> None:
            await send(HELLO)

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(sends)

    application = App(app)
    async with serve_in_memory(asgi.handler(application)) as connect:
        peer = ScriptedPeer(connect.stream(), is_client=True)
        await peer.stream.send(handshake_request())
        await peer.receive_head()
        if how == "code":
            await peer.send_close(4000, "bye")
        elif how == "no code":
            await peer.send_frame(CLOSE)
        await peer.stream.aclose()
    code, reason = {"code": (4000, "bye"), "no code": (1005, "")}.get(how, (1006, ""))
    assert events == [{"type": "websocket.disconnect", "code": code, "reason": reason}]
    # What only says that the client is gone is no error of the application.
    assert not application.returned.is_set()
    assert said(caplog) == []


async def test_errors_beside_a_client_that_is_gone() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await receive()

        async def fails() -> None:
            await anyio.lowlevel.cancel_shielded_checkpoint()
            raise LookupError("mine")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, HELLO)
            tasks.start_soon(fails)

    with pytest.raises(LookupError, match="mine"):
        async with serve_in_memory(asgi.handler(App(app))) as connect:
            async with connect():
                pass


async def test_a_client_of_another_request_that_is_gone_is_an_error() -> None:
    others: list[Send] = []

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        others.append(send)
        await receive()
        if len(others) == 2:
            await others[0](HELLO)

    with pytest.raises(asgi.ClientDisconnected):
        async with serve_in_memory(asgi.handler(App(app))) as connect:
            async with connect():
                pass
            async with connect():
                pass


async def test_an_application_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def raises(receive: Receive, send: Send) -> None:
        raise LookupError("early")

    async def raises_later(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise LookupError("late")

    async def closes_for(function: Any) -> CloseReason | None:
        handler = asgi.handler(App(function))
        async with serve_in_memory(handler, handler_errors="log") as connect:
            async with connect() as ws:
                with pytest.raises(ConnectionClosed):
                    await ws.get_message()
            return ws.closed

    with pytest.raises(ConnectionRejected) as caught:
        await closes_for(raises)
    assert caught.value.status_code == 500
    assert await closes_for(raises_later) == CloseReason(1011, None)
    errors = [record.exc_info[1] for record in said(caplog) if record.exc_info]
    assert list(map(str, errors)) == ["early", "late"]


@pytest.mark.parametrize("raises", [True, False])
async def test_a_task_that_goes_on_when_the_application_has_ended(raises: bool) -> None:
    events: list[Any] = []

    async def listen(receive: Receive, send: Send) -> None:
        events.append(await receive())
        for event in (ACCEPT, HELLO):
            with pytest.raises(asgi.ClientDisconnected):
                await send(event)

    async with anyio.create_task_group() as tasks:

        async def app(receive: Receive, send: Send) -> None:
            tasks.start_soon(listen, receive, send)
            await anyio.wait_all_tasks_blocked()
            if raises:
                raise LookupError("early")

        handler = asgi.handler(App(app))
        async with serve_in_memory(handler, handler_errors="log") as connect:
            with pytest.raises(ConnectionRejected, match="500"):
                async with connect():
                    raise AssertionError
    assert events == [LOST]


@pytest.mark.parametrize(
    "events", [[], [{"type": "websocket.http.response.start", "status": 200}]]
)
async def test_an_application_that_says_nothing(
    events: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        with pytest.raises(ConnectionRejected) as caught:
            async with connect():
                raise AssertionError
    assert caught.value.status_code == 500
    (record,) = said(caplog)
    assert record.levelno == logging.ERROR
    assert "returned without sending websocket.accept" in record.getMessage()


async def test_when_the_server_stops() -> None:
    events: list[Any] = []
    ended: list[str] = []

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        events.append(await receive())
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async with running(asgi.handler(App(app))) as server:
        peer = await raw_client(server.listener)
        await peer.receive_head()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.stop, 1012, "again")
            assert (await peer.receive_frame()).payload == close_payload(1012, "again")
            await peer.send_close(1012)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert [(event["code"], event["type"]) for event in events] == [
        (1012, "websocket.disconnect")
    ]
    assert ended == ["cancelled"]


async def test_a_burst_does_not_keep_others_from_running() -> None:
    turns = 0

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while (await receive())["type"] == "websocket.receive":
            pass

    async def count() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with serve_in_memory(asgi.handler(App(app))) as connect:
        peer = ScriptedPeer(connect.stream(), is_client=True)
        await peer.stream.send(handshake_request() + peer.frame(TEXT, b"x") * 1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            await peer.send_close(1000)
            await peer.receive_all()
            await peer.stream.aclose()
            tasks.cancel_scope.cancel()
    assert turns > 10
