"""A stream on which something goes wrong, at a time that the test says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anyio import BrokenResourceError, ClosedResourceError, Event, sleep, sleep_forever
from anyio.abc import ByteStream

Attributes = Mapping[Any, Callable[[], Any]]
OPERATIONS = ("receive", "send", "send_eof", "aclose")


class FaultyStream(ByteStream):
    """A stream around another one, slower, narrower, or failing at a certain call.

    It fits wherever a stream does: around one end of `memory_stream_pair`, or around a
    socket. The other end needs no wrapper.

    `calls` counts. So a test can run once without a fault, and then once for each call
    with a fault there.

    :param stream: the stream below
    :param capacity: how many bytes it takes in all. Of more, ``send`` sends what fits,
        and then waits until the stream is closed, as if the peer had stopped reading;
        default any number
    :param delay: seconds that each call takes longer; default 0
    :param max_receive: bytes that are received at once at the most; default any number
    :param max_send: bytes that are given to the stream below at once at the most, in
        several calls; default any number
    :param fail_at: which call raises ``error`` instead of doing anything, from 1;
        default none. Calls after it work again
    :param hang_at: which call never ends, from 1, unless the stream is closed, as if
        the peer had vanished; default none. ``aclose`` then ends if it is cancelled
    :param error: what the call at ``fail_at`` raises: an exception or a function that
        makes one; default `anyio.BrokenResourceError`
    :param operations: the names of the methods that count as calls; default
        ``("receive", "send", "send_eof", "aclose")``, all
    :raises ValueError: if a number cannot work, or there is no such operation

    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        capacity: float = math.inf,
        delay: float = 0,
        max_receive: int | None = None,
        max_send: int | None = None,
        fail_at: int | None = None,
        hang_at: int | None = None,
        error: Exception | Callable[[], Exception] = BrokenResourceError,
        operations: Iterable[str] = OPERATIONS,
    ) -> None:
        if capacity < 0 or delay < 0:
            raise ValueError("capacity and delay must not be negative")
        for name, number in (
            *(("max_receive", max_receive), ("max_send", max_send)),
            *(("fail_at", fail_at), ("hang_at", hang_at)),
        ):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        self._operations = frozenset(operations)
        unknown = sorted(self._operations.difference(OPERATIONS))
        if unknown:
            raise ValueError(f"there is no operation {unknown[0]!r}: {OPERATIONS}")
        #: how many calls there were
        self.calls: int = 0
        self._stream = stream
        self._capacity = capacity
        self._delay = delay
        self._max_receive = max_receive
        self._max_send = max_send
        self._fail_at = fail_at
        self._hang_at = hang_at
        self._error = error
        self._closed = Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await self._before("receive")
        if self._max_receive is not None:
            max_bytes = min(max_bytes, self._max_receive)
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        await self._before("send")
        fits = item[: int(min(self._capacity, len(item)))]
        self._capacity -= len(fits)
        size = self._max_send or len(fits) or 1
        for start in range(0, len(fits) or 1, size):
            await self._stream.send(fits[start : start + size])
        if len(fits) < len(item):
            await self._hang_until_closed()

    async def send_eof(self) -> None:
        await self._before("send_eof")
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self._closed.set()
        try:
            await self._before("aclose")
        finally:
            await self._stream.aclose()

    @property
    def extra_attributes(self) -> Attributes:
        return self._stream.extra_attributes  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    async def _before(self, operation: str) -> None:
        if self._delay:
            await sleep(self._delay)
        if operation not in self._operations:
            return
        self.calls += 1
        if self.calls == self._hang_at:
            if operation == "aclose":
                await sleep_forever()
            await self._hang_until_closed()
        if self.calls == self._fail_at:
            error = self._error
            raise error if isinstance(error, Exception) else error()

    async def _hang_until_closed(self) -> None:
        await self._closed.wait()
        raise ClosedResourceError
