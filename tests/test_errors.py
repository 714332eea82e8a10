"""The exceptions and `CloseReason`: their attributes, and copying and pickling."""

from __future__ import annotations

import copy
import pickle

import anyio
import pytest
import wsproto.frame_protocol

from anyio_websocket import (
    CloseCode,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    WebSocketError,
    open_websocket,
)
from anyio_websocket.testing import handshake_response

from .support.frames import CLOSE
from .support.peer import Opener
from .support.sockets import resetting_server


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (1000, "NORMAL_CLOSURE"),
        (1001, "GOING_AWAY"),
        (1006, "ABNORMAL_CLOSURE"),
        (1014, "BAD_GATEWAY"),
        (1015, "TLS_HANDSHAKE_FAILED"),
        (1004, "RFC_RESERVED"),
        (2999, "RFC_RESERVED"),
        (3000, "IANA_RESERVED"),
        (3999, "IANA_RESERVED"),
        (4000, "PRIVATE_RESERVED"),
        (4999, "PRIVATE_RESERVED"),
        (999, "INVALID_CODE"),
        (5000, "INVALID_CODE"),
    ],
)
def test_close_reason_name(code: int, name: str) -> None:
    assert CloseReason(code, None).name == name


def test_close_reason() -> None:
    reason = CloseReason(1000, "bye")
    assert (reason.code, reason.reason) == (1000, "bye")
    assert repr(reason) == ("CloseReason<code=1000, name=NORMAL_CLOSURE, reason='bye'>")
    assert reason == CloseReason(1000, "bye")
    assert hash(reason) == hash(CloseReason(1000, "bye"))
    assert reason != CloseReason(1000, None)
    assert reason != (1000, "bye")
    assert (reason == (1000, "bye")) is False  # and not None
    with pytest.raises(AttributeError):
        reason.code = 1001  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(reason)) == reason
    assert copy.deepcopy(reason) == reason


def test_H5_codes_are_members_of_an_enum() -> None:
    reason = CloseReason(1001, None)
    for twin in (reason, pickle.loads(pickle.dumps(reason)), copy.deepcopy(reason)):
        assert twin.code is CloseCode.GOING_AWAY
        assert isinstance(twin.code, CloseCode)
        assert (twin.code.value, twin.code.name) == (1001, "GOING_AWAY")
        assert (f"{twin.code}", str(twin.code), twin.code) == ("1001", "1001", 1001)
    assert CloseReason(CloseCode.GOING_AWAY, None) == reason
    for code in CloseCode:
        assert CloseReason(int(code), None).code is code
        assert CloseReason(code, None).name == code.name


@pytest.mark.parametrize("code", [999, 1004, 1016, 3000, 4999, 5000])
def test_H5_other_codes_are_plain_numbers(code: int) -> None:
    assert type(CloseReason(code, None).code) is int
    assert CloseReason(code, None).code == code


def test_H5_names_are_those_of_wsproto() -> None:
    theirs = {code.name: code.value for code in wsproto.frame_protocol.CloseReason}
    ours = {code.name: code.value for code in CloseCode}
    assert ours == theirs | {"BAD_GATEWAY": 1014}


def test_the_base_classes() -> None:
    for error in (ConnectionTimeout, DisconnectionTimeout, ConnectionRejected):
        assert issubclass(error, HandshakeError)
    assert issubclass(HandshakeError, WebSocketError)
    assert issubclass(ConnectionClosed, WebSocketError)
    assert not issubclass(ConnectionClosed, HandshakeError)


def test_connection_closed_can_be_copied_and_pickled() -> None:
    error = ConnectionClosed(CloseReason(1001, "gone"))
    assert repr(error) == f"ConnectionClosed<{error.reason!r}>"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is ConnectionClosed
        assert twin.reason == error.reason
    assert str(error) == (
        "the connection was closed with code 1001 (GOING_AWAY), reason 'gone'"
    )


def test_connection_closed_subclass_without_init() -> None:
    # Users have such classes: reason is a plain attribute that they set themselves.
    class Closed(ConnectionClosed):
        def __init__(self, reason: CloseReason) -> None:
            self.reason = reason

    error = Closed(CloseReason(1000, None))
    assert error.reason == CloseReason(1000, None)
    assert repr(error).startswith("Closed<CloseReason")


def test_H12_a_subclass_without_init_is_a_sentence_too() -> None:
    class Closed(ConnectionClosed):
        def __init__(self, reason: CloseReason) -> None:
            pass

    error = Closed(CloseReason(1000, None))
    assert error.reason is None
    assert (error.sent, error.received, error.clean) == (None, None, False)
    assert str(error) == "the connection is closed"
    error.reason = CloseReason(1006, "cut")
    assert str(error) == (
        "the connection ended without a closing handshake (1006): cut"
    )


@pytest.mark.parametrize(
    ("code", "clean"), [(1000, True), (1001, True), (1005, True), (1006, False)]
)
def test_H12_clean(code: int, clean: bool) -> None:
    assert ConnectionClosed(CloseReason(code, None)).clean is clean
    assert not ConnectionClosed(CloseReason(4000, None)).clean


