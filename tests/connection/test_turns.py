"""Whose turn it is to send messages."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._connection._turns import Turns

from ..support.sockets import pair

pytestmark = pytest.mark.virtual_time


async def test_each_has_its_turn_in_the_order_of_the_calls() -> None:
    sent: list[int] = []
    may_end = anyio.Event()

    async def send(number: int) -> None:
        if not number:
            await may_end.wait()
        sent.append(number)

    async with pair() as (transport, _):
        turns = Turns(transport)
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(turns.in_turn, send, number)
                await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(1) as scope:
                await turns.in_turn(send, 5)
            assert scope.cancelled_caught
            assert turns._turn is not None
            may_end.set()
        assert sent == [0, 1, 2, 3]
        assert turns._turn is None
        with pytest.raises(TypeError):
            await turns.in_turn(send)  # type: ignore[call-arg]
        assert turns._turn is None
