"""A room in several processes, small: ``nox -s scale-out`` has one of thousands."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Literal

import anyio
import pytest

from anyio_websocket import reconnect_delays

from .browsers import installed

COUNT = 60


@pytest.mark.skipif(sys.platform != "linux", reason="one machine has one address")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_a_process_of_a_room_dies(
    proxy: Literal["nginx", "haproxy"], tmp_path: Path
) -> None:
    for program in ("redis-server", proxy):
        installed(program)
    pytest.importorskip("coredis")
    from ..soak.scale_out import Outcome, report, scale_out

    outcome = Outcome("asyncio and trio", COUNT, proxy)
    soon = partial(reconnect_delays, first=0.2)
    go = partial(scale_out, seconds=0.5, pause=0.5, delays=soon)
    # They are in one room, whatever their event loop.
    anyio.run(go, ["asyncio", "trio", "asyncio"], outcome, tmp_path)
    assert outcome.broken == []
    assert 0 < outcome.cut_off == len(outcome.back) < COUNT
    assert outcome.said >= 10
    assert "| asyncio and trio |" in report([outcome])
