"""The tasks that wait while another one reads: in which order they are woken."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._connection._waiting_tasks import WaitingTasks

pytestmark = pytest.mark.virtual_time


async def test_receivers_are_woken_in_their_order() -> None:
    waiting = WaitingTasks()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await waiting._wait_in_line()
        woken.append(number)

    async with anyio.create_task_group() as tasks:
        waiting._wake_receiver()  # there is none
        assert waiting._woken == 0
        for number in range(3):
            tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        waiting._wake_receiver()
        assert waiting._woken == 1  # until it runs
        await anyio.wait_all_tasks_blocked()
        assert (woken, waiting._woken) == ([0], 0)
        waiting._wake_all()
        await anyio.wait_all_tasks_blocked()
        # Those that are woken together run in any order.
        assert (sorted(woken), waiting._woken) == ([0, 1, 2], 0)


async def test_a_cancelled_task_leaves_the_line() -> None:
    waiting = WaitingTasks()
    for wait in (waiting._wait_in_line, waiting._wait_beside):
        with anyio.move_on_after(1) as scope:
            await wait()
        assert scope.cancelled_caught
    assert not waiting._receivers
    assert not waiting._others
    waiting._wake_all()
    assert waiting._woken == 0


async def test_others_are_woken_one_by_one_or_together() -> None:
    waiting = WaitingTasks()
    async with anyio.create_task_group() as tasks:
        waiting._wake_other()  # there is none
        for _ in range(3):
            tasks.start_soon(waiting._wait_beside)
        await anyio.wait_all_tasks_blocked()
        waiting._wake_other()
        assert len(waiting._others) == 2
        waiting._wake_others()
        assert not waiting._others
