"""Reconnecting: which ends are the end, how long it waits, and what it leaves."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    Attempt,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    is_transient,
    open_websocket_url,
    reconnecting,
)
from anyio_websocket.testing import ScriptedPeer, handshake_response

from ..support.backends import tasks_now
from ..support.frames import TEXT
from ..support.reconnects import Scenes, rejects, says, vanishes
from ..support.streams import failing

virtual = pytest.mark.virtual_time


def counting() -> Iterator[float]:
    """Give delays that tell which one it was."""
    yield from itertools.count(100.0)


class Reader:
    """A session that notes what it reads, and returns what came last."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []

    async def __call__(self, connection: WebSocketConnection) -> str:
        async for message in connection:
            self.messages.append(message)
        return "done"


@virtual
async def test_the_session_runs_until_it_is_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "anyio_websocket")
    read = Reader()
    async with anyio.create_task_group() as tasks:
        lost = OSError("none of its 2 addresses answers")
        scenes = Scenes(
            tasks,
            lost,
            rejects(503),
            says(code=1011),  # of no use: it only accepts
            says("a", "b"),
            lost,
            says("c", code=1001),  # which ends the loop, but not the session
            says("d", code=1000),
        )
        done = await reconnecting(scenes.connect, read, delays=counting)
    assert done == "done"
    assert read.messages == ["a", "b", "c", "d"]
    assert scenes.waits == [100, 101, 102, 100, 101, 100]
    assert [attempt.number for attempt in scenes.attempts] == [1, 2, 3, 4, 1, 2, 1]
    errors = [attempt.error for attempt in scenes.attempts]
    assert errors[:2] == [None, lost]
    assert isinstance(errors[2], ConnectionRejected)
    codes = [
        e.reason.code for e in errors if isinstance(e, ConnectionClosed) and e.reason
    ]
    assert codes == [1011, 1006, 1001]
    logged = [record.getMessage() for record in caplog.records]
    assert logged[0] == "connecting again in 100.0 s: OSError"
    assert logged[1].startswith(
        "connecting again in 101.0 s: the server at example.org"
    )
    assert all(stream.closed for stream in scenes.streams)


@virtual
async def test_what_the_server_asks_for_is_the_least() -> None:
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(
            tasks,
            rejects(429, b"Retry-After: 200"),
            says("a", code=1012),
            says("b", code=1013),
            rejects(503, b"Retry-After: 0"),
            says(code=1000),
        )
        await reconnecting(
            scenes.connect, Reader(), delays=lambda: itertools.repeat(1.0)
        )
    rejected, restart, overload, nothing = scenes.waits
    assert 200 < rejected <= 205
    assert 5 <= restart <= 30
    assert 30 <= overload <= 90
    assert nothing == 1


@virtual
async def test_an_answered_ping_is_of_use() -> None:
    async def answers(peer: ScriptedPeer) -> None:
        await peer.stream.send(handshake_response(await peer.receive_head()))
        await peer.send_frame(0xA, (await peer.receive_frame()).payload)

    async def ping(connection: WebSocketConnection) -> None:
        await connection.ping()
        await connection.get_message()

    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, OSError(), answers, says(code=1000))
        with pytest.raises(ConnectionClosed):
            await reconnecting(scenes.connect, ping, delays=counting)
    assert scenes.waits == [100, 100]


@virtual
@pytest.mark.parametrize(
    "scene",
    [
        rejects(401),
        rejects(404),
        says(code=1008),
        says(code=4000),
        ssl.SSLCertVerificationError(),
        HandshakeError("mine"),
    ],
)
async def test_what_is_not_worth_it_comes_out(scene: Any) -> None:
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, says("a"), scene)
        with pytest.raises(
            (ConnectionRejected, ConnectionClosed, ssl.SSLError, HandshakeError)
        ) as caught:
            await reconnecting(
                scenes.connect,
                Reader(),
                delays=counting,
                retry=lambda exc: is_transient(exc) and str(exc) != "mine",
            )
    assert len(scenes.attempts) == 2
    if isinstance(scene, Exception):
        assert caught.value is scene