def test_H12_copies_are_the_same_sentence() -> None:
    ours, theirs = CloseReason(4001, "kicked"), CloseReason(1005, None)
    error = ConnectionClosed(theirs).with_facts(
        ours, theirs, peer_first=False, detail=""
    )
    text = (
        "this side closed the connection with code 4001 (PRIVATE_RESERVED), "
        "reason 'kicked', and the peer with no code (1005)"
    )
    for twin in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert str(twin) == text
        assert (twin.reason, twin.sent, twin.received) == (theirs, ours, theirs)
        assert twin.clean
        assert repr(twin) == f"ConnectionClosed<{theirs!r}>"


def test_connection_rejected_can_be_copied_and_shows_no_secrets() -> None:
    error = ConnectionRejected(401, ((b"set-cookie", b"secret"),), b"secret body")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (twin.status_code, twin.headers, twin.body) == (
            401,
            ((b"set-cookie", b"secret"),),
            b"secret body",
        )
    assert repr(error) == "ConnectionRejected<status_code=401>"
    assert "401" in str(error)
    assert "secret" not in str(error)


# -- what a traceback says -----------------------------------------------------


async def sentence_of(connection: WebSocketConnection) -> tuple[str, ConnectionClosed]:
    """Wait for the end, and return what the application is told."""
    with anyio.fail_after(5), pytest.raises(ConnectionClosed) as caught:
        while True:
            await connection.get_message()
    with pytest.raises(ConnectionClosed) as again:
        await connection.send_message("x")
    assert str(again.value) == str(caught.value)
    assert repr(caught.value) == f"ConnectionClosed<{connection.closed!r}>"
    return str(caught.value), caught.value


async def test_H12_the_peer_closes(opener: Opener) -> None:
    for code, reason, text in (
        (4000, "a\x1b[31m", r"code 4000 (PRIVATE_RESERVED), reason 'a\x1b[31m'"),
        (1001, "", "code 1001 (GOING_AWAY)"),
        (None, "", "no code (1005)"),
    ):
        async with anyio.create_task_group() as tasks:
            connection, peer, _ = await opener(tasks)
            await (
                peer.send_frame(CLOSE)
                if code is None
                else peer.send_close(code, reason)
            )
            told, error = await sentence_of(connection)
            assert told == f"the peer closed the connection with {text}"
            assert error.sent == error.received == connection.closed
            tasks.cancel_scope.cancel()


async def test_H12_this_side_closes(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        tasks.start_soon(connection.aclose, 4001, "kicked")
        assert (await peer.receive_frame()).opcode == CLOSE
        ours = (
            "this side closed the connection with code 4001 (PRIVATE_RESERVED), "
            "reason 'kicked'"
        )
        told, error = await sentence_of(connection)
        assert told == ours
        assert (error.sent, error.received) == (CloseReason(4001, "kicked"), None)
        await peer.send_close(1000)
        await anyio.wait_all_tasks_blocked()
        told, error = await sentence_of(connection)
        assert told == f"{ours}, and the peer with code 1000 (NORMAL_CLOSURE)"
        assert error.sent == CloseReason(4001, "kicked")
        assert error.received == CloseReason(1000, None)
        assert error.clean
        tasks.cancel_scope.cancel()


async def test_H12_the_peer_does_not_reply(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, disconnect_timeout=0.05)
        await connection.aclose()
        told, error = await sentence_of(connection)
        assert told == (
            "this side closed the connection with code 1000 (NORMAL_CLOSURE); "
            "the peer did not reply within disconnect_timeout"
        )
        assert error.received is None
        tasks.cancel_scope.cancel()


async def test_H12_the_peer_breaks_the_protocol(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, disconnect_timeout=0.05)
        await peer.send_frame(CLOSE, b"x")
        told, error = await sentence_of(connection)
        assert told == (
            "this side closed the connection with code 1002 (PROTOCOL_ERROR), "
            "reason 'a Close has only half of a code'"
        )
        assert (error.sent, error.received) == (connection.closed, None)
        assert not error.clean
        tasks.cancel_scope.cancel()


LOST = "the connection ended without a closing handshake (1006): "


async def test_H12_the_stream_ends(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.stream.aclose()
        told, error = await sentence_of(connection)
        assert told == f"{LOST}the stream ended"
        assert (error.sent, error.received) == (None, None)
        tasks.cancel_scope.cancel()


async def test_H12_the_stream_breaks(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        stream.reset()
        told, _ = await sentence_of(connection)
        # The error that anyio raised has no text; its cause has.
        assert told == f"{LOST}reset"
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_H12_the_keepalive_gives_up(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, ping_interval=1, ping_timeout=2)
        await connection.wait_closed()
        told, error = await sentence_of(connection)
        assert told == (
            f"{LOST}the peer showed no sign of life within 2 seconds of a ping"
        )
        assert error.sent == CloseReason(1011, "keepalive ping timeout")
        tasks.cancel_scope.cancel()


async def test_H12_a_send_is_cancelled(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, capacity=1000)
        with anyio.move_on_after(0.05):
            await connection.send_message(b"x" * 100_000)
        told, _ = await sentence_of(connection)
        assert told == f"{LOST}sending was cancelled in the middle of a frame"
        tasks.cancel_scope.cancel()


async def test_H12_the_network_fails() -> None:
    async with resetting_server(handshake_response) as port:
        async with open_websocket("127.0.0.1", port, "/", use_ssl=False) as ws:
            told, error = await sentence_of(ws)
            assert told == f"{LOST}{error.__cause__}"
            assert "reset" in told
            assert told == str(pickle.loads(pickle.dumps(error)))
