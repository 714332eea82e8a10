"""Waiting for a socket on trio: calls in the next pass, until the run ends."""

from __future__ import annotations

import socket

import pytest

trio = pytest.importorskip("trio")
trio_testing = pytest.importorskip("trio.testing")

from anyio_websocket._transport._readiness_trio import (  # noqa: E402
    TrioReadiness,
    _next_pass,
)


def test_calls_while_trio_ends_its_system_tasks() -> None:
    # trio resumes the cancelled tasks in any order. Of so many, some call before the
    # task that calls back has run for the last time, and some after it.
    added = called = 0

    def count() -> None:
        nonlocal called
        called += 1

    async def wait(readiness: TrioReadiness) -> None:
        nonlocal added
        try:
            await trio.sleep_forever()
        finally:
            added += readiness.call_soon(count)

    async def main() -> None:
        readiness = TrioReadiness(ours)
        assert readiness.call_soon(count)
        await trio_testing.wait_all_tasks_blocked()
        assert called == 1
        for _ in range(50):
            trio.lowlevel.spawn_system_task(wait, readiness)
        await trio_testing.wait_all_tasks_blocked()

    ours, theirs = socket.socketpair()
    with ours, theirs:
        trio.run(main)
    assert called == 1 + added


def test_calls_when_the_run_has_ended() -> None:
    async def main() -> object:
        assert TrioReadiness(ours).call_soon(lambda: None)
        return _next_pass.get()

    ours, theirs = socket.socketpair()
    with ours, theirs:
        next_pass = trio.run(main)
    assert not next_pass.call(lambda: None)


def test_a_call_that_asks_for_another_one() -> None:
    calls: list[str] = []

    async def main() -> None:
        readiness = TrioReadiness(ours)

        def first() -> None:
            calls.append("first")
            assert readiness.call_soon(lambda: calls.append("second"))

        assert readiness.call_soon(first)
        await trio_testing.wait_all_tasks_blocked()
        assert calls == ["first", "second"]  # and not when the run ends

    ours, theirs = socket.socketpair()
    with ours, theirs:
        trio.run(main)
