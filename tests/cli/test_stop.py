"""Signals."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import anyio
import pytest

from anyio_websocket._cli._stop import Stop, run_until_signal


async def finish(stop: Stop) -> int:
    assert stop.exit_code is None
    return 3


async def be_patient(stop: Stop) -> int:
    """End properly after the first signal, however long that takes."""
    with stop.scope:
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep_forever()
    assert stop.exit_code == 143
    return 7


async def hang(stop: Stop) -> int:
    """Take too long to end after the first signal."""
    with stop.scope:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()
    os.kill(os.getpid(), signal.SIGTERM)
    await anyio.sleep_forever()
    raise AssertionError


async def interrupted(stop: Stop) -> int:
    """End properly after Ctrl-C."""
    with stop.scope:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()
    assert stop.exit_code == 130
    return 5


async def test_a_command_that_ends_by_itself() -> None:
    assert await run_until_signal(finish) == 3


async def test_an_event_loop_that_knows_no_signals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*signals: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(anyio, "open_signal_receiver", unknown)
    before = signal.getsignal(signal.SIGINT)
    assert await run_until_signal(interrupted) == 5
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
async def test_the_first_signal_asks_and_the_second_ends() -> None:
    assert await run_until_signal(be_patient) == 7
    assert await run_until_signal(hang) == 130
