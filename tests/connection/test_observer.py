"""What the application and the log are told of connections, on both sides."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionRejected,
    HandshakeError,
    WebSocketEvent,
    WebSocketRequest,
    open_websocket,
    open_websocket_url,
    reconnecting,
)
from anyio_websocket._connection import _observer

from ..support.peer import linked
from ..support.servers import said, serving
from ..support.sockets import resetting_server

ACCESS = "anyio_websocket.access"


def access_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == ACCESS]


@pytest.mark.parametrize("is_client", [True, False])
async def test_a_connection_opens_and_closes(is_client: bool) -> None:
    events: list[WebSocketEvent] = []
    option: dict[str, Any] = {"on_event": events.append}

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        assert is_client or len(events) == 1
        await connection.get_message()
        await connection.aclose(1001, "bye")

    async with serving(handler, **{} if is_client else option) as port:
        async with open_websocket(
            *("127.0.0.1", port, "/"), use_ssl=False, **option if is_client else {}
        ) as ws:
            await ws.send_message("hello")
            await ws.wait_closed()
    opened, closed, *_ = events
    assert opened.kind == "open"
    assert opened.connection is not None
    assert opened.connection.is_client == is_client
    assert opened.remote == opened.connection.remote
    assert (opened.request is None) == is_client
    assert is_client or opened.request.path == "/"
    assert closed.kind == "close"
    assert closed.connection is opened.connection
    assert closed.closed == closed.sent == closed.received == CloseReason(1001, "bye")
    assert closed.duration is not None
    assert 0 <= closed.duration < 30
    assert closed.error is None
    # It is closed to the last byte: the numbers do not change any more.
    numbers = closed.connection.statistics()
    assert numbers.bytes_sent == (11 + 11 if is_client else 7)


async def test_a_client_is_told_of_each_attempt_that_failed() -> None:
    events: list[WebSocketEvent] = []

    async def handler(request: WebSocketRequest) -> None:
        if len(events) < 2:
            await request.reject(503)
        else:
            await request.accept()

    async def session(ws: object) -> None:
        assert events[-1].connection is ws

    async with serving(handler) as port:
        url = f"ws://127.0.0.1:{port}/?token=secret"

        async def connect(attempt: Any) -> tuple[str, dict[str, Any]]:
            return url, {"on_event": events.append}

        await reconnecting(connect, session, delays=lambda: iter([0.0] * 9))
        failed = events[:2]
        assert [event.kind for event in events] == ["fail", "fail", "open", "close"]
        for event in failed:
            assert event.status_code == 503
            assert isinstance(event.error, ConnectionRejected)
            assert "secret" not in repr(event)
    events.clear()
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket_url(url, on_event=events.append):
            raise AssertionError
    (event,) = events
    assert event.kind == "fail"
    assert event.status_code is None
    assert event.error in (caught.value, caught.value.__cause__)


async def test_a_lost_connection_says_why() -> None:
    events: list[WebSocketEvent] = []
    async with resetting_server(lambda asked: b"") as port:
        with pytest.raises(HandshakeError):
            async with open_websocket(
                *("127.0.0.1", port, "/"), use_ssl=False, on_event=events.append
            ):
                raise AssertionError
    assert [event.kind for event in events] == ["fail"]


@pytest.mark.virtual_time
async def test_a_function_that_raises_ends_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 5.0
    monkeypatch.setattr(_observer, "monotonic", lambda: now)
    _observer._throttles.clear()

    def fail(event: WebSocketEvent) -> None:
        raise KeyError(event.kind)

    observer = _observer.Observer(fail)
    observer.full("max_connections")
    observer.full("max_connections")
    observer.failed(OSError())
    now += _observer.LOG_INTERVAL
    observer.full("max_connections")
    records = said(caplog)
    kinds = [str(record.exc_info[1]) for record in records if record.exc_info]
    assert kinds == ["'full'", "'fail'", "'full'"]
    assert "on_event raised when it was told of" in records[0].message
    async with linked(client={"on_event": fail}) as (client, server):
        await client.send_message("hello")
        assert await server.get_message() == "hello"
    assert client.closed == CloseReason(1000, None)
    await client.wait_closed()


@pytest.mark.virtual_time
async def test_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")
    secrets = {"auth": ("me", "secret"), "cookies": {"session": "secret"}}
    async with linked(client=secrets) as (client, server):
        await client.send_message("secret")
        await server.get_message()
        await server.aclose(4000, "secret")
    opened, other, *closed = access_lines(caplog)
    assert sorted([opened, other]) == sorted(
        f"{ws}: open, peer {ws.remote}, path '/'" for ws in (client, server)
    )
    assert len(closed) == 2
    for line in closed:
        name = client if line.startswith("client") else server
        sent, received = (26, 10) if name is client else (10, 26)
        assert line.startswith(f"{name}: closed with 4000 (PRIVATE_RESERVED) after 0.")
        assert line.endswith(f" s, {sent} bytes sent, {received} received")
    assert "secret" not in caplog.text


async def test_no_line_has_a_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")

    async def handler(request: WebSocketRequest) -> None:
        if request.path.startswith("/no"):
            await request.reject(403)
        else:
            await request.accept()

    async with serving(handler) as port:
        url = f"ws://me:secret@127.0.0.1:{port}"
        async with open_websocket_url(f"{url}/yes?token=secret"):
            pass
        with pytest.raises(ConnectionRejected):
            async with open_websocket_url(f"{url}/no?token=secret"):
                raise AssertionError
    lines = access_lines(caplog)
    assert len([line for line in lines if line.endswith("path '/yes'")]) == 2
    (line,) = [line for line in lines if "/no" in line]
    assert line.endswith(": the request for '/no' is rejected with status 403")
    assert "secret" not in caplog.text


async def coroutine(event: WebSocketEvent) -> None:
    """Be something that nobody would await."""


@pytest.mark.parametrize("value", [coroutine, 5])
def test_on_event_is_a_plain_function(value: Any) -> None:
    with pytest.raises(TypeError, match=r"on_event must be a plain function of the ev"):
        open_websocket("localhost", 1, "/", use_ssl=False, on_event=value)
