"""The checks that both kinds of streams share: each finds the mistake it is for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio import EndOfStream
from anyio.lowlevel import checkpoint

from anyio_websocket.testing import MemoryStream, memory_stream_pair
from anyio_websocket.testing import _stream_checks as checks
from anyio_websocket.testing._check_byte_stream import _Bytes

from ..support.broken_streams import check_finds

pytestmark = pytest.mark.virtual_time


class Shouts(MemoryStream):
    async def send(self, item: bytes) -> None:
        await super().send(item.upper())


class IsBusyBothWays(MemoryStream):
    async def send(self, item: bytes) -> None:
        with self._receiving:
            await super().send(item)


class WaitsForever(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep_forever()
        return b""


class LosesWhenCancelled(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await super().receive(max_bytes)
        await checkpoint()
        return data


class LosesWhenCancelledBefore(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        with anyio.CancelScope(shield=self._incoming.data != b""):
            data = await super().receive(max_bytes)
        await checkpoint()
        return data


class SendsUncancelled(MemoryStream):
    async def send(self, item: bytes) -> None:
        with anyio.CancelScope(shield=True):
            await super().send(item)


class SendsAndIsCancelled(SendsUncancelled):
    async def send(self, item: bytes) -> None:
        await super().send(item)
        await checkpoint()


class ReceivesUncancelled(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        with anyio.CancelScope(shield=self._incoming.data != b""):
            data = await super().receive(max_bytes)
        return data


class ReceivesAtOnce(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._incoming.data:
            await checkpoint()
        data = bytes(self._incoming.data[:max_bytes])
        del self._incoming.data[:max_bytes]
        return data


class SendsAtOnce(MemoryStream):
    async def send(self, item: bytes) -> None:
        self._outgoing.data += item
        self._outgoing.change()


class WakesNobody(MemoryStream):
    async def aclose(self) -> None:
        self.closed = True


class EndsInsteadOfClosed(MemoryStream):
    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await super().receive(max_bytes)
        except anyio.ClosedResourceError:
            raise EndOfStream from None


class ClosesOnce(MemoryStream):
    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("it is closed")
        await super().aclose()


class SendsWhenClosed(MemoryStream):
    async def send(self, item: bytes) -> None:
        if not self.closed:
            await super().send(item)


class EndsOnce(MemoryStream):
    ends = 0

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await super().receive(max_bytes)
        except EndOfStream:
            self.ends += 1
            if self.ends > self.limit:
                return b"more"
            raise

    limit = 1


class EndsThrice(EndsOnce):
    limit = 3


class RaisesOSError(MemoryStream):
    async def send(self, item: bytes) -> None:
        try:
            await super().send(item)
        except anyio.BrokenResourceError:
            raise ConnectionResetError("reset by peer") from None


class IgnoresThePeer(MemoryStream):
    async def send(self, item: bytes) -> None:
        if not self._outgoing.deaf:
            await super().send(item)


class WaitsBeforeItCloses(MemoryStream):
    async def aclose(self) -> None:
        await checkpoint()
        await super().aclose()


class EndsBoth(MemoryStream):
    async def send_eof(self) -> None:
        self._incoming.ended = True
        await super().send_eof()


class EndsNothing(MemoryStream):
    async def send_eof(self) -> None:
        pass


class EndsOneDirectionOnce(MemoryStream):
    async def send_eof(self) -> None:
        if self._outgoing.ended:
            raise OSError("not connected")
        await super().send_eof()


class HalfClosesAndDoesNotSayIt(MemoryStream):
    async def send_eof(self) -> None:
        await super().send_eof()
        raise NotImplementedError


class HasValues(MemoryStream):
    @property
    def extra_attributes(self) -> Any:
        return {"name": "value"}


class HasEverything(MemoryStream):
    @property
    def extra_attributes(self) -> Any:
        return defaultdict(lambda: lambda: "value")


@pytest.mark.parametrize(
    ("mistake", "check", "text"),
    [
        (
            Shouts,
            checks.what_is_sent_arrives_in_order,
            "received b'ITEM 0;' instead of b'item 0;'",
        ),
        (
            IsBusyBothWays,
            checks.one_task_sends_while_another_one_receives,
            "BusyResourceError (Another task is already receiving",
        ),
        (
            WaitsForever,
            checks.one_task_sends_while_another_one_receives,
            "did not end within 1 seconds, while",
        ),
        (LosesWhenCancelled, checks.a_cancelled_receive_loses_nothing, "while"),
        (
            LosesWhenCancelledBefore,
            checks.a_call_in_a_cancelled_scope_does_nothing,
            "while receiving b'item 3;'",
        ),
        (
            SendsUncancelled,
            checks.a_call_in_a_cancelled_scope_does_nothing,
            "send() in a cancelled scope was not cancelled",
        ),
        (
            SendsAndIsCancelled,
            checks.a_call_in_a_cancelled_scope_does_nothing,
            "received b'item 1;' instead of b'item 4;'",
        ),
        (
            ReceivesUncancelled,
            checks.a_call_in_a_cancelled_scope_does_nothing,
            "receive() in a cancelled scope was not cancelled",
        ),
        (
            ReceivesAtOnce,
            checks.every_call_lets_other_tasks_run,
            "no other task ran during receive()",
        ),
        (
            SendsAtOnce,
            checks.every_call_lets_other_tasks_run,
            "no other task ran during send()",
        ),
        (
            WakesNobody,
            checks.closing_wakes_the_task_that_receives,
            "while receive(), when its own stream was closed,",
        ),
        (
            EndsInsteadOfClosed,
            checks.closing_wakes_the_task_that_receives,
            "was closed, raised EndOfStream instead of ClosedResourceError",
        ),
        (
            SendsWhenClosed,
            checks.a_closed_stream_says_so,
            "send() after aclose() returned None instead of raising ClosedRes",
        ),
        (ClosesOnce, checks.a_closed_stream_says_so, "RuntimeError (it is closed)"),
        (
            EndsOnce,
            checks.what_was_sent_before_the_end_arrives_and_then_the_end,
            "returned b'more' instead of raising EndOfStream",
        ),
        (
            EndsThrice,
            checks.what_was_sent_before_the_end_arrives_and_then_the_end,
            "received b'more' after the end",
        ),
        (
            RaisesOSError,
            checks.sending_breaks_when_the_other_stream_is_closed,
            "raised ConnectionResetError (reset by peer) instead of BrokenResource",
        ),
        (
            IgnoresThePeer,
            checks.sending_breaks_when_the_other_stream_is_closed,
            "send(), 1000 times after the other stream was closed, returned None",
        ),
        (
            WaitsBeforeItCloses,
            checks.a_cancelled_close_closes,
            "while receive() after aclose()",
        ),
        (
            EndsBoth,
            checks.one_direction_is_ended_alone_or_that_is_not_implemented,
            "EndOfStream",
        ),
        (
            EndsNothing,
            checks.one_direction_is_ended_alone_or_that_is_not_implemented,
            "while receive() after the send_eof() of the other stream",
        ),
        (
            EndsOneDirectionOnce,
            checks.one_direction_is_ended_alone_or_that_is_not_implemented,
            "OSError (not connected)",
        ),
        (
            HalfClosesAndDoesNotSayIt,
            checks.one_direction_is_ended_alone_or_that_is_not_implemented,
            "ClosedResourceError",
        ),
        (
            HasValues,
            checks.attributes_can_be_asked_for,
            "the value of 'name' in extra_attributes is not a function",
        ),
        (
            HasEverything,
            checks.attributes_can_be_asked_for,
            "did not return the default for an attribute that nobody has",
        ),
    ],
)
async def test_mistakes(mistake: type[MemoryStream], check: Any, text: str) -> None:
    await check_finds(mistake, check, _Bytes(), text)


async def test_a_stream_of_another_kind() -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncGenerator[tuple[Any, Any]]:
        yield memory_stream_pair()

    class Objects(_Bytes):
        stream_type = anyio.abc.ObjectStream

    with pytest.raises(AssertionError, match="MemoryStream is not a subclass"):
        await checks.run_checks(
            [checks.it_is_a_stream_of_anyio], make_pair, Objects(), 1
        )


@pytest.mark.parametrize(
    ("hangs", "text"),
    [(True, "while making the streams"), (False, r"OSError \(no network\)")],
)
async def test_a_maker_that_fails_or_hangs(hangs: bool, text: str) -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncGenerator[tuple[Any, Any]]:
        if hangs:
            await anyio.sleep_forever()
        if not hangs:
            raise OSError("no network")
        yield memory_stream_pair()

    with pytest.raises(AssertionError, match=text):
        await checks.run_checks(
            [checks.it_is_a_stream_of_anyio], make_pair, _Bytes(), 1
        )


def test_words() -> None:
    group = ExceptionGroup("several", [AssertionError("a"), KeyError(), OSError("c")])
    assert checks.in_words(group) == "a, and KeyError, and OSError (c)"
    assert checks.shown("x" * 100) == f"'{'x' * 56}..."


def test_the_checks_are_all_made() -> None:
    made = {check.__name__ for check in checks.SHARED_CHECKS}
    assert made == {
        name
        for name, value in vars(checks).items()
        if list(getattr(value, "__annotations__", ())) == ["ends", "return"]
    }
