"""Plain HTTP on the port of a server: one answer, and the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    HTTPRequest,
    HTTPResponse,
    WebSocketServer,
    healthz,
    serve_websocket,
)
from anyio_websocket.testing import (
    Frame,
    MemoryListener,
    ScriptedPeer,
    handshake_request,
)

from ..support.backends import under_asyncio
from ..support.frames import TEXT
from ..support.memory_servers import (
    accepted_client,
    raw_client,
    serving,
    status_of,
)
from ..support.servers import connected, echo, said
from ..support.servers import serving as serving_tcp
from ..support.streams import failing

GET = b"GET /healthz HTTP/1.1\r\nHost: example.org\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: %d\r\n%b\r\n"


async def mirror(request: HTTPRequest) -> HTTPResponse:
    """Answer with what was asked."""
    text = f"{request.method} {request.path} {request.remote}\n".encode()
    return HTTPResponse(200, text + request.body, {"X": request.header("x") or ""})


async def waits(request: HTTPRequest) -> HTTPResponse:
    await anyio.sleep_forever()
    raise AssertionError


async def asked(listener: MemoryListener, data: bytes) -> bytes:
    """Ask, and return the whole answer."""
    peer = await raw_client(listener, data)
    answer = await peer.receive_all()
    await peer.stream.aclose()
    await anyio.wait_all_tasks_blocked()
    return answer


async def test_A7_one_answer_and_the_end() -> None:
    async with serving_tcp(http_handler=mirror, max_request_body=10_000) as port:
        for data, body in (
            (GET, b""),
            (POST % (5, b"X: y\r\n") + b"hello", b"hello"),
            (POST % (9000, b"") + bytes(9000), bytes(9000)),
        ):
            async with connected(
                port, data + b"GET /smuggled HTTP/1.1\r\n\r\n"
            ) as peer:
                with anyio.fail_after(5):
                    answer = await peer.receive_all()
            head, _, rest = answer.partition(b"\r\n\r\n")
            method, path = data.split(b" ", 2)[:2]
            start = b"%b %b " % (method, path)
            assert rest.startswith(start)
            assert rest.endswith(b"\n" + body)
            assert b"127.0.0.1" in rest
            assert answer.count(b"HTTP/1.1 ") == 1
            for line in (b"Connection: close", b"Content-Length: %d" % len(rest)):
                assert line in head.split(b"\r\n")
        async with connected(port, handshake_request()) as peer:
            await peer.receive_head()
            await peer.send_frame(TEXT, b"x")
            assert await peer.receive_frame() == Frame(TEXT, b"x")


@pytest.mark.virtual_time
async def test_A20_answers_without_a_body() -> None:
    async def handler(request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(int(request.path[1:]), b"x" * (request.path == "/200"))

    async with serving(echo, http_handler=handler) as (listener, _):
        for line, lines in (
            (b"HEAD /200", [b"HTTP/1.1 200 OK", b"Content-Length: 1"]),
            (b"GET /404", [b"HTTP/1.1 404 Not Found", b"Content-Length: 0"]),
            (b"HEAD /404", [b"HTTP/1.1 404 Not Found"]),
            (b"GET /204", [b"HTTP/1.1 204 No Content"]),
            (b"HEAD /304", [b"HTTP/1.1 304 Not Modified"]),
        ):
            answer = await asked(listener, line + b" HTTP/1.0\r\n\r\n")
            head = [*lines[:1], b"Connection: close", *lines[1:], b"", b""]
            assert answer == b"\r\n".join(head)
        # A rejection has no body either.
        answer = await asked(listener, b"HEAD * HTTP/1.0\r\n\r\n")
        assert status_of(answer) == 400
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.virtual_time
async def test_without_it_nothing_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")
    async with serving(echo, max_request_body=5) as (listener, _):
        assert status_of(await asked(listener, GET)) == 400
        assert status_of(await asked(listener, POST % (0, b""))) == 405
    assert len(said(caplog)) == 2


@pytest.mark.virtual_time
async def test_a_client_that_waits_for_a_100() -> None:
    async with serving(echo, http_handler=mirror, max_request_body=5) as (listener, _):
        expects = b"Expect: 100-continue\r\n"
        peer = await raw_client(listener, POST % (5, expects))
        assert await peer.receive_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.stream.send(b"hello")
        assert (await peer.receive_all()).endswith(b"\nhello")
        await peer.stream.aclose()
        # It is not asked for a body that is not wanted.
        assert status_of(await asked(listener, POST % (6, expects))) == 413


@pytest.mark.virtual_time
async def test_a_body_of_tiny_chunks_lets_other_tasks_run() -> None:
    """It comes with one read, and takes h11 ten milliseconds."""
    passes = 0

    async def count() -> None:
        nonlocal passes
        while True:
            await anyio.lowlevel.checkpoint()
            passes += 1

    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"1\r\nx\r\n" * 1300 + b"0\r\n\r\n"
    async with serving(echo, http_handler=mirror) as (listener, _):
        async with anyio.create_task_group() as tasks:
            peer = await raw_client(listener, data)
            tasks.start_soon(count)
            with anyio.fail_after(5):
                answer = await peer.receive_all()
            tasks.cancel_scope.cancel()
            await peer.stream.aclose()
    assert answer.endswith(b"\n" + b"x" * 1300)
    assert passes > len(data) // 1024


@pytest.mark.virtual_time
async def test_A1_A2_clients_that_do_not_finish_their_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")
    async with serving(echo, http_handler=mirror) as (listener, _):
        peer = await raw_client(listener, POST % (100, b""))
        started = anyio.current_time()
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await peer.stream.send(b"x")
                await anyio.sleep(1)
        assert anyio.current_time() - started == pytest.approx(10, abs=1)
        leaver = await raw_client(listener, POST % (100, b"") + b"half")
        await leaver.stream.send_eof()
        assert await leaver.receive_all() == b""
        assert anyio.current_time() - started < 12
    assert [record.levelno for record in said(caplog)] == [logging.DEBUG] * 2


@pytest.mark.virtual_time
async def test_A7_an_answer_is_not_lost_to_a_reset() -> None:
    # The client goes on sending what nobody reads.
    async with serving(echo, http_handler=mirror, max_request_body=5) as (listener, _):
        for data, status_code in (
            (POST % (9999, b""), 413),
            (POST % (5, b"") + b"hello", 200),
        ):
            peer = await raw_client(listener, data)
            started = anyio.current_time()
            assert status_of(await peer.receive_head()) == status_code
            with pytest.raises(anyio.BrokenResourceError):
                while True:
                    await peer.stream.send(b"x" * 100)
                    await anyio.sleep(0.1)
            assert anyio.current_time() - started < 3


# -- the handler ---------------------------------------------------------------


async def raises(request: HTTPRequest) -> HTTPResponse:
    raise RuntimeError("secret")


async def returns_nothing(request: HTTPRequest) -> None:
    pass


def not_async(request: HTTPRequest) -> HTTPResponse:
    return HTTPResponse(200)


async def splits(request: HTTPRequest) -> HTTPResponse:
    return HTTPResponse(200, b"", {"X": "a\r\nSet-Cookie: b"})


def passes_on(request: HTTPRequest) -> Awaitable[HTTPResponse]:
    return mirror(request)


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (raises, "RuntimeError: secret"),
        (
            returns_nothing,
            "http_handler must return an HTTPResponse, not NoneType",
        ),
        (not_async, 'it returned HTTPResponse without "await": write "async def"'),
        (splits, "the value of header 'X' has control characters"),
    ],
)
async def test_A12_A14_a_handler_that_fails_is_logged_and_answered(
    handler: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(echo, http_handler=handler) as (listener, _):
        answer = await asked(listener, GET)
        assert status_of(answer) == 500
        assert answer.endswith(b"Content-Length: 0\r\n\r\n")
        await accepted_client(listener)  # the server goes on
    [record] = said(caplog)
    assert "the http_handler raised" in record.getMessage()
    assert text in caplog.text


@pytest.mark.virtual_time
async def test_A14_a_handler_that_may_end_the_server() -> None:
    options: Any = {"http_handler": raises, "handler_errors": "raise"}
    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="secret"), flatten_subgroups=True
    ):
        async with serving(echo, **options) as (listener, _):
            peer = await raw_client(listener, GET)
            assert status_of(await peer.receive_all()) == 500
            await peer.stream.aclose()
            await anyio.sleep_forever()


def test_what_can_be_no_handler() -> None:
    def sync(request: HTTPRequest) -> None:
        pass

    listeners = [MemoryListener.__new__(MemoryListener)]
    for handler, text in (
        (5, "the http_handler must be an async function .* not 5"),
        (sync, 'http_handler must be an async function, but .* defined with "def"'),
    ):
        with pytest.raises(TypeError, match=text):
            WebSocketServer(echo, listeners, http_handler=handler)  # type: ignore[arg-type]
    WebSocketServer(echo, listeners, http_handler=passes_on)


async def test_a_handler_is_checked_before_the_port_is_opened() -> None:
    with pytest.raises(TypeError, match="http_handler must be an async function"):
        await serve_websocket(echo, "", -1, None, http_handler="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_request_body must be an int"):
        await serve_websocket(echo, "", -1, None, max_request_body=1.5)  # type: ignore[arg-type]


# -- the end -------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_E11_handlers_are_cancelled_when_the_server_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(
            WebSocketServer(echo, [listener], http_handler=waits).run
        )
        handled = await raw_client(listener, GET)
        reading = await raw_client(listener, POST % (100, b""))
        await anyio.wait_all_tasks_blocked()

        async def hears_503(peer: ScriptedPeer) -> None:
            assert status_of(await peer.receive_all()) == 503
            await peer.stream.aclose()

        tasks.start_soon(hears_503, handled)
        tasks.start_soon(hears_503, reading)
        assert server.statistics().pending_handshakes == 2
        started = anyio.current_time()
        await server.aclose()
        assert anyio.current_time() - started < 1
        numbers = server.statistics()
        # What is answered here is nobody's handshake that failed.
        assert (numbers.accepted, numbers.rejected, numbers.failed) == (0, 1, 0)
    assert not said(caplog)


@pytest.mark.virtual_time
@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_E11_nobody_waits_for_who_does_not_read(how: str) -> None:
    async def large(request: HTTPRequest) -> HTTPResponse:
        return HTTPResponse(200, bytes(100_000))

    listener = MemoryListener(capacity=100)
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(
            WebSocketServer(echo, [listener], http_handler=large).run
        )
        await raw_client(listener, GET)
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        if how == "cancel":
            tasks.cancel_scope.cancel()
        else:
            await server.aclose(timeout=0)
    assert anyio.current_time() - started < 1


@pytest.mark.virtual_time
async def test_E11_a_handler_that_does_not_end() -> None:
    async def stubborn(request: HTTPRequest) -> HTTPResponse:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
        return HTTPResponse(200)

    listener = MemoryListener()
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(
            WebSocketServer(echo, [listener], http_handler=stubborn).run
        )
        peer = await raw_client(listener, GET)
        await anyio.wait_all_tasks_blocked()
        started = anyio.current_time()
        tasks.start_soon(partial(server.aclose, timeout=1))
        assert await peer.receive_all() == b""
        assert anyio.current_time() - started == pytest.approx(1, abs=0.1)
    assert anyio.current_time() - started == pytest.approx(5, abs=0.2)


@pytest.mark.virtual_time
async def test_A14_a_client_that_does_not_read_its_answer() -> None:
    options = {"http_handler": healthz, "max_pending_handshakes": 1}
    async with serving(echo, capacity=10, **options) as (listener, _):
        idle, client = listener.pair()
        await client.send(GET)
        await anyio.sleep(1)
        # It has to make room for another; alone, it goes when its time is up.
        other, client = listener.pair()
        await client.send(GET)
        await anyio.wait_all_tasks_blocked()
        assert idle.closed
        await anyio.sleep(9)
        assert not other.closed
        await anyio.sleep(2)
        assert other.closed


@pytest.mark.virtual_time
async def test_A14_a_client_that_leaves_before_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, http_handler=mirror) as (listener, _):
        for hook in ("before_send", "before_eof", "before_close"):
            server_end, client_end = listener.pair()
            setattr(server_end, hook, failing(OSError("the wire is cut")))
            await client_end.send(GET)
            await client_end.send_eof()
            with pytest.raises(anyio.EndOfStream):
                while True:
                    await client_end.receive()
            await client_end.aclose()
    assert not said(caplog)


@under_asyncio
async def test_G9_a_handler_that_is_cancelled_by_others() -> None:
    async def handler(request: HTTPRequest) -> HTTPResponse:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(1)
        raise AssertionError

    async with serving(echo, http_handler=handler) as (listener, _):
        assert status_of(await asked(listener, GET)) == 500
        peer = await accepted_client(listener)
        await peer.stream.aclose()


# -- limits --------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_G12_requests_count_as_handshakes() -> None:
    release = anyio.Event()

    async def handler(request: HTTPRequest) -> HTTPResponse:
        await release.wait()
        return HTTPResponse(200)

    async with serving(echo, http_handler=handler, max_pending_handshakes=2) as (
        listener,
        _,
    ):
        # The one sends its body and is dropped, the other waits and is not.
        slow = await raw_client(listener, POST % (100, b""))
        waiting = await raw_client(listener, GET)
        await anyio.sleep(1)
        third = await raw_client(listener, GET)
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await slow.stream.receive()
        fourth = await raw_client(listener)
        with anyio.move_on_after(5) as scope:
            await fourth.receive_head()
        assert scope.cancelled_caught
        release.set()
        for peer in (waiting, third):
            assert status_of(await peer.receive_all()) == 200
            await peer.stream.aclose()
        assert status_of(await fourth.receive_head()) == 101
