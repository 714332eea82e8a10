"""How often the same thing is logged."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket._log import LogThrottle


@pytest.mark.virtual_time
async def test_A21_the_same_is_logged_once_in_an_interval() -> None:
    throttle = LogThrottle(60, anyio.current_time)
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
