"""A server in memory, as a test of an application uses it."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from anyio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    Endpoint,
    HandshakeError,
    HTTPRequest,
    HTTPResponse,
    WebSocketRequest,
)
from anyio_websocket.testing import serve_in_memory


async def handler(request: WebSocketRequest) -> None:
    """Echo; some messages and some paths have an effect of their own."""
    if request.path == "/no":
        await request.reject(403, extra_headers={"X-Why": "no"}, body=b"not you")
        return
    if request.path == "/crash":
        raise LookupError("before it was accepted")
    chosen = request.select_subprotocol(["chat"])
    connection = await request.accept(subprotocol=chosen)
    try:
        async for message in connection:
            if message == "crash":
                raise LookupError("after it was accepted")
            if message == "stay":
                await anyio.sleep_forever()
            await connection.send_message(message)
    finally:
        if request.path == "/crash-late":
            raise LookupError("when the connection had ended")


async def test_a_connection_is_as_over_the_network() -> None:
    seen: list[WebSocketRequest] = []

    async def look(request: WebSocketRequest) -> None:
        seen.append(request)
        await handler(request)

    async with serve_in_memory(look, max_message_size=5) as connect:
        async with connect(
            "/path?x=1", subprotocols=["other", "chat"], extra_headers={"X-A": "b"}
        ) as connection:
            assert connection.subprotocol == "chat"
            assert len(connect.server.connections) == 1
            await connection.send_message("hello")
            assert await connection.get_message() == "hello"
            await connection.send_message("too long")
            with pytest.raises(ConnectionClosed, match="1009"):
                await connection.get_message()
            local, remote = connection.local, connection.remote
        assert connect.server.statistics().accepted == 1
    (request,) = seen
    assert request.path == "/path?x=1"
    assert request.header("X-A") == "b"
    assert request.host == "localhost"
    assert request.remote == local == Endpoint("127.0.0.1", 49_152, False)
    assert request.local == remote == Endpoint("127.0.0.1", 80, False)


async def test_a_rejection_is_an_exception_of_the_client() -> None:
    async with serve_in_memory(handler) as connect:
        with pytest.raises(ConnectionRejected) as caught:
            async with connect("/no"):
                raise AssertionError
    assert caught.value.status_code == 403
    assert caught.value.body == b"not you"
    assert (b"x-why", b"no") in caught.value.headers


async def test_plain_http() -> None:
    async def answer(request: HTTPRequest) -> HTTPResponse:
        text = f"{request.method} {request.target} {request.header('X-A')}"
        return HTTPResponse(201, text.encode() + request.body, {"X-B": "c"})

    async with serve_in_memory(handler, http_handler=answer) as connect:
        response = await connect.request(
            "POST", "/a?b", headers={"X-A": "b"}, body=b"\0" * 10_000
        )
    assert response == HTTPResponse(
        201, b"POST /a?b b" + b"\0" * 10_000, [("x-b", "c")]
    )
    async with serve_in_memory(handler) as connect:
        assert (await connect.request("GET")).status_code == 400


@pytest.mark.parametrize("path", ["/crash", "/", "/crash-late"])
async def test_an_exception_of_the_handler_ends_the_block(path: str) -> None:
    with pytest.raises(LookupError):
        async with serve_in_memory(handler) as connect:
            with suppress(ConnectionClosed, ConnectionRejected):
                async with connect(path) as connection:
                    if path == "/":
                        await connection.send_message("crash")
                        await connection.get_message()
            await anyio.sleep_forever()


async def test_what_the_client_saw_of_it_is_the_cause() -> None:
    with pytest.raises(LookupError) as caught:
        async with serve_in_memory(handler) as connect, connect() as connection:
            await connection.send_message("crash")
            await connection.get_message()
    assert isinstance(caught.value.__cause__, ConnectionClosed)
    assert caught.value.__cause__.reason is not None
    assert caught.value.__cause__.reason.code == 1011


async def test_exceptions_of_several_handlers_stay_together() -> None:
    both = anyio.Event()

    async def crash(request: WebSocketRequest) -> None:
        await request.accept()
        if request.path == "/2":
            both.set()
        await both.wait()
        raise LookupError(request.path)

    with pytest.raises(ExceptionGroup) as caught:
        async with serve_in_memory(crash) as connect:
            async with connect("/1"), connect("/2"):
                await anyio.sleep_forever()
    assert {str(exc) for exc in caught.value.exceptions} == {"/1", "/2"}


async def test_exceptions_are_logged_instead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve_in_memory(handler, handler_errors="log") as connect:
        with pytest.raises(ConnectionRejected, match="500"):
            async with connect("/crash"):
                raise AssertionError
        async with connect() as connection:  # it still serves
            await connection.send_message("hello")
            assert await connection.get_message() == "hello"
    assert "before it was accepted" in caplog.text


async def test_the_exception_of_the_block_comes_out_as_it_is() -> None:
    error = ExceptionGroup("of the block", [KeyError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with serve_in_memory(handler) as connect, connect() as connection:
            await connection.send_message("stay")  # the handler is cancelled
            raise error
    assert caught.value is error


async def test_both_exceptions_come_out() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with serve_in_memory(handler) as connect, connect("/crash-late"):
            raise KeyError
    assert [type(exc) for exc in caught.value.exceptions] == [KeyError, LookupError]


@pytest.mark.virtual_time
async def test_a_handler_that_does_not_end_is_cancelled() -> None:
    started = anyio.current_time()
    async with serve_in_memory(handler) as connect:
        async with connect() as connection:
            await connection.send_message("stay")
    assert anyio.current_time() - started == pytest.approx(1, abs=0.1)


async def test_the_block_is_cancelled() -> None:
    with anyio.CancelScope() as scope:
        async with serve_in_memory(handler) as connect, connect() as connection:
            scope.cancel()
            await connection.get_message()
    assert scope.cancelled_caught
    assert connection.closed is not None


@pytest.mark.parametrize("fails", [False, True])
async def test_an_exception_of_the_handler_when_the_block_is_cancelled(
    fails: bool,
) -> None:
    error = KeyError()
    expected = (ExceptionGroup, LookupError)
    with anyio.CancelScope() as scope, pytest.raises(expected) as caught:
        async with serve_in_memory(handler) as connect, connect("/crash-late"):
            scope.cancel()
            if fails:
                raise error
            await anyio.sleep_forever()
    if fails:
        assert isinstance(caught.value, ExceptionGroup)
        assert caught.value.exceptions[0] is error
        late = caught.value.exceptions[1]
    else:
        late = caught.value
    assert type(late) is LookupError
    assert str(late) == "when the connection had ended"


async def test_nobody_connects_when_the_server_has_stopped() -> None:
    async with serve_in_memory(handler) as connect:
        await connect.server.aclose()
        with pytest.raises(HandshakeError, match="has stopped"):
            async with connect():
                raise AssertionError
        with pytest.raises(HandshakeError, match="has stopped"):
            await connect.request("GET")


async def test_what_is_wrong_is_said_at_the_call() -> None:
    with pytest.raises(TypeError, match=r"^serve_in_memory\(\).*Did you mean"):
        serve_in_memory(handler, max_mesage_size=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="handler"):
        serve_in_memory(None)  # type: ignore[arg-type]
    async with serve_in_memory(handler) as connect:
        with pytest.raises(ValueError, match=r"^connect\(\): max_message_size"):
            connect("/", max_message_size=0)
        with pytest.raises(TypeError, match=r"^connect\(\).*proxy"):
            connect("/", proxy=None)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="resource"):
            connect("no slash")
