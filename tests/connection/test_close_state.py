"""What is known of a connection's end: which reason counts, and who is told when."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from anyio_websocket import CloseReason, ConnectionClosed, is_transient
from anyio_websocket._connection._close_state import CloseState
from anyio_websocket._transport import transport_of
from anyio_websocket.testing import MemoryStream, memory_stream_pair

from ..support.watched import StubConnection

OURS = CloseReason(4000, "ours")
THEIRS = CloseReason(4001, "theirs")
LOST = CloseReason(1006, None)


class Connection(StubConnection):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_closing(self) -> None:
        self.told.append("closing")

    def before_abort(self) -> None:
        self.told.append("aborting")

    def on_closed(self) -> None:
        self.told.append("closed")


def opened() -> tuple[CloseState, Connection, MemoryStream]:
    stream, _ = memory_stream_pair()
    connection = Connection()
    return CloseState(transport_of(stream), connection), connection, stream


async def test_the_first_reason_counts() -> None:
    state, connection, _ = opened()
    assert state.reason is None
    state.close_received(THEIRS)
    state.begin(OURS, by_us=True)
    state.connection_lost()
    assert state.reason == THEIRS
    assert not state.by_us
    assert state.stream_lost
    assert connection.told == ["closing"]


async def test_a_close_that_answers_ours_replaces_our_reason() -> None:
    # RFC 6455 section 7.1.5
    state, connection, _ = opened()
    state.begin(OURS, by_us=True)
    assert state.reason == OURS
    state.close_received(THEIRS)
    assert state.reason == THEIRS
    assert state.by_us
    assert connection.told == ["closing"]


async def test_E12_an_exception_is_told_by_the_identity_of_its_reason() -> None:
    state, _, _ = opened()
    state.begin(OURS, by_us=True)
    assert state.is_own(ConnectionClosed(OURS))
    state.close_received(THEIRS)
    assert state.is_own(ConnectionClosed(THEIRS))
    assert state.is_own(ConnectionClosed(OURS))  # raised before theirs came
    assert not state.is_own(ConnectionClosed(CloseReason(4001, "theirs")))
    assert not state.is_own(ConnectionClosed(None))
    state, _, _ = opened()
    assert not state.is_own(ConnectionClosed(None))


async def test_a_lost_stream_replaces_no_reason() -> None:
    state, _, _ = opened()
    state.begin(OURS, by_us=True)
    state.connection_lost("the wire is cut", OSError("cut"))
    assert (state.reason, state.cause) == (OURS, None)


async def test_the_error_of_the_stream_is_the_cause() -> None:
    state, _, _ = opened()
    error = OSError("cut")
    state.connection_lost(cause=error)
    with pytest.raises(ConnectionClosed) as caught:
        await state.raise_closed()
    assert caught.value.reason == LOST
    assert caught.value.__cause__ is error


async def test_a_cancelled_caller_is_cancelled_and_not_told() -> None:
    state, _, _ = opened()
    state.connection_lost()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await state.raise_closed()
    assert scope.cancelled_caught


async def test_one_task_leads_to_the_end() -> None:
    state, _, _ = opened()
    assert [state.claim() for _ in range(3)] == [True, False, False]


async def test_waiting_tasks_return_when_the_transport_is_closed() -> None:
    state, connection, stream = opened()
    returned: list[bool] = []

    async def wait() -> None:
        await state.wait_closed()
        returned.append(stream.closed)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        state.begin(OURS, by_us=True)
        await anyio.wait_all_tasks_blocked()
        assert returned == []
        await state.abort()
        await state.abort()
    assert returned == [True, True]
    assert state.closed
    assert connection.told == ["closing", "aborting", "closed"]  # once each
    await state.wait_closed()


async def test_G10_what_fails_in_the_background_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state, connection, stream = opened()
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as exc:
        await state.fail(exc)
    assert connection.told == ["closing", "aborting", "closed"]
    assert stream.closed
    assert state.reason == CloseReason(
        1006, "it failed in the background: ZeroDivisionError"
    )
    with pytest.raises(ConnectionClosed) as caught:
        await state.raise_closed()
    assert not is_transient(caught.value)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[2] is not None


@pytest.mark.parametrize(
    "fail",
    [
        lambda state: state.sending_failed(MemoryError()),
        lambda state: state.receiving_failed(ZeroDivisionError()),
        lambda state: state.callback_failed("on_ping", OSError()),
    ],
)
async def test_a_failure_of_this_side_is_not_transient(
    fail: Callable[[CloseState], None],
) -> None:
    state, _, _ = opened()
    fail(state)
    with pytest.raises(ConnectionClosed) as caught:
        await state.raise_closed()
    assert caught.value.reason is not None
    assert caught.value.reason.code == 1006
    assert not is_transient(caught.value)
    # What was the end already, stays the end.
    state, _, _ = opened()
    state.close_received(CloseReason(1001, None))
    fail(state)
    with pytest.raises(ConnectionClosed) as caught:
        await state.raise_closed()
    assert is_transient(caught.value)


async def test_G10_and_closed_even_if_that_fails_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state, connection, stream = opened()
    connection.before_abort = lambda: 1 // 0  # type: ignore[method-assign, assignment]
    await state.fail(MemoryError())
    assert connection.told == ["closing", "closed"]
    assert stream.closed
    assert state.closed