@virtual
@pytest.mark.parametrize(
    ("together", "again"),
    [
        (ConnectionClosed(CloseReason(1012, None)), True),
        (ConnectionClosed(CloseReason(1008, None)), False),
        (KeyError("a bug"), False),
    ],
)
async def test_a_nursery_in_the_session(together: Exception, again: bool) -> None:
    async def session(connection: WebSocketConnection) -> None:
        async def read() -> None:
            async for _ in connection:
                pass

        async def fail() -> None:
            with contextlib.suppress(BaseException):
                await anyio.sleep_forever()
            raise together  # when the other task has raised

        async with anyio.create_task_group() as inner:
            inner.start_soon(read)
            inner.start_soon(fail)

    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, says(), OSError(), rejects(403))
        with pytest.raises(ConnectionRejected if again else ExceptionGroup):
            await reconnecting(scenes.connect, session, delays=lambda: iter([0, 1, 1]))
    assert len(scenes.attempts) == (3 if again else 1)
    if again:
        assert 5 <= scenes.waits[0] <= 30  # of one of the two
        assert isinstance(scenes.attempts[1].error, ExceptionGroup)


async def test_a_bug_in_a_stream_of_the_user_comes_out() -> None:
    """It would be raised again by the next stream."""
    ends: list[tuple[str, Exception]] = [
        ("before_receive", TypeError("a bug")),
        ("before_send", ValueError("a bug")),
        ("before_receive", anyio.BrokenResourceError()),
    ]

    async def breaks(peer: ScriptedPeer) -> None:
        hook, error = ends[0]
        setattr(scenes.streams[-1], hook, failing(error, after=3))
        await peer.stream.send(handshake_response(await peer.receive_head()))
        with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            while True:
                await peer.send_frame(TEXT, b"x")
                await peer.receive_frame()

    async def echo(connection: WebSocketConnection) -> None:
        async for message in connection:
            await connection.send_message(message)

    async with anyio.create_task_group() as tasks:
        while ends:
            scenes = Scenes(tasks, breaks, rejects(403))
            with pytest.raises((ConnectionClosed, ConnectionRejected)) as caught:
                await reconnecting(scenes.connect, echo, delays=lambda: iter([0]))
            error = ends.pop(0)[1]
            if ends:
                assert caught.value.__cause__ is error
                assert len(scenes.attempts) == 1
        assert len(scenes.attempts) == 2
        tasks.cancel_scope.cancel()


@virtual
async def test_attempts_in_a_row() -> None:
    last = OSError()
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, OSError(), says("a"), OSError(), last)
        with pytest.raises(OSError, match=r"^$") as caught:
            await reconnecting(scenes.connect, Reader(), delays=counting, attempts=2)
    assert caught.value is last
    assert len(scenes.attempts) == 4


@virtual
async def test_delays_that_end() -> None:
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, OSError(), says())
        with pytest.raises(ConnectionClosed):
            await reconnecting(scenes.connect, Reader(), delays=lambda: [7.0])
    assert scenes.waits == [7]


@virtual
async def test_a_dead_peer_and_a_laptop_that_slept() -> None:
    """The keepalive finds out, and the network needs a while to come back."""
    read = Reader()
    away = socket.gaierror(socket.EAI_AGAIN, "no network yet")
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, vanishes, away, away, says("here", code=1000))
        await reconnecting(scenes.connect, read, delays=counting)
        tasks.cancel_scope.cancel()  # the machine that is off
    assert read.messages == ["here"]
    assert scenes.waits == [20 + 20 + 100, 101, 102]


@virtual
async def test_what_the_session_raises_comes_out_as_it_is() -> None:
    error = KeyError("a bug")

    async def session(connection: WebSocketConnection) -> None:
        raise error

    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, says("a", code=1000))
        with pytest.raises(KeyError) as caught:
            await reconnecting(scenes.connect, session)
    assert caught.value is error
    assert error.__cause__ is error.__context__ is None


@virtual
async def test_the_user_decides() -> None:
    class Stale(Exception):
        pass

    async def session(connection: WebSocketConnection) -> str | bytes:
        if (message := await connection.get_message()) == "old":
            raise Stale
        return message

    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, says("old", code=1000), says("new", code=1000))
        result = await reconnecting(
            scenes.connect, session, retry=lambda exc: isinstance(exc, Stale)
        )
    assert result == "new"


