"""What the tests stand on: the streams behave as sockets do, and the clocks jump."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from anyio_websocket.testing import (
    memory_stream_pair,
)

from . import ports
from .costs import grows_linearly, least_peak, traced
from .faults import SHORT, SLOW, BlackHole, Ended, Faulty, Reset
from .steps import by_scope, cancelled_at, ways
from .sweeps import swept


@pytest.mark.virtual_time
async def test_the_second_operation_is_spoilt_and_no_other() -> None:
    async def second(make: Callable[[], Exception]) -> None:
        one, other = memory_stream_pair()
        faulty = Faulty(other, 1, make)
        await one.send(b"1234")
        assert await other.receive(1) == b"1"
        try:
            with anyio.move_on_after(100):
                await other.receive(1)
        finally:
            assert faulty.count == 2
        await other.receive(1)  # as it would be without

    for make, error in (
        (lambda: OSError(5, "input/output error"), OSError),
        (Reset, anyio.BrokenResourceError),
        (Ended, anyio.EndOfStream),
    ):
        with pytest.raises(error):
            await second(make)
    await second(BlackHole)


@pytest.mark.virtual_time
async def test_streams_are_short_or_slow() -> None:
    one, other = memory_stream_pair()
    SHORT.apply(one, other)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, bytes(51))
        await anyio.wait_all_tasks_blocked()
        assert len(one._outgoing.data) == SHORT.capacity == 50
        assert len(await other.receive()) == SHORT.max_receive == 5
    Faulty(one, manner=SLOW)
    started = anyio.current_time()
    for _ in SLOW.delays:
        await one.send(b"")
    assert anyio.current_time() - started == pytest.approx(sum(SLOW.delays))


async def test_work_is_cancelled_at_one_step(anyio_backend_name: str) -> None:
    done: list[int] = []

    async def work() -> None:
        done.clear()
        for i in range(3):
            await anyio.lowlevel.checkpoint()
            done.append(i)

    count = await cancelled_at(None, work())
    assert done == [0, 1, 2]
    assert count >= 3
    for way in ways(anyio_backend_name):
        seen: set[int] = set()
        for at in range(count):
            assert await cancelled_at(at, work(), way) >= at
            seen.add(len(done))
        # asyncio.timeout and asyncio.TaskGroup cancel in a later pass of the loop.
        assert seen == {0, 1, 2} or (way is not by_scope and {1, 2} <= seen)


def test_thin_sweeps_play_all_cases_together() -> None:
    cases = list(range(30))
    assert list(swept(cases, every=1)) == cases
    thin = [list(swept(cases, every=4, first=first)) for first in range(11, 15)]
    assert sorted(chain.from_iterable(thin)) == cases
    assert [part[0] for part in thin] == [3, 0, 1, 2]


def test_a_port_of_its_own() -> None:
    given = ports.given_away()
    with ports.own_port() as port:
        # Neither who asks for any port gets this one, nor an outgoing connection.
        assert port not in given
        with socket.socket() as any_port:
            any_port.bind((ports.HOST, 0))
            assert any_port.getsockname()[1] in given
        # Another process may ask for a port before somebody listens on this one.
        with pytest.raises(RuntimeError, match="no free port"), ports.own_port([port]):
            raise AssertionError
        for _ in range(2):  # a server that comes back
            with socket.create_server((ports.HOST, port)) as listener:
                with socket.create_connection((ports.HOST, port)) as client:
                    assert client.getsockname()[1] in given
                    listener.accept()[0].close()
    with ports.own_port([port]) as again:
        assert again == port


def test_a_port_that_another_program_has_is_not_taken() -> None:
    with ports.own_port() as port:
        pass
    with socket.create_server((ports.HOST, port)):
        with pytest.raises(RuntimeError), ports.own_port([port]):
            raise AssertionError


def test_ports_that_the_system_gives_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(ports, "_GIVEN_AWAY", file)
    assert ports.given_away() == range(49_152, 65_536)
    file.write_text("20000\t60999\n")
    given = ports.given_away()
    assert given == range(20_000, 61_000)
    assert not set(ports.outside(given)) & set(given)
    assert ports.outside(range(1, 65_536)) == range(10_000, 65_536)


def test_what_grows_faster_than_its_input() -> None:
    def linear(size: int) -> None:
        for _ in range(size):
            pass

    def quadratic(size: int) -> None:
        for _ in range(size):
            linear(size)

    assert grows_linearly(linear, 20_000)
    assert not grows_linearly(quadratic, 100)


def test_memory_at_its_peak() -> None:
    with traced() as memory:
        kept = bytearray(1000)
        assert len(bytes(9000)) == 9000  # and gone
    assert 1000 <= memory.kept < 3000
    assert 10_000 <= memory.peak < 12_000
    assert len(kept) == 1000


def test_the_least_of_three_peaks_counts() -> None:
    sizes = iter([90_000, 50_000, 10_000, 0])
    assert 10_000 <= least_peak(lambda: bytes(next(sizes)), 20_000) < 12_000
    assert next(sizes) == 0
    sizes = iter([90_000, 50_000, 70_000, 0])
    assert 50_000 <= least_peak(lambda: bytes(next(sizes)), 20_000) < 52_000
    sizes = iter([10_000, 0])
    assert 10_000 <= least_peak(lambda: bytes(next(sizes)), 20_000) < 12_000
    assert next(sizes) == 0


@pytest.mark.virtual_time
async def test_hours_pass_at_once() -> None:
    started, virtual = time.monotonic(), anyio.current_time()
    await anyio.sleep(3600)
    assert anyio.current_time() - virtual == pytest.approx(3600, abs=1)
    assert time.monotonic() - started < 5
