"""Waiting for a socket on asyncio: events, cancellation, and what tasks rely on."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import importlib
import select
import weakref
from contextlib import suppress
from typing import Any

import pytest

from anyio_websocket._transport._interface import TransportLost
from anyio_websocket._transport._readiness_asyncio import AsyncioReadiness

from ..support.backends import under_asyncio
from ..support.sockets import pair, reset


@under_asyncio
async def test_F1_cancelled_when_the_bytes_come() -> None:
    # A task is cancelled, and the callback of the socket runs before the task does. It
    # leaves the bytes in the kernel for the next call.
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()  # twice counts as once
        theirs.send(b"bytes")
        select.select([transport._socket], [], [])
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await transport.receive(10) == b"bytes"


@under_asyncio
async def test_a_spurious_wake_up() -> None:
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        transport._readiness._on_readable()  # type: ignore[attr-defined]
        assert not task.done()
        theirs.send(b"bytes")
        assert await task == b"bytes"


@pytest.mark.parametrize(
    "task_type",
    [asyncio.Task, asyncio.tasks._PyTask],  # type: ignore[attr-defined]
    ids=["c", "python"],
)
def test_what_a_task_asks_of_its_future(task_type: type[asyncio.Task[object]]) -> None:
    """The theory of operation in `_readiness_asyncio` explains each of these."""
    ours = {
        name
        for base in AsyncioReadiness.__mro__
        for name in vars(base)
        if name.startswith("_") and name != "_asyncio_future_blocking"
    }
    asked: set[str] = set()

    class Recording(AsyncioReadiness):
        def __getattribute__(self, name: str) -> object:
            if name not in ours:
                asked.add(name)
            return super().__getattribute__(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with pair() as (transport, theirs):
            readiness = Recording(loop, transport._socket)
            receiving, cancelled = readiness.receive(10), readiness.receive(10)
            asked.clear()
            task = task_type(receiving, loop=loop)
            await asyncio.sleep(0)
            theirs.send(b"bytes")
            assert await task == b"bytes"
            assert asked == {
                "_asyncio_future_blocking",
                "get_loop",
                "add_done_callback",
                "result",
            }
            asked.clear()
            task = task_type(cancelled, loop=loop)
            await asyncio.sleep(0)
            task.cancel("because")
            with pytest.raises(asyncio.CancelledError, match="because"):
                await task
            assert asked == {
                "_asyncio_future_blocking",
                "get_loop",
                "add_done_callback",
                "cancel",
                "result",
            }
            readiness.close()

    asyncio.run(main())


def test_a_reset_on_a_loop_derived_from_uvloop() -> None:
    uvloop: Any = pytest.importorskip("uvloop")

    class Derived(uvloop.Loop):  # type: ignore[misc]
        pass

    async def main() -> None:
        async with pair() as (transport, theirs):
            task = asyncio.create_task(transport.receive(10))
            await asyncio.sleep(0.01)
            theirs.send(b"bytes")
            reset(theirs)
            assert await task == b"bytes"
            async with asyncio.timeout(5):
                with pytest.raises(TransportLost):
                    await transport.receive(10)

    with asyncio.Runner(loop_factory=Derived) as runner:
        runner.run(main())


@under_asyncio
async def test_the_loop_is_not_woken_for_bytes_that_no_task_waits_for() -> None:
    async with pair() as (transport, theirs):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0.01)
        theirs.send(b"one")
        assert await task == b"one"
        theirs.send(b"two")
        await asyncio.sleep(0.05)
        # False means that it was not registered: else the loop would spin.
        assert not asyncio.get_running_loop().remove_reader(transport._socket)
        assert await transport.receive(10) == b"two"


@under_asyncio
async def test_a_task_is_woken_in_its_own_context() -> None:
    async with pair() as (transport, theirs):
        variable = contextvars.ContextVar("variable", default="never woken")
        context = contextvars.copy_context()

        async def receive() -> None:
            await transport.receive(10)
            variable.set("woken by bytes")
            await transport.receive(10)
            variable.set("woken by interrupt()")

        task = asyncio.create_task(receive(), context=context)
        await asyncio.sleep(0.01)
        theirs.send(b"bytes")
        await asyncio.sleep(0.01)
        assert context[variable] == "woken by bytes"
        transport.interrupt()
        await task
        assert context[variable] == "woken by interrupt()"


@under_asyncio
async def test_a_closed_socket_releases_the_context_of_its_last_task() -> None:
    # A context variable may refer to the connection. In a cycle, both would wait for
    # the garbage collector.
    class Value:
        pass

    variable: contextvars.ContextVar[Value] = contextvars.ContextVar("variable")

    async def receive(value: Value) -> None:
        variable.set(value)
        await transport.receive(10)

    async with pair() as (transport, theirs):
        value = Value()
        context = contextvars.copy_context()
        task = asyncio.create_task(receive(value), context=context)
        await asyncio.sleep(0.01)
        theirs.send(b"bytes")
        await task
        await transport.abort()
        released = weakref.ref(value)
        del value, context, task
        await asyncio.sleep(0)  # the loop's last callbacks
        assert released() is None


@under_asyncio
async def test_an_error_is_released_once_it_was_raised() -> None:
    class Error(OSError):
        pass

    async with pair() as (transport, _):
        readiness = AsyncioReadiness(asyncio.get_running_loop(), transport._socket)
        readiness._error = Error()
        released = weakref.ref(readiness._error)
        with suppress(Error):
            readiness.result()
        assert released() is None


class Blind:
    """A watcher that reads nothing."""

    def on_readable(self) -> bool:
        return False

    def on_unwatched(self) -> None:
        pass


def test_G1_a_selector_that_fails_once_is_asked_again() -> None:
    # A listener tries again. If the socket counted as registered, it would be for ever.
    def failing_once(base: Any, method: str) -> Any:
        def add_reader(self: Any, *args: Any) -> Any:
            if self.fails:
                self.fails = False
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return getattr(base, method)(self, *args)

        return type("Failing", (base,), {method: add_reader, "fails": False})

    async def main() -> None:
        async with pair() as (transport, theirs):
            readiness: Any = transport._readiness
            readiness.get_loop().fails = True
            with pytest.raises(OSError, match="memory"):
                await readiness.readable()
            readiness.get_loop().fails = True
            assert not readiness.watch(Blind())
            theirs.send(b"bytes")
            async with asyncio.timeout(5):
                await readiness.readable()
            assert await transport.receive(10) == b"bytes"

    loops = [failing_once(asyncio.SelectorEventLoop, "_add_reader")]
    with suppress(ImportError):
        loops.append(failing_once(importlib.import_module("uvloop").Loop, "add_reader"))
    for loop in loops:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
