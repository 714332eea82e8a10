"""Messages are written as they come."""

from __future__ import annotations

import anyio
import pytest
from anyio import current_time

from anyio_websocket._cli._failure import ExitCode, Failure
from anyio_websocket._cli._receiver import Messages, Receiver
from anyio_websocket.testing import websocket_pair

pytestmark = pytest.mark.virtual_time


async def test_it_ends_after_a_silence() -> None:
    written: list[Messages] = []

    async def write(messages: Messages) -> None:
        written.append(messages)
        await anyio.sleep(5)  # that is no silence

    async with websocket_pair() as (client, server):
        receiver = Receiver(client, write)
        begun = current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receiver.run)
            await anyio.sleep(100)
            receiver.end_after(2)
            await anyio.sleep(1)
            await server.send_message("one")
            await anyio.sleep(1)
            await server.send_message("two")
        assert written == [["one"], ["two"]]
        # 5 seconds for each write, and then 2 of silence
        assert current_time() - begun == pytest.approx(101 + 5 + 5 + 2)
        assert receiver.closed is None


@pytest.mark.parametrize("code", [1000, 1011])
async def test_what_came_before_the_end_is_written(code: int) -> None:
    written: Messages = []

    async def write(messages: Messages) -> None:
        written.extend(messages)

    async with websocket_pair() as (client, server):
        receiver = Receiver(client, write)
        await server.send_messages(["one", "two"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.aclose, code, "bye")
            if code == 1000:
                await receiver.run()
                assert receiver.closed is not None
                assert "1000 (NORMAL_CLOSURE), reason 'bye'" in receiver.closed
            else:
                with pytest.raises(Failure, match="1011") as failed:
                    await receiver.run()
                assert failed.value.code == ExitCode.LOST
    assert written == ["one", "two"]
