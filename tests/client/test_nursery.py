"""The nursery behind `open_websocket`: which exception comes out, and no cancelling."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
)
from anyio_websocket._client._nursery import Interruption, PrivateNursery

from ..support.backends import begins_tasks_later, cancel_unbegun, under_asyncio
from ..support.servers import echo, serving

T = TypeVar("T")

# -- nothing of ours cancels the user's task -----------------------------------


async def close_at_once(request: WebSocketRequest) -> None:
    await request.accept()


@under_asyncio
async def test_F14_a_task_group_of_asyncio_in_the_block() -> None:
    async def use(port: int) -> list[BaseException]:
        failures: list[BaseException] = []
        async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:

            async def read() -> NoReturn:
                while True:
                    await ws.get_message()

            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(read())
                    tasks.create_task(asyncio.sleep(100))
            except* ConnectionClosed as group:
                failures += group.exceptions
            # Before Python 3.13 asyncio's group does not take back that it cancelled
            # this task, so a cancellation of ours would look like the user's.
            before = current_task().cancelling()
        await asyncio.sleep(0.01)  # a cancellation that was left would come here
        assert current_task().cancelling() == before
        return failures

    async with serving(close_at_once) as port:
        for _ in range(3):
            (failure,) = await run_in_a_task(use(port))
            assert isinstance(failure, ConnectionClosed)


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def run_in_a_task(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a task of its own, which nothing may cancel.

    To await the task would not do: the cancellation that it raises then could be taken
    for one of the test's task group, and the test would pass.
    """
    task = asyncio.create_task(coroutine)
    await asyncio.wait({task})
    assert not task.cancelled()
    return task.result()


@under_asyncio
async def test_F14_a_cancellation_was_swallowed_before() -> None:
    async def use(port: int, uncancel: bool) -> int:
        task = current_task()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(100)
        if uncancel:
            task.uncancel()
        for _ in range(2):
            async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
        with pytest.raises(KeyError):
            async with open_websocket_url(f"ws://127.0.0.1:{port}"):
                raise KeyError
        await asyncio.sleep(0.01)
        return task.cancelling()

    async with serving() as port:
        assert await run_in_a_task(use(port, uncancel=False)) == 1
        assert await run_in_a_task(use(port, uncancel=True)) == 0


@under_asyncio
async def test_F14_a_cancellation_is_swallowed_in_the_block() -> None:
    async def use(port: int) -> None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
            current_task().cancel()
            with pytest.raises(asyncio.CancelledError):
                await ws.get_message()
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
        await asyncio.sleep(0.01)

    async with serving() as port:
        await run_in_a_task(use(port))


@under_asyncio
async def test_F14_a_timeout_of_asyncio_in_the_block() -> None:
    async with serving() as port:
        async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ws.get_message()
        async with asyncio.timeout(0.05) as timeout:
            async with open_websocket_url(f"ws://127.0.0.1:{port}"):
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(100)
        assert timeout.expired()
        await asyncio.sleep(0.01)
        assert current_task().cancelling() == 0


async def test_F14_a_task_group_in_the_block() -> None:
    async with serving(close_at_once) as port:
        failures: list[BaseException] = []
        async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:

            async def read() -> NoReturn:
                while True:
                    await ws.get_message()

            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    tasks.start_soon(anyio.sleep, 100)
            except* ConnectionClosed as group:
                failures += group.exceptions
            await anyio.lowlevel.checkpoint()
        assert [type(exc) for exc in failures] == [ConnectionClosed]
        await anyio.sleep(0.01)


def test_F14_a_nursery_of_trio_in_the_block() -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        async with serving(close_at_once) as port:
            failures: list[BaseException] = []
            async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(ws.get_message)
                        nursery.start_soon(trio.sleep_forever)
                except* ConnectionClosed as group:
                    failures += group.exceptions
            assert [type(exc) for exc in failures] == [ConnectionClosed]
            with trio.move_on_after(0.05) as scope:
                async with open_websocket_url(f"ws://127.0.0.1:{port}"):
                    await trio.sleep_forever()
            assert scope.cancelled_caught

    trio.run(main)


async def test_F14_leaving_waits_for_the_background_task() -> None:
    ended: list[str] = []

    async def work() -> None:
        await anyio.sleep(0.05)
        ended.append("work")

    async with PrivateNursery() as nursery:
        nursery.start_soon(work)
    assert ended == ["work"]
    with pytest.raises(KeyError):
        async with PrivateNursery() as nursery:
            nursery.start_soon(work)
            raise KeyError
    assert ended == ["work", "work"]


# -- the background task raises nonetheless ------------------------------------


async def broken() -> NoReturn:
    raise RuntimeError("a bug")