@virtual
async def test_cancelled_it_leaves_nothing() -> None:
    async with anyio.create_task_group() as tasks:
        before = tasks_now()
        for scene, seconds in ((OSError(), 50), (vanishes, 5), (says("a"), 50)):
            scenes = Scenes(tasks, scene)
            with anyio.move_on_after(seconds) as scope:
                await reconnecting(scenes.connect, Reader(), delays=counting)
            assert scope.cancelled_caught
            assert all(stream.closed for stream in scenes.streams)
        tasks.cancel_scope.cancel()
    assert before >= 1


async def test_a_server_that_restarts(port: int) -> None:
    """Over sockets, with the URL made afresh."""
    tokens: list[int] = []

    async def greet(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.send_message(request.header("token") or "")
        await connection.wait_closed()

    async def connect(attempt: Attempt) -> tuple[str, dict[str, object]]:
        tokens.append(attempt.number)
        url = f"ws://127.0.0.1:{port}/"
        return url, {"extra_headers": {"Token": str(len(tokens))}}

    got: list[str | bytes] = []

    async def session(connection: WebSocketConnection) -> None:
        got.append(await connection.get_message())
        if len(got) == 1:
            tasks.start_soon(stop_and_start)
            got.extend([message async for message in connection])

    async def serve() -> WebSocketServer:
        listener = await anyio.create_tcp_listener(
            local_host="127.0.0.1", local_port=port
        )
        server = WebSocketServer(greet, [listener])
        await tasks.start(server.run)
        return server

    async def stop_and_start() -> None:
        await server.aclose(1001)
        await serve()

    async with anyio.create_task_group() as tasks:
        server = await serve()
        await reconnecting(connect, session, delays=lambda: itertools.repeat(0.01))
        tasks.cancel_scope.cancel()
    assert got[0] == "1"
    assert len(got) == 2
    assert got[1] == str(len(tokens))


# -- arguments -----------------------------------------------------------------


async def nothing(connection: WebSocketConnection) -> None:
    raise AssertionError


URL = "ws://example.org/?token=secret"


async def a_pair(attempt: Attempt) -> Any:
    return URL


async def no_options(attempt: Attempt) -> Any:
    return URL, None


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "text"),
    [
        (("http://example.org/", nothing), {}, ValueError, "scheme"),
        ((URL, "x"), {}, TypeError, "session must be an async function of"),
        ((URL, nothing), {"delays": iter([1])}, TypeError, "without parentheses"),
        ((URL, nothing), {"retry": True}, TypeError, "retry must be a plain function"),
        ((URL, nothing), {"retry": nothing}, TypeError, "retry must be a plain"),
        ((URL, nothing), {"attempts": 0}, ValueError, "attempts must be more"),
        ((URL, nothing), {"attempts": None}, TypeError, "attempts must be a number"),
        ((lambda _: URL, nothing), {}, TypeError, "or an async function"),
        ((a_pair, nothing), {}, TypeError, "must return a pair .*, not str$"),
        ((no_options, nothing), {}, TypeError, "must return a pair .*, not tuple$"),
        ((open_websocket_url(URL), nothing), {}, TypeError, "or an async function"),
    ],
)
async def test_mistakes(
    arguments: tuple[Any, Any], options: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        await reconnecting(*arguments, **options)
    assert "secret" not in str(caught.value)


def test_an_attempt_shows_no_secret() -> None:
    assert repr(Attempt(1, None)) == "Attempt(number=1, error=None)"
    assert repr(Attempt(2, KeyError("x"))) == "Attempt(number=2, error=KeyError)"


async def test_functions_that_were_called_already() -> None:
    with pytest.raises(TypeError, match=r"connect must be .*, not what it returns"):
        await reconnecting(a_pair(Attempt(1, None)), nothing)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"session must be .*, not what it returns"):
        await reconnecting(URL, nothing(None))  # type: ignore[arg-type]


@virtual
async def test_a_session_that_is_not_async() -> None:
    def session(connection: WebSocketConnection) -> None:
        pass

    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, says())
        with pytest.raises(TypeError, match=r"^session must be an async function of"):
            await reconnecting(scenes.connect, session)  # type: ignore[arg-type]


async def test_a_url_alone(port: int) -> None:
    with pytest.raises(HandshakeError):
        await reconnecting(
            f"ws://127.0.0.1:{port}/", nothing, attempts=2, delays=lambda: iter([0, 0])
        )
