"""Streams with a mistake, and the check that has to find it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import pytest

from anyio_websocket.testing import MemoryStream, memory_stream_pair
from anyio_websocket.testing._stream_checks import Check, Kind, run_checks

#: The streams of anyio pass since then.
with_streams_of_anyio: Final = pytest.mark.skipif(
    tuple(map(int, version("anyio").split(".")[:2])) < (4, 16),
    reason="the streams of anyio do not pass before 4.16",
)


async def check_finds(
    mistake: type[MemoryStream], check: Check, kind: Kind, text: str
) -> None:
    """See that a check lets good streams pass, and finds a mistake.

    :param mistake: the class that one of the streams is of
    :param text: what the check says of it

    """

    @asynccontextmanager
    async def make_pair() -> AsyncGenerator[tuple[Any, Any]]:
        one, other = memory_stream_pair()
        one.__class__ = is_of
        yield one, other

    is_of = MemoryStream
    await run_checks([check], make_pair, kind, 1)
    is_of = mistake
    with pytest.raises(AssertionError) as caught:
        await run_checks([check], make_pair, kind, 1)
    assert text in str(caught.value)
