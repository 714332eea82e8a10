"""Pings and Pongs that the application is told of, and that it answers itself."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyio_websocket import ConnectionClosed, is_transient
from anyio_websocket._settings import PingCallbacks

from ..support.peer import linked
from ..support.servers import said

pytestmark = pytest.mark.virtual_time


async def test_pings_and_pongs_are_told_in_order() -> None:
    pings: list[bytes] = []
    pongs: list[bytes] = []
    async with linked(
        client={"on_pong": pongs.append, "ping_interval": None},
        accept={"on_ping": pings.append},
    ) as (client, server):
        await client.ping(b"1")  # it is answered as well
        await client.ping(b"2")
        await server.pong(b"3")  # and it answers nothing
        await server.send_message("behind")
        assert await client.get_message() == "behind"
        # Those without a callback are handled as ever.
        await server.ping()
        await client.pong(b"4")
        await client.send_message("behind")
        assert await server.get_message() == "behind"
    assert pings == [b"1", b"2"]
    assert pongs == [b"1", b"2", b"3"]


async def test_the_application_answers_pings() -> None:
    pings: list[bytes] = []
    async with linked(client={"on_ping": pings.append, "auto_pong": False}) as (
        client,
        server,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.ping, b"1")
            await anyio.wait_all_tasks_blocked()
            await server.send_message("behind")
            assert await client.get_message() == "behind"
            assert pings == [b"1"]
            assert server.latency is None
            await client.pong(pings[0])
        assert server.latency is not None


async def test_an_exception_of_a_callback_ends_that_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(payload: bytes) -> None:
        raise KeyError(payload)

    async with linked(client={"on_pong": fail}) as (client, server):
        await server.send_message("before")
        await server.pong(b"payload")
        await server.send_message("behind")
        assert await client.get_message() == "before"
        with pytest.raises(ConnectionClosed, match="on_pong raised KeyErr") as caught:
            await client.get_message()
        assert isinstance(cause := caught.value.__cause__, KeyError)
        assert cause.__traceback__ is not None  # from the callback on
        assert cause.__traceback__.tb_frame.f_code is fail.__code__
        assert not is_transient(caught.value)
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1006
        await client.wait_closed()
    (record,) = said(caplog)
    assert record.exc_info is not None
    assert record.exc_info[1] is cause


async def coroutine(payload: bytes) -> None:
    """Be something that nobody would await."""


@pytest.mark.parametrize("name", ["on_ping", "on_pong"])
@pytest.mark.parametrize("value", [coroutine, 5])
def test_callbacks_are_plain_functions(name: str, value: Any) -> None:
    given: dict[str, Any] = {"on_ping": None, "on_pong": None, "auto_pong": True}
    with pytest.raises(TypeError, match=f"^{name} must be a plain function"):
        PingCallbacks.checked(**given | {name: value})


def test_somebody_must_answer() -> None:
    with pytest.raises(ValueError, match="needs on_ping"):
        PingCallbacks.checked(None, print, auto_pong=False)
    with pytest.raises(TypeError, match="auto_pong must be a bool, not 0"):
        PingCallbacks.checked(print, None, auto_pong=0)  # type: ignore[arg-type]
    assert PingCallbacks.checked(None, None, auto_pong=True) is None
