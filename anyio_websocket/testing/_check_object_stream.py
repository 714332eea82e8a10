"""`check_object_stream`: whether an object stream keeps what anyio promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from anyio.abc import ObjectStream

from ._stream_checks import SHARED_CHECKS, run_checks


class _Objects:
    """What the shared checks do with streams of objects; see `Kind`."""

    stream_type: type[Any] = ObjectStream

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    def item(self, number: int) -> Any:
        return self._items[number % len(self._items)]

    async def receive(self, stream: ObjectStream[Any], number: int) -> Any:
        return await stream.receive()


async def check_object_stream(
    make_pair: Callable[
        [], AbstractAsyncContextManager[tuple[ObjectStream[Any], ObjectStream[Any]]]
    ],
    *,
    items: Sequence[Any] = ("one", "two", "three"),
    timeout: float = 5,
) -> None:
    """Check that two connected object streams keep what anyio promises.

    It is `check_byte_stream` for :class:`anyio.abc.ObjectStream`.

    :param make_pair: makes two connected streams, see `check_byte_stream`
    :param items: what to send; the other stream has to receive equal ones
    :param timeout: seconds that each check may take
    :raises AssertionError: if a check fails; it says which ones, and what happened

    """
    await run_checks(SHARED_CHECKS, make_pair, _Objects(items), timeout)
