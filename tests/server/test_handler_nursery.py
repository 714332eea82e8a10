"""The nursery in which the clients of a server run: what it waits for, and raises."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from anyio_websocket._connection import BackgroundTask
from anyio_websocket._server._handler_nursery import NAME, HandlerNursery
from anyio_websocket._settings import ServerSettings

pytestmark = pytest.mark.virtual_time


def nursery_in(group: TaskGroup, *, is_own: bool = True) -> HandlerNursery:
    background = BackgroundTask(group, ServerSettings())
    return HandlerNursery(group, background, is_own=is_own)


@pytest.mark.parametrize("is_own", [False, True])
async def test_the_group_ends_after_the_last_task(is_own: bool) -> None:
    ended: list[float] = []
    begun = anyio.current_time()

    async def client(nursery: HandlerNursery, seconds: float) -> None:
        await anyio.sleep(seconds)
        ended.append(seconds)
        nursery.leave()

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group, is_own=is_own)
        for seconds in (1, 3, 2):
            nursery.start(client, nursery, seconds)
        nursery.enter()  # this task
        nursery.leave()
    assert ended == [1, 2, 3]
    assert 3 <= anyio.current_time() - begun < 3.5


async def test_waiting_until_it_is_empty() -> None:
    go_on = anyio.Event()

    async def client(nursery: HandlerNursery) -> None:
        await go_on.wait()
        nursery.leave()

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)
        await nursery.wait_empty()
        for _ in range(2):
            go_on = anyio.Event()
            for _ in range(2):
                nursery.start(client, nursery)
            with anyio.move_on_after(1) as scope:
                await nursery.wait_empty()
            assert scope.cancelled_caught
            go_on.set()
            await nursery.wait_empty()


class FatalError(BaseException):
    """As pytest's failures are, for example."""


@pytest.mark.parametrize("error", [ValueError("oops"), FatalError("oops")])
async def test_the_group_raises_what_a_task_raises(error: BaseException) -> None:
    async def client(nursery: HandlerNursery) -> None:
        try:
            await anyio.sleep(1)
            raise error
        except BaseException as exc:
            if not nursery.passes_on(exc):
                raise
        finally:
            nursery.leave()

    # Not within another group.
    with pytest.RaisesGroup(type(error)):
        async with anyio.create_task_group() as group:
            nursery = nursery_in(group)
            nursery.start(client, nursery)
            await anyio.sleep_forever()


async def test_a_task_that_is_destroyed_raises_nothing() -> None:
    async with anyio.create_task_group() as group:
        assert not nursery_in(group).passes_on(GeneratorExit())


@pytest.mark.parametrize("is_own", [False, True])
async def test_a_group_that_has_ended_takes_no_tasks(is_own: bool) -> None:
    started: list[object] = []
    async with anyio.create_task_group() as group:
        nursery = nursery_in(group, is_own=is_own)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not active"):
            nursery.start(started.append, None)  # type: ignore[arg-type]
    await nursery.wait_empty()
    assert not started


async def test_what_cannot_be_started_does_not_count() -> None:
    async def client() -> None: ...

    def fail(coroutine: Any, **options: Any) -> None:
        if coroutine is not client:  # trio takes the function
            coroutine.close()
        raise MemoryError

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)
        if nursery._create_task is None:
            nursery._start_soon = fail
        else:
            nursery._create_task = fail
        with pytest.raises(MemoryError):
            nursery.start(client)
        await nursery.wait_empty()


@pytest.mark.parametrize("has_rest", [False, True])
async def test_a_task_that_never_begins(
    has_rest: bool, anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("on trio each task begins")
    happened: list[str] = []

    async def client() -> None:
        happened.append("client")

    async def rest() -> None:
        happened.append("rest")

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)

        def on_ended() -> Any:
            happened.append("ended")
            nursery.leave()
            return rest() if has_rest else None

        nursery.start(client, on_ended=on_ended)
        [task] = (task for task in asyncio.all_tasks() if task.get_name() == NAME)
        task.cancel()
        await nursery.wait_empty()
    await anyio.wait_all_tasks_blocked()
    assert happened == (["ended", "rest"] if has_rest else ["ended"])


async def test_a_task_that_begins_is_not_undone() -> None:
    ended: list[None] = []

    async def client(nursery: HandlerNursery) -> None:
        await anyio.sleep(1)
        nursery.leave()

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)
        nursery.start(client, nursery, on_ended=lambda: ended.append(None))
    assert not ended


async def test_asyncio_shows_the_name(anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("asks asyncio")
    names: list[str] = []

    async def client(nursery: HandlerNursery) -> None:
        task = asyncio.current_task()
        assert task is not None
        names.append(task.get_name())
        nursery.leave()

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)
        nursery.start(client, nursery)
    assert names == [NAME]


async def test_trio_has_no_task_between(anyio_backend_name: str) -> None:
    if anyio_backend_name != "trio":
        pytest.skip("asks trio")
    trio = pytest.importorskip("trio")
    parents: list[object] = []

    async def client(nursery: HandlerNursery) -> None:
        task = trio.lowlevel.current_task()
        parents.append(task.parent_nursery.parent_task)
        assert task.name == NAME
        assert task.coro.cr_code is client.__code__  # none of anyio's around it
        nursery.leave()

    async with anyio.create_task_group() as group:
        nursery = nursery_in(group)
        nursery.start(client, nursery)
    assert parents == [trio.lowlevel.current_task()]
