"""What every stream of anyio promises, as checks of a pair of streams.

Here are the checks that both kinds of streams share, and how checks are run and told.
Those of bytes are in ``_check_byte_stream``, those of objects in
``_check_object_stream``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NoReturn, Protocol, cast

import anyio
from anyio import (
    BrokenResourceError,
    CancelScope,
    ClosedResourceError,
    EndOfStream,
    TypedAttributeLookupError,
)
from anyio.lowlevel import checkpoint

# Passes of the scheduler after which a task that has something to do has done it.
PASSES: Final = 30
# After so many sends, somebody has noticed that the other end is gone.
MANY: Final = 1000

MakePair = Callable[[], AbstractAsyncContextManager[tuple[Any, Any]]]


class Kind(Protocol):
    """What is different between streams of bytes and of objects."""

    stream_type: type[Any]

    def item(self, number: int) -> Any:
        """Return something to send."""
        ...

    async def receive(self, stream: Any, number: int) -> Any:
        """Receive what should be that item, and return what was received."""
        ...


class Ends:
    """Two connected streams that are checked, and what is being tried.

    :param near: the stream that is checked
    :param far: the other one
    :param kind: which kind of stream they are

    """

    def __init__(self, near: Any, far: Any, kind: Kind) -> None:
        self.near = near
        self.far = far
        self.kind = kind
        #: what a check that takes too long is waiting for
        self.doing = "making the streams"

    async def send(self, stream: Any, *numbers: int) -> None:
        """Send items."""
        for number in numbers:
            self.doing = f"send({shown(self.kind.item(number))})"
            await stream.send(self.kind.item(number))

    async def receive(self, stream: Any, *numbers: int) -> None:
        """Receive items, and compare them with what should come."""
        for number in numbers:
            expected = self.kind.item(number)
            self.doing = f"receiving {shown(expected)}"
            received = await self.kind.receive(stream, number)
            if (type(received), received) != (type(expected), expected):
                fail(f"received {shown(received)} instead of {shown(expected)}")

    async def exchange(self, sender: Any, receiver: Any, *numbers: int) -> None:
        """Send items and receive them. A stream may wait with one for the other."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.send, sender, *numbers)
            await self.receive(receiver, *numbers)

    async def raises(
        self,
        what: str,
        call: Callable[[], Awaitable[Any]],
        *expected: type[Exception],
    ) -> None:
        """Call, and see that it raises one of these exceptions."""
        self.doing = what
        names = " or ".join(error.__name__ for error in expected)
        try:
            result = await call()
        except expected:
            return
        except Exception as exc:
            fail(f"{what} raised {in_words(exc)} instead of {names}", exc)
        fail(f"{what} returned {shown(result)} instead of raising {names}")

    async def is_cancelled(self, what: str, call: Callable[[], Awaitable[Any]]) -> None:
        """Call in a scope that is cancelled, and see that it notices."""
        self.doing = what
        with CancelScope() as scope:
            scope.cancel()
            await call()
        if not scope.cancelled_caught:
            fail(f"{what} in a cancelled scope was not cancelled")


Check = Callable[[Ends], Awaitable[None]]


def fail(text: str, cause: BaseException | None = None) -> NoReturn:
    """Say what a stream did wrong."""
    raise AssertionError(text) from cause


def shown(thing: object) -> str:
    """Return a repr that fits into a line."""
    text = repr(thing)
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_words(exc: BaseException) -> str:
    """Name an exception; of a group those in it."""
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return ", and ".join(in_words(inner) for inner in group.exceptions)
    if isinstance(exc, AssertionError):
        return str(exc)
    text = str(exc)
    return f"{type(exc).__name__} ({text})" if text else type(exc).__name__


async def settle() -> None:
    """Let the other tasks do what they can."""
    for _ in range(PASSES):
        await checkpoint()


@asynccontextmanager
async def ticking() -> AsyncGenerator[list[None]]:
    """Count the passes of the scheduler while the block lasts."""
    ticks: list[None] = []

    async def tick() -> None:
        while True:
            ticks.append(None)
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await settle()
        yield ticks
        tasks.cancel_scope.cancel()


