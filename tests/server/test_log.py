"""The server's log: how often, and how clients are named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from anyio_websocket import Endpoint
from anyio_websocket._server._log import LogThrottle, name_of
from anyio_websocket._transport import Transport


@pytest.mark.virtual_time
async def test_A21_the_same_is_logged_once_in_an_interval() -> None:
    throttle = LogThrottle(60)
    assert throttle.allows()
    await anyio.sleep(59)
    assert not throttle.allows()
    await anyio.sleep(2)
    assert throttle.allows()
    assert not throttle.allows()


def test_a_clock_that_event_loops_share() -> None:
    times = iter([0.0, 0.9, 1.0, 1.5, 5.0])
    throttle = LogThrottle(1.0, lambda: next(times))
    assert [throttle.allows() for _ in range(5)] == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        (Endpoint("::1", 80, False), 'Endpoint(address="::1", port=80, is_ssl=False)'),
        ("/run/client", "/run/client"),
        ("/run/a\nERROR forged", r"'/run/a\nERROR forged'"),
        ("/run/\x1b[31m\u202e", r"'/run/\x1b[31m\u202e'"),
        ("/run/\udcff", r"'/run/\udcff'"),
        ("\0abstract", r"'\x00abstract'"),
    ],
)
def test_G15_how_a_client_is_named(remote: Any, name: str) -> None:
    transport = cast("Transport", SimpleNamespace(remote=remote))
    assert name_of(transport) == name
