"""A restart among a few clients; ``restart.py`` does it among thousands."""

from __future__ import annotations

import sys
from functools import partial

import anyio
import pytest

from .process import LOOPS
from .restart import Outcome, report, restart

COUNT = 100
SPREAD = 1.0  # seconds


@pytest.mark.measured
@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("loop", LOOPS)
def test_E11_nobody_notices_a_restart(loop: str) -> None:
    if loop != "asyncio":
        pytest.importorskip(loop)
    it = anyio.run(partial(restart, at_once=True), loop, COUNT, 0.1, SPREAD)
    assert it.broken == []
    assert len(it.closed) == len(it.back) == COUNT
    # One after another, which a busy machine can only make later. How evenly is in
    # tests/server/test_drain.py, by a virtual clock.
    assert it.closed[-1] > SPREAD / 2
    assert sum(time < SPREAD / 2 for time in it.closed) / COUNT < 0.9
    assert f"| {loop} | at once | 0 |" in report([it])


def test_rates() -> None:
    it = Outcome("asyncio", 40, 0, 20, "at once")  # so each part is a second
    assert it.rates([number / 2 for number in range(40)]) == [2.0] * 20
    assert it.rates([-0.1, 0.5, 21.5])[::20] == [2.0, 0.0]
    assert it.rates([21.5])[-1] == 1.0
