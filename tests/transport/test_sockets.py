"""`SocketTransport`: what it sends and keeps, how it waits, and how it breaks."""

from __future__ import annotations

import socket
import sys
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket import Endpoint
from anyio_websocket._transport._interface import TransportLost, send
from anyio_websocket._transport._sockets import CAN_GATHER, SocketTransport

from ..support.sockets import pair, read, reset

BIG = bytes(range(256)) * 2**14  # 4 MiB, more than any buffer of a socket holds


# -- sending -------------------------------------------------------------------


async def test_a_small_write_is_sent_at_once() -> None:
    async with pair() as (transport, theirs):
        assert transport.write(b"abc")
        assert not transport.unsent
        assert await read(theirs, 3) == b"abc"


async def test_unsent_bytes_are_kept_for_flush() -> None:
    async with pair() as (transport, theirs):
        assert not transport.write(BIG)
        assert transport.unsent
        assert not transport.write(b"behind")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            with anyio.fail_after(10):
                assert await read(theirs, len(BIG) + 6) == BIG + b"behind"
        assert transport.write(b"x")  # so nothing was left


@pytest.mark.parametrize("can_gather", [True, False])
async def test_data_and_payload_are_sent_in_order(
    can_gather: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "anyio_websocket._transport._sockets.CAN_GATHER", can_gather and CAN_GATHER
    )
    async with pair() as (transport, theirs):
        assert transport.write(b"head", b"payload")
        assert await read(theirs, 11) == b"headpayload"
        assert not transport.write(b"head", BIG)
        assert not transport.write(b"and ", b"more")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            with anyio.fail_after(10):
                data = await read(theirs, 4 + len(BIG) + 8)
        assert data == b"head" + BIG + b"and more"
        # and where nothing more fits at all
        while transport.write(BIG):
            pass
        transport.unsent = b""
        assert not transport.write(b"head", b"payload")
        assert bytes(transport.unsent) == b"headpayload"


class Waits:
    """Awaits something, and counts how often it lets the event loop go on."""

    def __init__(self, awaited: Any) -> None:
        self._awaited = awaited
        self.count = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaited.__await__()
        sent: Any = None
        while True:
            try:
                wanted = steps.send(sent)
            except StopIteration as stop:
                return stop.value
            self.count += 1
            sent = yield wanted


async def test_who_has_sent_the_end_waits_for_the_peers() -> None:
    async with pair() as (transport, theirs):
        theirs.sendall(b"12345678")
        assert await transport.receive(8) == b"12345678"  # a full read: more may follow
        theirs.shutdown(socket.SHUT_WR)
        assert await transport.send_eof()
        receiving = Waits(transport.receive(8))
        assert await receiving == b""
        assert receiving.count == 1


async def test_F3_a_cancelled_flush_keeps_what_is_unsent() -> None:
    async with pair() as (transport, theirs):
        assert not transport.write(BIG)
        for _ in range(3):
            with anyio.move_on_after(0.01) as scope:
                await transport.flush()
            assert scope.cancelled_caught
            assert transport.unsent
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            with anyio.fail_after(10):
                assert await read(theirs, len(BIG)) == BIG


async def test_sent_data_is_released() -> None:
    async with pair() as (transport, theirs):
        data = bytes(len(BIG))
        before = sys.getrefcount(data)
        assert not transport.write(data)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            with anyio.fail_after(10):
                await read(theirs, len(data))
        assert sys.getrefcount(data) == before


async def test_E4_a_peer_that_takes_bytes_is_active() -> None:
    async with pair() as (transport, theirs):
        assert not transport.write(BIG)
        transport.peer_active = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(10):
                await read(theirs, len(BIG))
        assert transport.peer_active


async def test_half_close() -> None:
    async with pair() as (transport, theirs):
        assert await transport.send_eof()
        with anyio.fail_after(5):
            await anyio.wait_readable(theirs)
            assert theirs.recv(1) == b""
            theirs.send(b"more")
            assert await transport.receive(None) == b"more"


# -- receiving -----------------------------------------------------------------


async def test_the_end() -> None:
    async with pair() as (transport, theirs):
        theirs.send(b"last")
        theirs.close()
        with anyio.fail_after(5):
            assert await transport.receive(10) == b"last"
            assert await transport.receive(10) == b""


