"""The lifespan of ASGI applications: version 2.0 of its protocol, rule by rule."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import asgi

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

UP = {"type": "lifespan.startup.complete"}
DOWN = {"type": "lifespan.shutdown.complete"}


class App:
    """An application that starts, notes what happens, and shuts down."""

    def __init__(self, *, lingers: bool = False) -> None:
        self.done: list[str] = []
        self._lingers = lingers

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        assert scope == {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": {},
        }
        assert await receive() == {"type": "lifespan.startup"}
        self.done.append("up")
        scope["state"]["pool"] = self.done
        await send(UP)
        assert await receive() == {"type": "lifespan.shutdown"}
        await anyio.lowlevel.checkpoint()  # it may wait
        self.done.append("down")
        await send(DOWN)
        if self._lingers:
            await receive()
        self.done.append("end")


@pytest.mark.parametrize("lingers", [False, True])
async def test_an_application_starts_and_shuts_down(lingers: bool) -> None:
    app = App(lingers=lingers)
    async with asgi.lifespan(app) as state:
        assert state == {"pool": ["up"]}
        app.done.append("block")
    assert app.done == ["up", "block", "down", *["end"] * (not lingers)]


async def test_it_shuts_down_however_the_block_ends() -> None:
    app = App()
    with pytest.raises(LookupError, match="mine"):
        async with asgi.lifespan(app):
            raise LookupError("mine")
    assert app.done == ["up", "down", "end"]
    app = App()
    with anyio.CancelScope() as scope:
        async with asgi.lifespan(app):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert app.done == ["up", "down", "end"]


@pytest.mark.parametrize("then", ["raises", "waits", "returns"])
@pytest.mark.parametrize("message", ["no database", ""])
async def test_a_startup_that_fails(then: str, message: str) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})
        if then == "raises":
            raise LookupError("the cause")
        if then == "waits":
            await receive()

    with pytest.raises(asgi.LifespanError) as caught:
        async with asgi.lifespan(app):
            raise AssertionError
    why = message or "it did not say why"
    assert str(caught.value) == f"the ASGI application failed to start: {why}"
    assert isinstance(caught.value.__cause__, LookupError) == (then == "raises")


async def test_applications_that_know_no_lifespan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def raises(scope: Any, receive: Receive, send: Send) -> None:
        raise LookupError(scope["type"])

    async def returns(scope: Any, receive: Receive, send: Send) -> None:
        pass

    async def starts(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send(UP)

    for app in (returns, starts, raises):
        async with asgi.lifespan(app) as state:
            assert state == {}
            await anyio.lowlevel.checkpoint()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "raised LookupError('lifespan') when it was to start" in record.getMessage()


async def test_a_shutdown_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def says(scope: Any, receive: Receive, send: Send) -> None:
        for event in (UP, {"type": "lifespan.shutdown.failed", "message": "so sad"}):
            await receive()
            await send(event)

    async def raises(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send(UP)
        await receive()
        raise LookupError("so sad")

    for app, text in (
        (says, "failed to shut down: so sad"),
        (raises, r"raised LookupError\('so sad'\)"),
    ):
        with pytest.raises(asgi.LifespanError, match=text):
            async with asgi.lifespan(app):
                pass
    assert caplog.records == []
    with pytest.raises(ValueError, match="mine"):
        async with asgi.lifespan(raises):
            raise ValueError("mine")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "so sad" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("says", [True, False])
async def test_an_application_that_ends_too_early(says: bool) -> None:
    crash = anyio.Event()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send(UP)
        await crash.wait()
        if says:
            await send({"type": "lifespan.shutdown.failed", "message": "lost it"})
            await receive()
        raise LookupError("lost it")

    with pytest.raises(asgi.LifespanError, match="lost it") as caught:
        async with asgi.lifespan(app):
            crash.set()
            await anyio.sleep_forever()
    assert (caught.value.__cause__ is None) == says


@pytest.mark.parametrize("when", ["starts", "runs", "ends"])
async def test_an_application_that_ends_by_a_cancellation_of_its_own(
    when: str, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("trio cancels scopes, not tasks")
    crash = anyio.Event()
    entered: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        if when != "starts":
            await send(UP)
            await crash.wait()
        if when == "ends":
            await receive()
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    text = r"the ASGI application raised CancelledError\(\)"
    with pytest.raises(asgi.LifespanError, match=text) as caught:
        async with asgi.lifespan(app):
            entered.append(when)
            crash.set()
            if when == "runs":
                await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert entered == [when] * (when != "starts")
    await anyio.lowlevel.checkpoint()  # nothing is cancelled


async def test_only_one_task_of_an_application_is_told_to_shut_down() -> None:
    done: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        async def clean_up(name: str) -> None:
            assert await receive() == {"type": "lifespan.shutdown"}
            await anyio.wait_all_tasks_blocked()  # the other one waits, too
            done.append(name)
            await send(DOWN)

        await receive()
        await send(UP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clean_up, "one")
            tasks.start_soon(clean_up, "two")

    async with asgi.lifespan(app):
        await anyio.wait_all_tasks_blocked()
    assert len(done) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("says", [True, False])
async def test_an_application_that_does_not_end(says: bool) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send(UP)
        await receive()
        if says:
            await send(DOWN)
        await anyio.sleep_forever()

    began = anyio.current_time()
    with anyio.CancelScope() as scope:
        async with asgi.lifespan(app, shutdown_timeout=5):
            scope.cancel()
            await anyio.sleep_forever()
    assert anyio.current_time() == began + 5
    if not says:
        with pytest.raises(asgi.LifespanError, match="did not shut down in time"):
            async with asgi.lifespan(app, shutdown_timeout=5):
                pass
    assert anyio.current_time() <= began + 10


async def test_a_startup_that_is_cancelled() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    with anyio.CancelScope() as scope:
        scope.cancel()
        async with asgi.lifespan(app, shutdown_timeout=None):
            raise AssertionError
    assert scope.cancelled_caught
    assert ended == ["cancelled"]
    ended.clear()
    async with anyio.create_task_group() as tasks:

        async def enter() -> None:
            async with asgi.lifespan(app):
                raise AssertionError

        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert ended == ["cancelled"]


async def test_wrong_events() -> None:
    refused: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        for good in (UP, DOWN):
            await receive()
            for bad in ({"type": "http.request"}, DOWN if good is UP else UP):
                with pytest.raises(RuntimeError, match=rf"expected, not {bad['type']}"):
                    await send(bad)
                refused.append(bad["type"])
            await send(good)
        with pytest.raises(RuntimeError, match="expected, not"):
            await send(DOWN)

    async with asgi.lifespan(app):
        pass
    assert len(refused) == 4


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), ("1", TypeError)])
def test_a_timeout_that_cannot_work(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"lifespan\(\): shutdown_timeout"):
        asgi.lifespan(App(), shutdown_timeout=value)
