"""ASGI applications as http_handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from anyio_websocket import Endpoint, HTTPRequest, HTTPResponse, asgi
from anyio_websocket.asgi._scope import http_scope

from ..support.memory_servers import raw_client, serving, status_of

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

REQUEST = HTTPRequest("POST", "/", (), b"body")
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"ok"}


def start(status: int = 200) -> dict[str, Any]:
    headers = [(b"x", b"1"), (b"content-length", b"2")]
    return {"type": "http.response.start", "status": status, "headers": headers}


def answered(
    function: Callable[[Receive, Send], Awaitable[None]], **options: Any
) -> HTTPResponse:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await function(receive, send)

    return anyio.run(asgi.http_handler(app, **options), REQUEST)


async def test_a_page_and_a_websocket_on_one_port() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scopes.append(scope)
        assert await receive() == {
            "type": "http.request",
            "body": b"a=1",
            "more_body": False,
        }
        await send(start(201))
        await send(BODY)
        assert await receive() == {"type": "http.disconnect"}

    state: dict[str, Any] = {"pool": []}
    handler = asgi.http_handler(app, state=state, root_path="/x")

    async def reject(request: Any) -> None:
        raise AssertionError

    async with serving(reject, http_handler=handler) as (listener, _):
        peer = await raw_client(
            listener,
            b"POST /x/%C3%BC?q=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n"
            b"Content-Length: 3\r\n\r\na=1",
        )
        response = await peer.receive_all()
        await peer.stream.aclose()
    assert status_of(response) == 201
    assert response.endswith(b"\r\n\r\nok")
    assert response.lower().count(b"content-length: 2\r\n") == 1
    (scope,) = scopes
    assert scope.pop("state")["pool"] is state["pool"]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/x/ü",
        "raw_path": b"/x/%C3%BC",
        "query_string": b"q=1",
        "root_path": "/x",
        "headers": [
            (b"host", b"a"),
            (b"x", b"1"),
            (b"x", b"2"),
            (b"content-length", b"3"),
        ],
        "client": None,
        "server": None,
        "extensions": {},
    }


@pytest.mark.parametrize(("is_ssl", "scheme"), [(True, "https"), (False, "http")])
def test_the_scope_has_the_addresses_and_the_scheme(is_ssl: bool, scheme: str) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert (scope["client"], scope["scheme"]) == (("127.0.0.1", 5), scheme)
        assert scope["server"] == ("::1", 8765)
        await send(start())
        await send(BODY)

    remote, local = (Endpoint(*at, is_ssl) for at in (("127.0.0.1", 5), ("::1", 8765)))
    request = HTTPRequest("GET", "/", remote=remote, local=local)
    assert anyio.run(asgi.http_handler(app), request).body == b"ok"


@pytest.mark.parametrize(
    ("local", "server"), [("/run/a", ("/run/a", None)), ("<a stream>", None)]
)
def test_the_scope_has_the_path_of_a_unix_socket(local: str, server: object) -> None:
    request = HTTPRequest("GET", "/", local=local)
    assert http_scope(request, None, "")["server"] == server


def test_what_comes_after_the_response_is_ignored() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(start())
        await send(BODY)
        for late in (start(500), BODY, {"type": "x"}):
            await send(late)

    response = answered(app)
    assert (response.status_code, response.body) == (200, b"ok")
    assert response.headers == ((b"x", b"1"),)


def test_http_disconnect_waits_for_the_response() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                assert await receive() == {"type": "http.disconnect"}
                tasks.cancel_scope.cancel()

            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            await send(start())
            await send(BODY)
            await anyio.sleep_forever()

    assert answered(app).body == b"ok"


@pytest.mark.parametrize("events", [[], [start()], [start(), BODY | {"more_body": 1}]])
def test_without_a_whole_response(events: list[Any]) -> None:
    async def app(receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    with pytest.raises(RuntimeError, match="returned without sending a whole response"):
        answered(app)


def test_wrong_events() -> None:
    async def app(receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match=r"http.response.start was expected"):
            await send(BODY)
        await send(start())
        with pytest.raises(RuntimeError, match=r"http.response.body was expected"):
            await send(start())
        await send(BODY)

    assert answered(app).status_code == 200


def test_a_stream_without_end_is_an_error() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(start())
        while True:
            await send(BODY | {"more_body": True})

    with pytest.raises(RuntimeError, match="more than 1000 bytes"):
        answered(app, max_response_body=1000)


def test_an_application_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def early(receive: Receive, send: Send) -> None:
        await send(start())
        raise LookupError("early")

    async def late(receive: Receive, send: Send) -> None:
        await send(start(500))
        await send(BODY)
        raise LookupError("late")

    with pytest.raises(LookupError, match="early"):
        answered(early)
    assert answered(late).status_code == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "late"


async def test_a_cancellation_after_the_response(
    anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def late(scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(BODY)
        if anyio_backend_name == "asyncio":
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task

    async def cancelled(app_scope: Any, receive: Receive, send: Send) -> None:
        await send(start())
        await send(BODY)
        scope.cancel()
        await anyio.sleep_forever()

    assert (await asgi.http_handler(late)(REQUEST)).body == b"ok"
    logged = [record.getMessage() for record in caplog.records]
    text = "the ASGI application raised after its response"
    assert logged == [text] * (anyio_backend_name == "asyncio")
    with anyio.CancelScope() as scope:
        await asgi.http_handler(cancelled)(REQUEST)
        raise AssertionError
    assert scope.cancelled_caught


@pytest.mark.parametrize(("limit", "error"), [(0, ValueError), ("1", TypeError)])
def test_a_limit_that_cannot_work(limit: Any, error: type[Exception]) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        raise AssertionError

    with pytest.raises(error, match="max_response_body"):
        asgi.http_handler(app, max_response_body=limit)