async def test_interrupted() -> None:
    async with pair() as (transport, theirs):
        transport.interrupt()  # no task is in receive(): no effect
        results: list[bytes | None] = []

        async def receive() -> None:
            results.append(await transport.receive(10))

        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.wait_all_tasks_blocked()
                transport.interrupt()
                transport.interrupt()
        theirs.send(b"x")
        with anyio.fail_after(5):
            await receive()
        assert results == [None, None, b"x"]


async def test_interrupting_the_reader_leaves_the_writer_alone() -> None:
    async with pair() as (transport, theirs):
        transport.write(BIG)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            tasks.start_soon(transport.receive, 10)
            await anyio.wait_all_tasks_blocked()
            transport.interrupt()
            with anyio.fail_after(10):
                assert await read(theirs, len(BIG)) == BIG


async def test_nothing_comes_after_a_full_read() -> None:
    async with pair() as (transport, theirs):
        theirs.send(b"0123456789")
        assert await transport.receive(10) == b"0123456789"
        async with anyio.create_task_group() as tasks:

            async def send_more() -> None:
                await anyio.wait_all_tasks_blocked()
                theirs.send(b"more")

            tasks.start_soon(send_more)
            with anyio.fail_after(5):
                assert await transport.receive(10) == b"more"


async def test_a_socket_that_is_full() -> None:
    async with pair() as (transport, theirs):
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += transport._socket.send(BIG)
        assert not transport.write(b"rest")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.flush)
            with anyio.fail_after(10):
                assert (await read(theirs, sent + 4)).endswith(b"rest")


async def test_F1_cancelling_loses_nothing() -> None:
    async with pair() as (transport, theirs):
        got = b""
        sent = b""
        async with anyio.create_task_group() as tasks:
            for i in range(100):
                sent += bytes([i])

                async def receive(scope: anyio.CancelScope) -> None:
                    nonlocal got
                    with scope:
                        got += await transport.receive(10) or b""

                scope = anyio.CancelScope()
                tasks.start_soon(receive, scope)
                await anyio.lowlevel.checkpoint()
                theirs.send(bytes([i]))
                for _ in range(i % 5):  # in whatever state it is then
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
                await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            while got != sent:
                got += await transport.receive(10) or b""


async def test_N1_nothing_is_read_while_no_task_receives() -> None:
    async with pair() as (transport, theirs):
        theirs.send(b"a")
        assert await transport.receive(10) == b"a"
        sent = 0
        with anyio.move_on_after(0.3):  # the network may take its time
            while True:
                try:
                    sent += theirs.send(bytes(2**16))
                except BlockingIOError:
                    await anyio.wait_writable(theirs)
        assert sent < 2**24
        with anyio.fail_after(10):
            while sent:
                sent -= len(await transport.receive(2**16) or b"")


async def test_F8_full_reads_let_other_tasks_run() -> None:
    async with pair() as (transport, theirs):
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            await anyio.lowlevel.checkpoint()
            theirs.send(bytes(10_000))
            before = turns
            for _ in range(10_000):
                assert await transport.receive(1) == b"\0"
            assert turns - before >= 1000
            tasks.cancel_scope.cancel()


async def test_receiving_into_a_place() -> None:
    place = bytearray(4)
    async with pair() as (transport, theirs):
        with memoryview(place) as view:
            assert transport.receive_into(view) == 0
            theirs.send(b"123456")
            assert await transport.receive(1) == b"1"
            assert transport.receive_into(view) == 4
            assert place == b"2345"
            assert transport.receive_into(view) == 1
            assert place == b"6345"
            theirs.close()
            assert await transport.receive(1) == b""
            assert transport.receive_into(view) == 0


# -- what goes wrong -----------------------------------------------------------


async def test_receiving_from_a_closed_socket_fails() -> None:
    async with pair() as (transport, theirs), pair() as (other, _):
        theirs.send(b"x")
        assert await transport.receive(None) == b"x"
        await transport.abort()
        with pytest.raises(TransportLost):
            await transport.receive(None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.receive, None)
            await anyio.wait_all_tasks_blocked()
            await other.abort()
            other.interrupt()  # the task is woken already
        await anyio.sleep(0.01)  # and not the task that tried to receive


