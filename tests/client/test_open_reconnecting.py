"""The object that outlives its connections: what it passes on, waits for and leaves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    DisconnectionTimeout,
    ReconnectingConnection,
    WebSocketConnection,
    open_reconnecting,
)
from anyio_websocket._client._connections import MAX_UNREAD, PATIENCE
from anyio_websocket.testing import ScriptedPeer, handshake_response

from ..support.backends import tasks_now
from ..support.frames import CLOSE, TEXT
from ..support.reconnects import Scene, Scenes, rejects, says, vanishes

pytestmark = pytest.mark.virtual_time

away = OSError()


@asynccontextmanager
async def playing(
    *scenes: Scene, client: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[tuple[ReconnectingConnection, Scenes]]:
    """Open a connection to scenes, with ten seconds between two of them."""
    options.setdefault("delays", lambda: itertools.repeat(10.0))
    error: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        played = Scenes(tasks, *scenes, **(client or {}))
        try:
            async with open_reconnecting(played.connect, **options) as connection:
                yield connection, played
        except (Exception, SystemExit, BaseExceptionGroup) as exc:
            error = exc  # not in a group
        tasks.cancel_scope.cancel()
        assert all(stream.closed for stream in played.streams)
    if error is not None:
        raise error


def hears(into: list[bytes]) -> Scene:
    """Open, note the first message of the client, and break off."""

    async def scene(peer: ScriptedPeer) -> None:
        await peer.stream.send(handshake_response(await peer.receive_head()))
        while (frame := await peer.receive_frame()).opcode != TEXT:
            pass
        into.append(frame.payload)

    return scene


async def closes(peer: ScriptedPeer) -> None:
    """Open, and reply to a Close."""
    await peer.stream.send(handshake_response(await peer.receive_head()))
    while (frame := await peer.receive_frame()).opcode != CLOSE:
        pass
    await peer.send_frame(frame.opcode, frame.payload)


async def test_messages_come_over_many_connections() -> None:
    greeted: list[bool] = []

    async def greet(connection: WebSocketConnection) -> None:
        greeted.append(connection.closed is None)

    scenes = (says("a", "b"), away, says("c", code=1001), says("d", code=1000))
    async with playing(*scenes, on_connect=greet) as (connection, played):
        await anyio.sleep(15)  # the first one is lost, the second not there yet
        assert connection.connection is None
        with pytest.raises(TypeError, match="a message in parts cannot be sent again"):
            await connection.send_message(["a", "b"])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^message must be str, .*, not int$"):
            await connection.send_message(5)  # type: ignore[arg-type]
        assert [message async for message in connection] == ["a", "b", "c", "d"]
        with pytest.raises(ConnectionClosed, match="code 1000"):
            await connection.get_message()
        with pytest.raises(ConnectionClosed, match="code 1000") as caught:
            await connection.send_message("x")
        assert caught.value.nothing_sent
    assert greeted == [True] * 3
    assert len(played.attempts) == 4


async def test_json_over_two_connections() -> None:
    heard: list[bytes] = []
    scenes = (says('{"a": 1}'), hears(heard), closes)
    async with playing(*scenes) as (connection, _):
        assert await connection.get_json() == {"a": 1}
        await anyio.sleep(1)
        for wrong in (float("inf"), object()):
            with pytest.raises((TypeError, ValueError), match="not JSON"):
                await connection.send_json(wrong)
        with pytest.raises(ValueError, match="dumps must return"):
            await connection.send_json(1, dumps=lambda obj: [obj])  # type: ignore[arg-type,return-value]
        await connection.send_json([1])
        await anyio.wait_all_tasks_blocked()
    assert heard == [b"[1]"]


async def test_sending_waits_for_a_connection() -> None:
    heard: list[bytes] = []
    async with playing(says(), away, hears(heard), closes) as (connection, _):
        await anyio.sleep(5)
        before = anyio.current_time()
        await connection.send_message("hello")
        assert anyio.current_time() == pytest.approx(before + 15, abs=0.5)
        await anyio.wait_all_tasks_blocked()
    assert heard == [b"hello"]


async def test_sending_on_a_connection_that_was_just_lost() -> None:
    heard: list[bytes] = []
    async with playing(vanishes, hears(heard), closes) as (connection, _):
        lost = connection.connection
        assert lost is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lost.aclose, 1001)  # it waits for the peer's Close
            await anyio.wait_all_tasks_blocked()
            assert connection.connection is lost
            await connection.send_message("hello")
        await anyio.wait_all_tasks_blocked()
    assert heard == [b"hello"]


async def test_sending_raises_if_it_is_to() -> None:
    heard: list[bytes] = []
    scenes = (says(code=1012), hears(heard), closes)
    async with playing(*scenes, while_disconnected="raise") as (connection, _):
        await anyio.sleep(1)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message("hello")
        assert caught.value.nothing_sent
        assert caught.value.reason == CloseReason(1012, None)
        await anyio.sleep(32)
        await connection.send_message(b"again", text=True)
        await anyio.wait_all_tasks_blocked()
    assert heard == [b"again"]


async def test_a_message_that_may_have_arrived_is_not_sent_again() -> None:
    async def takes_a_part(peer: ScriptedPeer) -> None:
        await peer.stream.send(handshake_response(await peer.receive_head()))
        await peer.stream.receive(10)

    async with playing(takes_a_part, closes) as (connection, _):
        with pytest.raises(ConnectionClosed) as caught:
            await connection.send_message(bytes(1_000_000))
        assert not caught.value.nothing_sent


@pytest.mark.parametrize("call", ["send_message", "get_message", None])
async def test_the_end_is_told_once(call: str | None) -> None:
    if call is None:
        with pytest.raises(ConnectionRejected):
            async with playing(says(), rejects(401)):
                await anyio.sleep(60)
        return
    async with playing(says(), rejects(401)) as (connection, _):
        await anyio.sleep(1)
        with pytest.raises(ConnectionRejected):
            await getattr(connection, call)(*["x"] * (call == "send_message"))


async def test_no_connection_at_all() -> None:
    with pytest.raises(ConnectionRejected):
        async with playing(away, rejects(403)):
            raise AssertionError


@pytest.mark.parametrize(
    "error",
    [ValueError(), SystemExit(), BaseExceptionGroup("several", [SystemExit()])],
)
async def test_what_on_connect_raises_is_the_end(error: BaseException) -> None:
    async def fail(connection: WebSocketConnection) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        async with playing(vanishes, on_connect=fail, client={"disconnect_timeout": 1}):
            raise AssertionError
    assert caught.value is error


async def test_an_exit_cancels_the_block() -> None:
    async def leave(connection: WebSocketConnection) -> None:
        greeted.append(connection)
        if len(greeted) > 1:
            raise error

    greeted: list[WebSocketConnection] = []
    error, other = SystemExit(3), KeyError()
    with pytest.raises(SystemExit) as caught:
        async with playing(says(), vanishes, on_connect=leave):
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.sleep_forever)
            finally:
                raise other
    assert caught.value is error
    assert caught.value.__context__ is other
    assert anyio.current_time() < 30


async def test_an_exit_matters_more_than_a_cancellation() -> None:
    async def leave(connection: WebSocketConnection) -> None:
        greeted.append(connection)
        if len(greeted) > 1:
            scope.cancel()
            raise SystemExit(3)

    greeted: list[WebSocketConnection] = []
    with anyio.CancelScope() as scope:
        with pytest.raises(SystemExit):
            async with playing(says(), vanishes, on_connect=leave):
                await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def test_a_future_that_was_cancelled_is_no_close(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("trio has no futures")

    async def wait(connection: WebSocketConnection) -> None:
        connections.append(connection)
        if len(connections) > 1:
            cancelled: asyncio.Future[None] = asyncio.Future()
            cancelled.cancel()
            await cancelled

    connections: list[WebSocketConnection] = []
    with pytest.raises(RuntimeError, match="awaited was cancelled") as caught:
        async with playing(says("a"), vanishes, on_connect=wait) as (opened, _):
            async for message in opened:
                assert message == "a"
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_the_last_attempt() -> None:
    async with playing(says("a"), says(code=1001), attempts=1) as (connection, _):
        assert await connection.get_message() == "a"
        with pytest.raises(ConnectionClosed, match="code 1001"):
            await anext(connection)


async def test_unread_messages_are_bounded() -> None:
    scenes = [says(str(number)) for number in range(MAX_UNREAD + 2)]
    async with playing(*scenes, says(code=1000)) as (connection, played):
        await anyio.sleep(1000)  # nobody reads: the oldest ones are dropped
        got = [await connection.get_message() for _ in range(MAX_UNREAD)]
        assert got == [str(number) for number in range(2, MAX_UNREAD + 2)]

    scenes = [says("first", "x"), *scenes]
    async with playing(*scenes, vanishes) as (connection, played):
        await anyio.sleep(1)
        assert await connection.get_message() == "first"
        await anyio.sleep(90)  # somebody reads, but slowly: no more are made
        assert len(played.attempts) == MAX_UNREAD + 1
        assert await connection.get_message() == "x"
        got = [await connection.get_message() for _ in range(MAX_UNREAD + 2)]
        assert got == [str(number) for number in range(MAX_UNREAD + 2)]


async def test_a_program_that_read_once_goes_on_sending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[bytes] = []
    scenes = [says(str(number), "x") for number in range(MAX_UNREAD + 3)]
    async with playing(*scenes, hears(heard), closes) as (connection, played):
        await anyio.sleep(1)
        assert await connection.get_message() == "0"
        await anyio.sleep(45 + PATIENCE)  # nobody reads any more
        await anyio.sleep(45)
        # It waited for a reader once, and not again.
        waits = [10] * MAX_UNREAD + [10 + PATIENCE, 10, 10]
        assert played.waits == pytest.approx(waits, abs=1)
        await connection.send_message("hello")
        await anyio.wait_all_tasks_blocked()
        assert caplog.text.count("are dropped unread") == 3
        assert await connection.get_message() == "3"
    assert heard == [b"hello"]


async def test_on_connect_is_cancelled_when_the_connection_is_lost() -> None:
    heard: list[bytes] = []
    greeted: list[WebSocketConnection] = []

    async def greet(connection: WebSocketConnection) -> None:
        greeted.append(connection)
        if len(greeted) in (2, 3):
            await anyio.sleep_forever()

    scenes = (says(), says("x"), says(code=1012), hears(heard), closes)
    async with playing(*scenes, on_connect=greet) as (connection, played):
        await anyio.sleep(5)
        await connection.send_message("hello")
        await anyio.wait_all_tasks_blocked()
        error = played.attempts[3].error
        assert isinstance(error, ConnectionClosed)
        assert error.reason == CloseReason(1012, None)
    assert heard == [b"hello"]


# -- leaving -------------------------------------------------------------------


async def test_leaving_closes() -> None:
    async with playing(closes) as (connection, _):
        last = connection.connection
    assert last is not None
    assert last.closed == CloseReason(1000, None)
    with pytest.raises(ConnectionClosed):
        await connection.get_message()


async def test_leaving_between_two_connections() -> None:
    before = anyio.current_time()
    async with playing(says(), away, away) as (connection, _):
        await anyio.sleep(5)
        assert connection.connection is None
    assert anyio.current_time() == before + 5


async def test_leaving_a_peer_that_does_not_reply() -> None:
    with pytest.raises(DisconnectionTimeout):
        async with playing(vanishes, client={"disconnect_timeout": 5}):
            pass
    error = KeyError()
    with pytest.raises(KeyError) as caught:
        async with playing(vanishes, client={"disconnect_timeout": 5}):
            raise error
    assert caught.value is error
    # Cancelled meanwhile, it is closed at once; and the block's error comes out.
    with anyio.move_on_after(2):
        with pytest.raises(KeyError):
            async with playing(vanishes, client={"disconnect_timeout": 5}):
                raise error
    with anyio.move_on_after(2) as scope:
        async with playing(vanishes, client={"disconnect_timeout": 5}):
            pass
    assert scope.cancelled_caught


async def test_cancelled_it_leaves_nothing() -> None:
    async def hang(connection: WebSocketConnection) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        await anyio.wait_all_tasks_blocked()
        for scene, on_connect in ((away, None), (vanishes, hang), (says(), None)):
            before = tasks_now()
            scenes = Scenes(tasks, scene)
            with anyio.move_on_after(0.1) as scope:
                async with open_reconnecting(
                    scenes.connect,
                    on_connect=on_connect,
                    delays=lambda: itertools.repeat(10.0),
                ):
                    await anyio.sleep_forever()
            assert scope.cancelled_caught
            assert all(stream.closed for stream in scenes.streams)
            await anyio.wait_all_tasks_blocked()
            assert tasks_now() <= before + (scene is vanishes)  # the scene itself
        tasks.cancel_scope.cancel()


async def test_a_task_that_is_cancelled_natively_while_it_leaves(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("it is asyncio's own way")

    async def leave() -> None:
        async with open_reconnecting(scenes.connect):
            left.set()
            raise KeyError

    left = anyio.Event()
    async with anyio.create_task_group() as tasks:
        scenes = Scenes(tasks, vanishes)
        task = asyncio.ensure_future(leave())
        await left.wait()
        await anyio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(stream.closed for stream in scenes.streams)
        tasks.cancel_scope.cancel()


async def test_on_connect_that_is_not_async() -> None:
    with pytest.raises(TypeError, match=r"^on_connect must be an async function of"):
        async with playing(says(), on_connect=str):
            raise AssertionError


async def test_what_is_on_the_connection_alone() -> None:
    async with playing(closes) as (connection, _):
        untyped: Any = connection
        with pytest.raises(AttributeError, match="'ping': use that of its connection"):
            _ = untyped.ping
        with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
            _ = untyped.nonsense


def test_what_users_see_is_what_they_call() -> None:
    public = {name for name in vars(ReconnectingConnection) if name[0] != "_"}
    assert public == {
        "connection",
        "get_json",
        "get_message",
        "send_json",
        "send_message",
    }


async def test_mistakes() -> None:
    with pytest.raises(ValueError, match='must be "wait" or "raise", not \'queue\''):
        open_reconnecting("ws://example.org/", while_disconnected="queue")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_connect must be an async function"):
        open_reconnecting("ws://example.org/", on_connect="x")  # type: ignore[arg-type]