async def run_checks(
    checks: Iterable[Check], make_pair: MakePair, kind: Kind, timeout: float
) -> None:
    """Run checks of both ends, each with a pair of its own.

    :raises AssertionError: if some fail; it says which ones, and what happened

    """
    failures: list[str] = []
    count = 0
    for check in checks:
        for name in ("first", "second"):
            count += 1
            problem = await _run(check, make_pair, kind, name == "first", timeout)
            if problem:
                title = getattr(check, "__name__", "").replace("_", " ")
                failures.append(f"- {title} ({name} stream): {problem}")
    if failures:
        lines = "\n".join(failures)
        raise AssertionError(f"{len(failures)} of {count} checks failed:\n{lines}")


async def _run(
    check: Check, make_pair: MakePair, kind: Kind, is_first: bool, timeout: float
) -> str:
    """Run one check, and return what went wrong."""
    ends: Ends | None = None
    with CancelScope(deadline=anyio.current_time() + timeout) as scope:
        try:
            async with make_pair() as (one, other):
                ends = Ends(*((one, other) if is_first else (other, one)), kind)
                try:
                    await check(ends)
                    ends.doing = "leaving the block of make_pair()"
                finally:
                    for stream in (one, other):
                        await anyio.aclose_forcefully(stream)
        except Exception as exc:
            return in_words(exc)
    if scope.cancelled_caught:
        doing = "making the streams" if ends is None else ends.doing
        return f"it did not end within {timeout} seconds, while {doing}"
    return ""


# -- the checks that both kinds share --------------------------------------------------


async def it_is_a_stream_of_anyio(ends: Ends) -> None:
    expected = ends.kind.stream_type
    if not isinstance(ends.near, expected):
        fail(f"{type(ends.near).__name__} is not a subclass of {expected.__name__}")


async def what_is_sent_arrives_in_order(ends: Ends) -> None:
    await ends.exchange(ends.near, ends.far, *range(20))
    await ends.exchange(ends.far, ends.near, *range(20))


async def one_task_sends_while_another_one_receives(ends: Ends) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.receive, ends.near, 1)
        await settle()
        await ends.exchange(ends.near, ends.far, 2)
        await ends.send(ends.far, 1)


async def a_cancelled_receive_loses_nothing(ends: Ends) -> None:
    with CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ends.near.receive)
            await settle()
            scope.cancel()
    await ends.exchange(ends.far, ends.near, 0)
    # And while it arrives.
    for number in range(12):
        received = False
        async with anyio.create_task_group() as tasks:
            with CancelScope() as scope:
                tasks.start_soon(_cancel_after, scope, number)
                tasks.start_soon(ends.far.send, ends.kind.item(number))
                await ends.receive(ends.near, number)
                received = True
            if not received:
                await ends.receive(ends.near, number)


async def _cancel_after(scope: CancelScope, passes: int) -> None:
    for _ in range(passes):
        await checkpoint()
    scope.cancel()


async def a_call_in_a_cancelled_scope_does_nothing(ends: Ends) -> None:
    near, far = ends.near, ends.far
    await ends.is_cancelled("send()", lambda: near.send(ends.kind.item(1)))
    async with anyio.create_task_group() as tasks:
        # With the first item the stream has the second one, too. Otherwise there may be
        # a race between the cancellation and the arrival.
        tasks.start_soon(ends.send, far, 2, 3)
        await settle()
        await ends.receive(near, 2)
        await settle()
        await ends.is_cancelled("receive()", near.receive)
        await ends.receive(near, 3)
    await ends.exchange(near, far, 4)


async def every_call_lets_other_tasks_run(ends: Ends) -> None:
    # Several calls, because trio runs the tasks of a pass in any order.
    numbers = range(4)
    async with ticking() as ticks, anyio.create_task_group() as tasks:
        tasks.start_soon(ends.send, ends.far, *numbers)
        await settle()
        count = len(ticks)
        await ends.receive(ends.near, *numbers)
        if len(ticks) == count:
            fail("no other task ran during receive()")
    async with ticking() as ticks, anyio.create_task_group() as tasks:
        tasks.start_soon(ends.receive, ends.far, *numbers)
        await settle()
        count = len(ticks)
        await ends.send(ends.near, *numbers)
        if len(ticks) == count:
            fail("no other task ran during send()")