async def test_F7_a_reset_while_receiving_into_a_place() -> None:
    async with pair() as (transport, theirs):
        reset(theirs)
        with (
            memoryview(bytearray(4)) as view,
            pytest.raises(TransportLost) as caught,
            anyio.fail_after(5),
        ):
            while True:
                assert transport.receive_into(view) == 0
                await anyio.sleep(0.001)
        assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_F7_a_reset() -> None:
    async with pair() as (transport, theirs):
        reset(theirs)
        with anyio.fail_after(5), pytest.raises(TransportLost) as caught:
            while await transport.receive(10) != b"":
                pass
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(TransportLost) as caught:
            for _ in range(3):
                await send(transport, BIG)
        assert isinstance(caught.value.__cause__, OSError)
        assert "127.0.0.1" in str(transport.remote)


@pytest.mark.parametrize("waits", [False, True])
async def test_F7_bytes_and_a_reset(waits: bool) -> None:
    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.02):  # so that the next receive() waits
            await transport.receive(100)

        async def receive() -> None:
            assert await transport.receive(100) == b"bytes"
            with pytest.raises(TransportLost), anyio.fail_after(5):
                if not await transport.receive(100):
                    raise TransportLost  # some systems report the end instead

        if waits:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
        theirs.send(b"bytes")
        reset(theirs)
        if not waits:
            await receive()


async def test_F7_a_reset_after_a_reply() -> None:
    async with pair() as (transport, theirs):
        with anyio.move_on_after(0.02):  # so that the next receive() waits
            await transport.receive(100)
        for _ in range(3):
            theirs.send(b"bytes")
            assert await transport.receive(100) == b"bytes"
            assert transport.write(b"reply")
            theirs.recv(100)
        reset(theirs)
        with pytest.raises(TransportLost), anyio.fail_after(5):
            if not await transport.receive(100):
                raise TransportLost  # some systems report the end instead


async def test_F7_a_reset_behind_bytes_is_told_to_a_watcher() -> None:
    called = anyio.Event()

    class Watching:
        def on_readable(self) -> bool:
            called.set()
            return False

        def on_unwatched(self) -> None: ...

    async with pair() as (transport, theirs), anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.02):  # so that the next receive() waits
            await transport.receive(100)

        async def receive() -> None:
            assert await transport.receive(100) == b"bytes"
            assert transport.watch(Watching())

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        theirs.send(b"bytes")
        reset(theirs)
        with anyio.fail_after(5):
            await called.wait()


async def test_F7_a_reset_while_waiting() -> None:
    async with pair() as (transport, theirs):
        errors: list[BaseException | None] = []

        async def flush() -> None:
            with pytest.raises(TransportLost) as caught:
                await transport.flush()
            errors.append(caught.value.__cause__)

        async def receive() -> None:
            try:
                # The kernel reports the reset to only one of the two tasks, and to the
                # other one the end of the stream.
                assert await transport.receive(10) == b""
            except TransportLost as exc:
                errors.append(exc.__cause__)

        transport.write(BIG)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flush)
                tasks.start_soon(receive)
                await anyio.wait_all_tasks_blocked()
                reset(theirs)
        assert errors
        assert all(isinstance(error, OSError) for error in errors)


async def test_closing_wakes_the_tasks_that_wait() -> None:
    async with pair() as (transport, _):
        results: list[object] = []

        async def receive() -> None:
            results.append(await transport.receive(10))

        async def flush() -> None:
            with pytest.raises(TransportLost):
                await transport.flush()
            results.append("lost")

        transport.write(BIG)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(flush)
            await anyio.wait_all_tasks_blocked()
            await transport.abort()
        assert sorted(map(str, results)) == ["None", "lost"]
        await transport.abort()
        await transport.aclose()
        for call in (
            partial(transport.receive, 10),
            transport.send_eof,
            partial(send, transport, b"x"),
        ):
            with pytest.raises(TransportLost):
                await call()


async def test_a_closed_socket_keeps_its_addresses() -> None:
    async with pair() as (transport, theirs):
        local, remote = transport.local, transport.remote
        assert isinstance(local, Endpoint)
        assert theirs.getpeername()[1] == local.port
        await transport.aclose()
        assert (transport.local, transport.remote) == (local, remote)


async def test_a_socket_without_a_peer_has_no_address() -> None:
    transport = SocketTransport(socket.socket())
    assert "socket" in str(transport.remote)
    await transport.abort()
