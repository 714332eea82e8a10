"""Waiting for a socket on asyncio: events, cancellation, and what tasks rely on."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import importlib
import select
import sys
import weakref
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
import pytest

from anyio_websocket._transport import (
    _readiness_asyncio,
    _readiness_future,
    _readiness_future_py,
)
from anyio_websocket._transport._interface import TransportLost

from ..support.backends import under_asyncio
from ..support.modules import imported_anew
from ..support.sockets import pair, reset

IN_PYTHON = _readiness_future_py.SocketFuture
IN_C: type | None
try:
    from anyio_websocket._transport._readiness_future_c import SocketFuture as IN_C
except ImportError:  # not built, or on Windows
    IN_C = None


@pytest.fixture(params=["C", "Python"], autouse=True)
def readiness_type(request: pytest.FixtureRequest, monkeypatch: Any) -> type[Any]:
    """Have connections use the future in C, or that in Python; return the class."""
    future = IN_C if request.param == "C" else IN_PYTHON
    if future is None:
        pytest.skip("_readiness_future_c is not built")
    monkeypatch.setattr(_readiness_future, "SocketFuture", future)
    new = imported_anew(_readiness_asyncio)
    for name in ("AsyncioReadiness", "UvloopReadiness"):
        monkeypatch.setattr(_readiness_asyncio, name, getattr(new, name))
    assert issubclass(new.AsyncioReadiness, future)
    return new.AsyncioReadiness  # type: ignore[no-any-return]


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
def test_what_a_task_asks_of_its_future(
    task_type: type[asyncio.Task[object]], readiness_type: type[Any]
) -> None:
    """The theory of operation in `_readiness_asyncio` explains each of these."""
    ours = {
        name
        for base in readiness_type.__mro__
        for name in vars(base)
        if name.startswith("_") and name != "_asyncio_future_blocking"
    }
    asked: set[str] = set()

    class Recording(readiness_type):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> object:
            if name not in ours:
                asked.add(name)
            return super().__getattribute__(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with pair() as (transport, theirs):
            readiness: Any = Recording(loop, transport._socket)
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
        while context.get(variable) != "woken by bytes":
            await asyncio.sleep(0)
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
        readiness = _readiness_asyncio.AsyncioReadiness(
            asyncio.get_running_loop(), transport._socket
        )
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


@under_asyncio
async def test_reads_grow_with_what_comes() -> None:
    async with pair() as (transport, theirs):
        for size in (10, 5000, 60_000, 5000, 10, 10):
            theirs.send(bytes(size))
            received = b""
            while len(received) < size:
                data = await transport.receive(100_000)
                assert data
                received += data
            assert received == bytes(size)
        for size in (20, 20, 5):  # reads that come back full, and one that does not
            theirs.send(bytes(size))
            assert await transport.receive(20) == bytes(size)
        readiness: Any = transport._readiness
        assert readiness._full_reads == 0
        assert readiness.may_be_reset is True
        theirs.send(bytes(300_000))
        got = 0
        while got < 300_000:
            got += len(await transport.receive(131_072) or b"")
            is_bulk = readiness._is_bulk
        assert isinstance(is_bulk, bool)
        # A read of 10 bytes is the rest of a large message, or a message by itself.
        readiness._is_bulk, readiness._full_reads = True, 1
        for after in (True, False):
            theirs.send(bytes(10))
            select.select([transport._socket], [], [])
            assert await transport.receive(131_072) == bytes(10)
            assert readiness._is_bulk is after
            if after:
                message, came = bytes(range(250)) * 400, b""
                theirs.send(message)
                while len(came) < len(message):
                    came += await transport.receive(131_072) or b""
                assert came == message
                readiness._full_reads = 0


@under_asyncio
async def test_the_end_and_a_reset() -> None:
    for is_waiting in (True, False):
        async with pair() as (transport, theirs):
            task = asyncio.create_task(transport.receive(10))
            await asyncio.sleep(0)
            theirs.send(b"1234567890")
            assert await task == b"1234567890"
            if is_waiting:
                task = asyncio.create_task(transport.receive(10))
                await asyncio.sleep(0)
                reset(theirs)
            else:
                reset(theirs)
                select.select([transport._socket], [], [])
                task = asyncio.create_task(transport.receive(10))
            with pytest.raises(TransportLost) as caught:
                await task
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            assert caught.value.__context__ is caught.value.__cause__
    async with pair() as (transport, theirs):
        theirs.close()
        assert await transport.receive(10) == b""


@under_asyncio
async def test_a_socket_that_somebody_else_closed() -> None:
    async with pair() as (transport, _):
        transport._socket.close()
        with pytest.raises(TransportLost) as caught:
            await transport.receive(10)
        assert caught.value.__cause__.errno == errno.EBADF  # type: ignore[union-attr]


@under_asyncio
async def test_an_exception_that_is_no_error_of_the_socket() -> None:
    class Failing:
        error: BaseException = MemoryError()

        def fileno(self, _: object = None) -> int:
            raise self.error

        recv = fileno

    sock: Any = Failing()
    readiness = _readiness_asyncio.AsyncioReadiness(asyncio.get_running_loop(), sock)
    for error, raised in (
        (MemoryError(), TransportLost),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        sock.error = error
        with pytest.raises(raised):
            readiness.receive(10).send(None)
    readiness._wakeup = lambda _: None
    readiness._size = 10
    with pytest.raises(KeyboardInterrupt):
        readiness._on_readable()  # the loop deals with it, and the task waits on
    assert not readiness.done()


# From CPython 3.12 on, that of a coroutine in Python warns of a class and a value.
@pytest.mark.filterwarnings("ignore:the .* signature of throw:DeprecationWarning")
@under_asyncio
async def test_what_receives_is_a_coroutine() -> None:
    async with pair() as (transport, theirs):
        never_begun, begun, thrown, ended = (transport.receive(10) for _ in range(4))
        assert isinstance(begun, Coroutine)
        never_begun.close()
        assert begun.send(None) is transport._readiness
        begun.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            begun.send(None)
        assert thrown.send(None) is transport._readiness
        with pytest.raises(TransportLost) as caught:
            thrown.throw(ValueError("thrown"))
        assert repr(caught.value.__cause__) == "ValueError('thrown')"
        theirs.send(b"bytes")
        select.select([transport._socket], [], [])
        transport._readiness._full_reads = 1
        with pytest.raises(StopIteration) as stopped:
            ended.send(None)
        assert stopped.value.value == b"bytes"

        async def thrown_at(*error: Any) -> None:
            receiving: Any = transport.receive(10)
            receiving.send(None)
            receiving.throw(*error)

        for error in ((KeyError,), (KeyError, KeyError("key"), None), (KeyError(),)):
            with pytest.raises(TransportLost) as caught:
                await thrown_at(*error)
            assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(asyncio.CancelledError):
            await thrown_at(asyncio.CancelledError())
        transport.interrupt()


@under_asyncio
async def test_an_interrupt_returns_none() -> None:
    async with pair() as (transport, _):
        task = asyncio.create_task(transport.receive(10))
        await asyncio.sleep(0)
        transport.interrupt()
        assert await task is None
        receiving = transport.receive(10)
        receiving.send(None)
        with pytest.raises(StopIteration) as stopped:
            receiving.send(None)
        assert stopped.value.value is None
        readiness: Any = transport._readiness
        task = asyncio.create_task(readiness.readable())
        await asyncio.sleep(0)
        readiness.interrupt()
        with pytest.raises(anyio.ClosedResourceError):
            await task


@under_asyncio
async def test_wrong_arguments() -> None:
    async with pair() as (transport, _):
        readiness: Any = transport._readiness
        with pytest.raises(TypeError):
            readiness.add_done_callback()
        with pytest.raises((TypeError, TransportLost)):
            await readiness.receive("10")
        with pytest.raises(TypeError):
            _readiness_asyncio.AsyncioReadiness()  # type: ignore[call-arg]
        receiving = readiness.receive(10)
        with pytest.raises(TypeError):
            receiving.throw()
        receiving.close()


@under_asyncio
async def test_a_cycle_with_a_task_is_collected() -> None:
    # A task that waits refers to what it waits for, and that to the task.
    async with pair() as (transport, _):
        args = asyncio.get_running_loop(), transport._socket

        async def wait() -> None:
            await transport.receive(10)

        waiting: Any = wait()
        readiness = waiting.send(None)
        readiness._wakeup = waiting.send
        released = weakref.ref(waiting)
        readiness._unregister()
        del waiting, readiness, transport._readiness
        gc.collect()
        assert released() is None
        transport._readiness = _readiness_asyncio.AsyncioReadiness(*args)


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="others do not count blocks"
)
@under_asyncio
async def test_it_keeps_nothing() -> None:
    async with pair() as (transport, theirs):

        async def exchange(times: int) -> None:
            for _ in range(times):
                task = asyncio.create_task(transport.receive(10))
                await asyncio.sleep(0)
                theirs.send(b"text")
                assert await task == b"text"
                task = asyncio.create_task(transport.receive(10))
                await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                with suppress(KeyError):
                    transport.receive(10).throw(KeyError())

        await exchange(20)
        before = sys.getallocatedblocks()
        await exchange(500)
        assert sys.getallocatedblocks() - before < 250