async def test_F6_an_error_of_the_background_task_ends_the_block() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with PrivateNursery() as nursery:
            nursery.start_soon(broken)
    assert [str(exc) for exc in caught.value.exceptions] == ["a bug"]


async def test_F6_the_blocks_exception_comes_first() -> None:
    error = KeyError("mine")
    error.__context__ = ValueError("before")
    with pytest.raises(KeyError) as caught:
        async with PrivateNursery() as nursery:
            nursery.start_soon(broken)
            raise error
    assert caught.value is error
    internal = error.__context__
    assert isinstance(internal, ExceptionGroup)
    assert str(internal.exceptions[0]) == "a bug"


async def hello(request: WebSocketRequest) -> None:
    ws = await request.accept()
    await ws.send_message("hello")
    await ws.wait_closed()


async def messages(url: str) -> AsyncGenerator[str | bytes]:
    async with open_websocket_url(url) as ws:
        async for message in ws:
            yield message


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
async def test_F19_a_generator_that_is_not_exhausted() -> None:
    ended = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        try:
            await hello(request)
        finally:
            ended.set()

    async def first(url: str) -> str | bytes | None:
        async for message in messages(url):
            return message
        return None

    async with serving(handler) as port:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group():
                assert await first(f"ws://127.0.0.1:{port}") == "hello"
                gc.collect()  # another task leaves the block
                with anyio.fail_after(5):
                    await ended.wait()
                await anyio.sleep(0.05)
        assert not scope.cancelled_caught


async def test_F19_another_task_leaves_the_block() -> None:
    async with serving(hello) as port:
        for error in (None, KeyError("mine")):
            opened = open_websocket_url(f"ws://127.0.0.1:{port}")
            entered: list[WebSocketConnection] = []

            async def enter(opened: Any = opened, entered: Any = entered) -> None:
                with anyio.CancelScope():
                    entered.append(await opened.__aenter__())

            async def leave(opened: Any = opened, error: Any = error) -> None:
                # Told that the exception goes on.
                assert not await opened.__aexit__(error and type(error), error, None)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(enter)
            (ws,) = entered
            assert await ws.get_message() == "hello"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave)
            assert ws.closed == CloseReason(1000, None)
            await anyio.sleep(0.01)


async def test_F6_an_error_of_the_background_task_is_not_lost_by_a_cancellation() -> (
    None
):
    with pytest.raises(ExceptionGroup) as caught:
        with anyio.CancelScope() as scope:
            async with PrivateNursery() as nursery:
                nursery.start_soon(broken)
                scope.cancel()
                await anyio.sleep_forever()
    assert [str(exc) for exc in caught.value.exceptions] == ["a bug"]


async def test_a_task_that_is_cancelled_before_its_first_step_is_started_again() -> (
    None
):
    async def task() -> None:
        begun.append(passes)

    begun: list[int] = []
    passes = 0
    with anyio.fail_after(20):
        async with PrivateNursery() as nursery:
            nursery.start_soon(task)
            # Who cancels all tasks until there are none comes to an end.
            while cancel_unbegun():
                passes += 1
                assert passes < 10
                await anyio.lowlevel.checkpoint()
    assert passes == begins_tasks_later()
    assert begun == [passes]


async def test_F14_a_connection_whose_background_task_never_began() -> None:
    async with serving(echo) as port:
        with anyio.fail_after(20):
            async with open_websocket_url(f"ws://127.0.0.1:{port}") as ws:
                assert cancel_unbegun() == begins_tasks_later()
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
            assert ws.closed == CloseReason(1000, None)


async def test_an_interruption_cancels_its_block_and_nothing_else() -> None:
    for is_early in (True, False):
        interruption = Interruption()
        if is_early:
            interruption.cancel()
        async with anyio.create_task_group() as tasks:
            # On trio, its scope ends the cancellation; on asyncio, what uses it does.
            with contextlib.suppress(anyio.get_cancelled_exc_class()), interruption:
                if not is_early:
                    tasks.start_soon(call, interruption.cancel)
                await anyio.sleep_forever()
            interruption.cancel()  # the block was left
            await anyio.sleep(0.01)
        assert not tasks.cancel_scope.cancelled_caught


async def call(function: Callable[[], object]) -> None:
    function()


async def test_F19_another_task_leaves_a_block_that_may_be_interrupted(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("on trio it is a cancel scope")

    async def leave() -> None:
        with pytest.raises(KeyError), stack:
            raise KeyError
        await anyio.sleep(0.01)

    stack = contextlib.ExitStack()
    interruption = Interruption()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, lambda: stack.enter_context(interruption))
    interruption.cancel()  # of a task that has ended
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    await anyio.sleep(0.01)
