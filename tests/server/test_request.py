"""A request, and its answer by a handler."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketRequest,
    open_websocket,
    serve_websocket,
    wrap_server_stream,
)
from anyio_websocket.testing import (
    Frame,
    ScriptedPeer,
    handshake_request,
    memory_stream_pair,
)

from ..support.frames import CLOSE, TEXT, close_payload
from ..support.memory_servers import accepted_client, raw_client, serving, status_of


@pytest.mark.virtual_time
async def test_A12_invalid_responses_are_an_error() -> None:
    async def handler(request: WebSocketRequest) -> None:
        for wrong in ({"subprotocol": "c"}, {"extra_headers": [("X", "a\r\nb")]}):
            with pytest.raises(ValueError):  # noqa: PT011
                await request.accept(**wrong)
        for status_code in (101, 199):
            with pytest.raises(ValueError, match=str(status_code)):
                await request.reject(status_code)
        with pytest.raises(ValueError, match="no body"):
            await request.reject(204, body=b"x")
        await request.accept(subprotocol="c")  # out of the handler

    async with serving(handler) as (listener, _):
        peer = await raw_client(listener)
        assert status_of(await peer.receive_all()) == 500


@pytest.mark.virtual_time
async def test_A21_headers_host_and_origin() -> None:
    asked: list[WebSocketRequest] = []

    async def handler(request: WebSocketRequest) -> None:
        asked.append(request)
        await request.reject(404)

    async with serving(handler) as (listener, _):
        for data in (
            handshake_request(
                b"X-Forwarded-For: 192.0.2.1",
                b"X-Latin: \xe9",
                b"x-forwarded-FOR: 192.0.2.2",
                b"X-Empty:",
                b"Origin: https://example.org:8443",
                b"Sec-WebSocket-Protocol: a",
                b"Sec-WebSocket-Protocol: b, c",
            ),
            handshake_request(line=b"GET ws://[::1]:8000/?q HTTP/1.1"),
        ):
            peer = await raw_client(listener, data)
            assert status_of(await peer.receive_all()) == 404
    first, second = asked
    assert first.header("X-FORWARDED-For") == "192.0.2.1, 192.0.2.2"
    assert first.header(b"X-Latin") == "\xe9"
    assert first.header("x-empty") == ""
    assert first.header("x-other") is None
    assert first.header("Origin") == first.origin == "https://example.org:8443"
    assert first.header("HOST") == first.host == "example.org"
    assert first.header("sec-websocket-protocol") == "a, b, c"
    assert second.header("sec-websocket-protocol") is None
    assert second.header("host") == second.host == "[::1]:8000"
    assert second.path == "/?q"
    assert second.origin is None


@pytest.mark.virtual_time
async def test_A13_frames_before_the_response_arrive() -> None:
    got: list[str | bytes] = []
    may_accept = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await may_accept.wait()
        ws = await request.accept()
        got.extend([message async for message in ws])

    async with serving(handler, capacity=1000) as (listener, tasks):
        peer = ScriptedPeer(listener.connect(), is_client=True)
        early = peer.frame(TEXT, b"early")
        await peer.stream.send(handshake_request() + early[:4])

        async def send() -> None:
            await peer.stream.send(early[4:])
            for i in range(100):
                await peer.send_frame(TEXT, b"%d" % i + b"." * 100)
            await peer.send_close(1000)

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        may_accept.set()
        await peer.receive_head()
        await peer.receive_frames()
    assert got == ["early", *(f"{i}" + "." * 100 for i in range(100))]


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["returns", "raises", "cancelled"])
async def test_A14_a_handler_that_does_not_respond(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        if how == "raises":
            raise RuntimeError("oops")
        if how == "cancelled":
            await anyio.sleep_forever()

    async with serving(handler) as (listener, tasks):
        peer = await raw_client(listener)
        await anyio.wait_all_tasks_blocked()
        if how == "cancelled":
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert status_of(await peer.receive_all()) == 503
                await peer.stream.aclose()
        else:
            assert status_of(await peer.receive_all()) == 500
    assert ("oops" in caplog.text) == (how == "raises")


@pytest.mark.virtual_time
async def test_A14_a_client_that_leaves_while_the_handler_decides() -> None:
    outcome: list[BaseException] = []
    decide = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        await decide.wait()
        try:
            ws = await request.accept()
            await ws.get_message()
        except ConnectionClosed as exc:
            outcome.append(exc)
            raise

    async with serving(handler, handler_errors="raise") as (listener, _):
        reset = await raw_client(listener)
        left = await raw_client(listener)
        await anyio.wait_all_tasks_blocked()
        reset.stream.reset()  # type: ignore[attr-defined]
        await left.stream.send_eof()
        decide.set()
        await left.receive_all()
        await anyio.wait_all_tasks_blocked()
    reasons = [exc.reason for exc in outcome if isinstance(exc, ConnectionClosed)]
    assert reasons == [CloseReason(1006, None)] * 2
    assert any(isinstance(exc.__cause__, anyio.BrokenResourceError) for exc in outcome)


@pytest.mark.virtual_time
async def test_A14_a_client_that_does_not_read_the_response() -> None:
    async def accepts(request: WebSocketRequest) -> None:
        await request.accept()

    async def rejects(request: WebSocketRequest) -> None:
        await request.reject(400)

    for handler in (accepts, rejects):
        async with serving(handler, capacity=200, handler_errors="raise") as (
            listener,
            tasks,
        ):
            peer = ScriptedPeer(listener.connect(), is_client=True)
            # The pipe towards the client is full before the answer.
            peer.stream._incoming.data += bytes(200)  # type: ignore[attr-defined]
            tasks.start_soon(peer.stream.send, handshake_request())
            started = anyio.current_time()
            while not peer.stream._outgoing.deaf:  # type: ignore[attr-defined]
                await anyio.sleep(0.5)
            assert anyio.current_time() - started == pytest.approx(10, abs=1)


@pytest.mark.virtual_time
async def test_cancelling_accept_closes_the_stream() -> None:
    ours, theirs = memory_stream_pair(capacity=100)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(theirs.send, handshake_request())
        asked = await wrap_server_stream(tasks, ours)
        with anyio.move_on_after(1) as scope:
            await asked.accept()
        assert scope.cancelled_caught
        assert ours.closed


@pytest.mark.virtual_time
async def test_a_request_has_one_response() -> None:
    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/accept":
            await request.accept()
        else:
            await request.reject(400)
        for again in (request.accept, partial(request.reject, 400)):
            with pytest.raises(RuntimeError, match="already accepted or rejected"):
                await again()

    async with serving(handler, handler_errors="raise") as (listener, _):
        for path in (b"/accept", b"/reject"):
            peer = await raw_client(
                listener, handshake_request(line=b"GET " + path + b" HTTP/1.1")
            )
            head = await peer.receive_head()
            assert status_of(head) == (101 if path == b"/accept" else 400)
            await peer.stream.aclose()
            await anyio.wait_all_tasks_blocked()


async def test_reject() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(
            401, extra_headers=[("WWW-Authenticate", "Basic")], body=b"who are you?"
        )

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, handler, "127.0.0.1", 0, None)
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket("127.0.0.1", server.port, "/", use_ssl=False):
                pass
        assert caught.value.status_code == 401
        assert (b"www-authenticate", b"Basic") in caught.value.headers
        assert caught.value.body == b"who are you?"
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_the_attributes_of_a_request() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        assert asked.path == "/a%20b?c"
        assert asked.proposed_subprotocols == ("x", "y")
        assert (b"cookie", b"z") in asked.headers
        assert "MemoryStream" in str(asked.local)
        assert "MemoryStream" in str(asked.remote)
        assert asked.local_address is asked.remote_address is None
        asked.headers.clear()
        assert asked.headers  # a list of the caller's own
        ws = await asked.accept(subprotocol="y")
        assert (ws.path, ws.subprotocol) == (asked.path, "y")

    async with serving(handler, handler_errors="raise") as (listener, _):
        peer = await raw_client(
            listener,
            handshake_request(
                b"Sec-WebSocket-Protocol: x, y",
                b"Cookie: z",
                line=b"GET /a%20b?c HTTP/1.1",
            ),
        )
        assert b"sec-websocket-protocol: y" in (await peer.receive_head()).lower()
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await peer.send_close(1000)
        assert await peer.receive_all() == b""
        await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_select_subprotocol() -> None:
    async def handler(asked: WebSocketRequest) -> None:
        for ours, selected in (
            (["y", "x"], "y"),
            (iter(["z", "x", "y"]), "x"),
            (["z"], None),
            (["X"], None),  # upper and lower case differ
            ([], None),
        ):
            assert asked.select_subprotocol(ours) == selected
        text: Any = "x"
        with pytest.raises(TypeError, match="must be a list of str, not a str"):
            asked.select_subprotocol(text)
        with pytest.raises(ValueError, match="is not a token of HTTP"):
            asked.select_subprotocol(["a", "x,y"])
        await asked.accept(subprotocol=asked.select_subprotocol(["z"]))

    async with serving(handler, handler_errors="raise") as (listener, _):
        peer = await raw_client(
            listener, handshake_request(b"Sec-WebSocket-Protocol: x, y")
        )
        head = await peer.receive_head()
        assert status_of(head) == 101
        assert b"sec-websocket-protocol" not in head.lower()
        await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_G3_a_response_that_cannot_be_sent_ends_the_handshake() -> None:
    decide = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/lost":
            await decide.wait()
        await request.accept()
        await anyio.sleep_forever()

    async with serving(handler, max_pending_handshakes=1) as (listener, _):
        lost = await raw_client(listener, handshake_request(line=b"GET /lost HTTP/1.1"))
        await anyio.wait_all_tasks_blocked()
        lost.stream.reset()  # type: ignore[attr-defined]
        decide.set()
        with anyio.fail_after(1):
            await accepted_client(listener)  # there is a slot for it


async def test_a_request_shows_what_it_is_for_and_no_secrets() -> None:
    ours, theirs = memory_stream_pair()
    head = handshake_request(b"Cookie: secret", line=b"GET /a?token=secret HTTP/1.1")
    await theirs.send(head)
    async with anyio.create_task_group() as tasks:
        request = await wrap_server_stream(tasks, ours)
        assert repr(request) == f"<WebSocketRequest for '/a' by {ours!r}>"
        await request.reject(404)
