"""Messages that are received in parts, while they are still coming."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import ConnectionClosed, WebSocketConnection
from anyio_websocket.testing import Frame

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
)
from ..support.peer import Opener, linked, linked_by_sockets

pytestmark = pytest.mark.virtual_time


def joined(parts: list[Any]) -> Any:
    return type(parts[0])().join(parts)


async def parts_of(connection: WebSocketConnection) -> list[str | bytes]:
    async with connection.receive_fragments() as parts:
        return [part async for part in parts]


@pytest.mark.parametrize("compression", [None, True])
async def test_parts_are_the_message(compression: bool | None) -> None:
    options = {"compression": compression, "max_message_size": 2**22}
    messages: list[str | bytes] = [
        "wörld" * 60_000,
        bytes(range(256)) * 12_000,
        "short",
        b"",
        "",
    ]
    async with linked(client=options, server=options) as (client, server):
        for sender, receiver in ((client, server), (server, client)):
            for message in messages:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(sender.send_message, message)
                    parts = await parts_of(receiver)
                assert joined(parts) == message
                assert len(parts) > 1 or len(message) < 99
            await sender.send_message("whole")
            assert await receiver.get_message() == "whole"


async def test_parts_over_sockets() -> None:
    message = bytes(range(256)) * 12_000
    async with linked_by_sockets(max_message_size=2**22) as (client, server):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send_message, message)
            # The task only has a part that was received while none did.
            async with server.receive_fragments() as parts:
                await anyio.wait_all_tasks_blocked()
                found = [part async for part in parts]
        assert len(found) > 1
        assert joined(found) == message


async def test_parts_come_while_the_message_is_being_sent(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        half = "ö".encode()
        async with connection.receive_fragments() as parts:
            await peer.send_frame(TEXT, b"a" + half[:1], fin=False)
            assert await anext(parts) == "a"
            await peer.send_frame(PING, b"theirs")
            await peer.send_frame(CONTINUATION, half[1:], fin=False)
            assert await anext(parts) == "ö"
            assert await peer.receive_frame() == Frame(PONG, b"theirs")
            tasks.start_soon(connection.ping, b"ours")
            assert await peer.receive_frame() == Frame(PING, b"ours")
            await peer.send_frame(PONG, b"ours")
            # A cancelled wait loses nothing.
            with anyio.move_on_after(1) as scope:
                await anext(parts)
            assert scope.cancelled_caught
            await peer.send_frame(CONTINUATION, b"b", fin=False)
            await anyio.wait_all_tasks_blocked()
            assert await anext(parts) == "b"
            await peer.send_frame(CONTINUATION, b"")
            await peer.send_frame(TEXT, b"next")
            for _ in range(2):
                with pytest.raises(StopAsyncIteration):
                    await anext(parts)
        assert await connection.get_message() == "next"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("fetched", [0, 1])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("decode_text", [False, True])
async def test_F1_the_rest_is_skipped_if_a_part_was_fetched(
    opener: Opener, fetched: int, ended: bool, decode_text: bool
) -> None:
    """Whether the rest has come already makes no difference."""
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, ping_interval=None, decode_text=decode_text
        )
        with anyio.move_on_after(1) as scope:
            async with connection.receive_fragments() as parts:
                await peer.send_frame(TEXT, "ö1".encode(), fin=False)
                if fetched:
                    assert await anext(parts) == text("ö1", decode_text)
                await anyio.wait_all_tasks_blocked()
                await peer.send_frame(CONTINUATION, b"2", fin=ended)
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        if not ended:
            await peer.send_frame(PING, b"theirs")
            assert await peer.receive_frame() == Frame(PONG, b"theirs")
            await peer.send_frame(CONTINUATION, "ö3".encode())
        await peer.send_frame(TEXT, b"next")
        if not fetched:
            whole = text("ö12" if ended else "ö12ö3", decode_text)
            assert await connection.get_message() == whole
        assert await connection.get_message() == text("next", decode_text)
        tasks.cancel_scope.cancel()


def text(message: str, decode_text: bool) -> str | bytes:
    return message if decode_text else message.encode()


async def test_a_block_after_one_that_skips(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        async with connection.receive_fragments() as parts:
            await peer.send_frame(BINARY, b"a", fin=False)
            assert await anext(parts) == b"a"
        async with connection.receive_fragments():
            pass  # nothing is fetched, so nothing else is skipped
        async with connection.receive_fragments() as parts:
            await peer.send_frame(CONTINUATION, b"skipped", fin=False)
            await peer.send_frame(CONTINUATION, b"skipped")
            await peer.send_frame(BINARY, b"1", fin=False)
            assert await anext(parts) == b"1"
            await peer.send_frame(CONTINUATION, b"2")
            assert [part async for part in parts] == [b"2"]
        await peer.send_frame(TEXT, b"next")
        assert await connection.get_message() == "next"
        tasks.cancel_scope.cancel()


async def test_a_message_that_was_received_before_is_one_part(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        tasks.start_soon(connection.ping, b"ours")  # and reads
        assert await peer.receive_frame() == Frame(PING, b"ours")
        await peer.send_frame(BINARY, b"1", fin=False)
        await peer.send_frame(CONTINUATION, b"2")
        await anyio.wait_all_tasks_blocked()
        async with connection.receive_fragments():
            pass
        assert await parts_of(connection) == [b"12"]
        # What there is of a message when the block is entered is the first part, at
        # once: the peer may send nothing more before it has an answer.
        await peer.send_frame(BINARY, b"3", fin=False)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            async with connection.receive_fragments() as parts:
                assert await anext(parts) == b"3"
                await peer.send_frame(CONTINUATION, b"4")
                assert [part async for part in parts] == [b"4"]
        tasks.cancel_scope.cancel()


async def test_other_tasks_have_the_messages_before_and_after(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        found: list[tuple[int, object]] = []

        async def get(number: int) -> None:
            found.append((number, await connection.get_message()))

        async def get_parts(number: int) -> None:
            found.append((number, joined(await parts_of(connection))))

        for number, call in enumerate((get, get, get_parts, get, get_parts, get)):
            tasks.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
        # Tasks that wait can be cancelled, at the gate and in line.
        for call in (get, get_parts):
            with anyio.move_on_after(1) as scope:
                await call(9)
            assert scope.cancelled_caught
        for number in range(6):
            await peer.send_frame(BINARY, b"%d" % number, fin=False)
            await anyio.wait_all_tasks_blocked()
            await peer.send_frame(CONTINUATION, b"!")
            await anyio.wait_all_tasks_blocked()
        # A block that waits for another is behind those that ask meanwhile.
        assert found == [
            (0, b"0!"),
            (1, b"1!"),
            (2, b"2!"),
            (3, b"3!"),
            (5, b"4!"),
            (4, b"5!"),
        ]
        tasks.cancel_scope.cancel()


async def test_a_task_that_gives_way_has_its_message_before(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        entered: list[str] = []

        async def enter() -> None:
            async with connection.receive_fragments():
                entered.append("entered")

        fairness = connection._core._fairness
        fairness.gives_way = 1
        tasks.start_soon(enter)
        for _ in range(9):
            await anyio.lowlevel.checkpoint()
        assert entered == []
        fairness.gives_way = 0
        await anyio.wait_all_tasks_blocked()
        assert entered == ["entered"]
        await peer.send_frame(TEXT, b"next")
        assert await connection.get_message() == "next"
        tasks.cancel_scope.cancel()


async def test_of_two_tasks_that_give_way_both_are_before(opener: Opener) -> None:
    """A task that goes on first does not hide the other one, which takes longer."""
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, ping_interval=None)
        fairness = connection._core._fairness
        order: list[str] = []

        async def give_way_for_long() -> None:
            pending: Any = SimpleNamespace(has_pong=True)
            await fairness.give_way(pending)
            order.append("gave way")

        async def enter() -> None:
            async with connection.receive_fragments():
                order.append("entered")

        tasks.start_soon(give_way_for_long)
        while not fairness.gives_way:
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(enter)
        await fairness.give_way(connection._core.outbox)
        await anyio.wait_all_tasks_blocked()
        assert order == ["gave way", "entered"]
        tasks.cancel_scope.cancel()


async def test_a_cancelled_entry_leaves_those_in_line(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        found: list[str | bytes] = []

        async def get() -> None:
            found.append(await connection.get_message())

        for _ in range(2):
            tasks.start_soon(get)
            await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            tasks.start_soon(get_later, connection, found)
            with anyio.move_on_after(1):
                await parts_of(connection)
        assert not scope.cancel_called
        for message in (b"1", b"2", b"3"):
            await peer.send_frame(TEXT, message)
            await anyio.wait_all_tasks_blocked()
        assert found == ["1", "2", "3"]
        tasks.cancel_scope.cancel()


async def get_later(connection: WebSocketConnection, found: list[str | bytes]) -> None:
    await anyio.sleep(0.5)
    with anyio.move_on_after(9):  # at the gate at first, then in line
        found.append(await connection.get_message())


async def test_a_task_in_line_behind_a_block_can_be_cancelled(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        tasks.start_soon(connection.get_message)
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as entry, anyio.CancelScope() as behind:
            async with anyio.create_task_group() as inner:

                async def enter() -> None:
                    with anyio.move_on_after(1):
                        await parts_of(connection)
                    await anyio.sleep(1)
                    behind.cancel()

                inner.start_soon(enter)
                await anyio.sleep(0.5)
                await connection.get_message()
        assert behind.cancelled_caught
        assert not entry.cancel_called
        await peer.send_frame(TEXT, b"1")
        await anyio.wait_all_tasks_blocked()  # the other task may give way first
        await peer.send_frame(TEXT, b"2")
        assert await connection.get_message() == "2"
        tasks.cancel_scope.cancel()


async def test_closing_ends_a_block_that_waits_for_the_tasks_before_it() -> None:
    """Whichever of them runs first then; trio draws lots."""
    ended: list[object] = []

    async def receive(read: Any) -> None:
        with pytest.raises(ConnectionClosed):
            await read()
        ended.append(read)

    for _ in range(8):
        ended.clear()
        async with linked_by_sockets() as (client, server):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive, server.get_message)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(receive, partial(parts_of, server))
                tasks.start_soon(receive, client.get_message)
                await anyio.wait_all_tasks_blocked()
                with anyio.fail_after(5):
                    await server.aclose()
                    while len(ended) < 3:
                        await anyio.sleep(0.1)


async def test_a_task_cannot_get_a_message_within_its_own_block(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, _ = await opener(tasks, ping_interval=None)
        async with connection.receive_fragments():
            with pytest.raises(RuntimeError, match="its own block"):
                await connection.get_message()
            with pytest.raises(RuntimeError, match="its own block"):
                await parts_of(connection)
        tasks.cancel_scope.cancel()


async def test_parts_are_for_one_task_and_one_block(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        block: Any = connection.receive_fragments()
        with pytest.raises(RuntimeError, match="in the block only"):
            await anext(block)
        async with block as parts:
            with pytest.raises(RuntimeError, match="for one block"):
                await block.__aenter__()
            tasks.start_soon(anext, parts)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await anext(parts)
            await peer.send_frame(BINARY, b"1", fin=False)
            await anyio.wait_all_tasks_blocked()
            await peer.send_frame(CONTINUATION, b"2")
            assert [part async for part in parts] == [b"2"]
        with pytest.raises(RuntimeError, match="in the block only"):
            await anext(parts)
        with pytest.raises(RuntimeError, match="for one block"):
            await block.__aenter__()
        tasks.cancel_scope.cancel()


def code_of(error: ConnectionClosed) -> int:
    assert error.reason is not None
    return error.reason.code


@pytest.mark.parametrize("end", ["close", "loss", "mistake", "ours"])
async def test_C6_the_end_within_a_message_in_parts(opener: Opener, end: str) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, ping_interval=None)
        codes: list[int] = []

        async def get() -> None:
            with pytest.raises(ConnectionClosed) as raised:
                await connection.get_message()
            codes.append(code_of(raised.value))

        async with connection.receive_fragments() as parts:
            await peer.send_frame(TEXT, b"1", fin=False)
            assert await anext(parts) == "1"
            tasks.start_soon(get)
            await anyio.wait_all_tasks_blocked()
            if end == "close":
                await peer.send_frame(CLOSE, close_payload(1000, "done"))
                code = 1000
            elif end == "mistake":
                await peer.send_frame(CONTINUATION, b"\xff", fin=False)
                code = 1007
            elif end == "ours":
                tasks.start_soon(connection.aclose)
                await anyio.wait_all_tasks_blocked()
                code = 1000
                assert codes == [1000]
            else:
                await peer.stream.aclose()
                code = 1006
            with pytest.raises(ConnectionClosed) as raised:
                await anext(parts)
            assert code_of(raised.value) == code
        await anyio.wait_all_tasks_blocked()
        assert codes == [code]
        with pytest.raises(ConnectionClosed):
            await parts_of(connection)
        tasks.cancel_scope.cancel()


async def test_F5_no_more_parts_are_read_than_the_bounds_allow(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, ping_interval=None, capacity=1000, message_queue_size=2
        )
        sent = 0

        async def send() -> None:
            nonlocal sent
            await peer.send_frame(BINARY, b"", fin=False)
            for _ in range(100):
                await peer.send_frame(CONTINUATION, b"x" * 1000, fin=False)
                sent += 1000
            await peer.send_frame(CONTINUATION)

        async with connection.receive_fragments() as parts:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            assert sent < 10_000
            size = sum([len(part) async for part in parts])
        assert size == sent == 100_000
        tasks.cancel_scope.cancel()


async def test_D1_the_limit_is_for_the_whole_of_a_message_in_parts(
    opener: Opener,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, max_message_size=5)
        async with connection.receive_fragments() as parts:
            await peer.send_frame(BINARY, b"1234", fin=False)
            assert await anext(parts) == b"1234"
            await peer.send_frame(CONTINUATION, b"56")
            with pytest.raises(ConnectionClosed):
                await anext(parts)
            assert connection.closed is not None
            assert connection.closed.code == 1009
        tasks.cancel_scope.cancel()