async def closing_wakes_the_task_that_receives(ends: Ends) -> None:
    what = "receive(), when its own stream was closed,"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ends.raises, what, ends.near.receive, ClosedResourceError)
        await settle()
        await ends.near.aclose()


async def a_closed_stream_says_so(ends: Ends) -> None:
    near = ends.near
    await near.aclose()
    for _ in range(2):
        await ends.raises("receive() after aclose()", near.receive, ClosedResourceError)
        await ends.raises(
            "send() after aclose()",
            lambda: near.send(ends.kind.item(1)),
            ClosedResourceError,
        )
        ends.doing = "closing it once more"
        await near.aclose()


async def what_was_sent_before_the_end_arrives_and_then_the_end(ends: Ends) -> None:
    near, far = ends.near, ends.far

    async def send_and_close() -> None:
        await ends.send(far, 1, 2)
        await far.aclose()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_and_close)
        await settle()
        await ends.receive(near, 1, 2)
        for _ in range(3):
            await ends.raises(
                "receive(), when the other stream was closed,",
                near.receive,
                EndOfStream,
            )
        async for item in near:
            fail(f"received {shown(item)} after the end")


async def sending_breaks_when_the_other_stream_is_closed(ends: Ends) -> None:
    near = ends.near

    async def send_many() -> None:
        for _ in range(MANY):
            await near.send(ends.kind.item(1))

    await ends.far.aclose()
    for _ in range(2):
        await ends.raises(
            f"send(), {MANY} times after the other stream was closed,",
            send_many,
            BrokenResourceError,
        )


async def a_cancelled_close_closes(ends: Ends) -> None:
    near = ends.near
    ends.doing = "closing it in a cancelled scope"
    await anyio.aclose_forcefully(near)
    await ends.raises("receive() after aclose()", near.receive, ClosedResourceError)
    await ends.raises(
        "send() after aclose()",
        lambda: near.send(ends.kind.item(1)),
        ClosedResourceError,
    )
    await ends.raises(
        "receive(), when the other stream was closed,",
        ends.far.receive,
        *(EndOfStream, BrokenResourceError),
    )


async def one_direction_is_ended_alone_or_that_is_not_implemented(ends: Ends) -> None:
    near, far = ends.near, ends.far

    async def send_and_end() -> None:
        await ends.send(near, 1)
        try:
            for _ in range(2):
                ends.doing = "send_eof()"
                await near.send_eof()
        except NotImplementedError:
            await ends.send(near, 2)
            ended.append(False)
        else:
            ended.append(True)

    ended: list[bool] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_and_end)
        await ends.receive(far, 1)
        await settle()
        if ended == [True]:
            for _ in range(2):
                await ends.raises(
                    "receive() after the send_eof() of the other stream",
                    far.receive,
                    EndOfStream,
                )
        else:
            await ends.receive(far, 2)
    await ends.exchange(far, near, 3)


async def attributes_can_be_asked_for(ends: Ends) -> None:
    attribute = object()
    for name, value in dict(ends.near.extra_attributes).items():
        if not callable(value):
            fail(f"the value of {shown(name)} in extra_attributes is not a function")
    if ends.near.extra(attribute, 7) != 7:
        fail("extra() did not return the default for an attribute that nobody has")

    async def ask() -> Any:
        return ends.near.extra(attribute)

    what = "extra() for an attribute that nobody has"
    await ends.raises(what, ask, TypedAttributeLookupError)


SHARED_CHECKS: Final[tuple[Check, ...]] = (
    it_is_a_stream_of_anyio,
    what_is_sent_arrives_in_order,
    one_task_sends_while_another_one_receives,
    a_cancelled_receive_loses_nothing,
    a_call_in_a_cancelled_scope_does_nothing,
    every_call_lets_other_tasks_run,
    closing_wakes_the_task_that_receives,
    a_closed_stream_says_so,
    what_was_sent_before_the_end_arrives_and_then_the_end,
    sending_breaks_when_the_other_stream_is_closed,
    a_cancelled_close_closes,
    one_direction_is_ended_alone_or_that_is_not_implemented,
    attributes_can_be_asked_for,
)
