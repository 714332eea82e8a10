"""The scripts of the soak, each once: the promises, and the scripts themselves."""

from __future__ import annotations

import ssl
import time
from functools import partial
from typing import Any

import anyio
import pytest

from anyio_websocket import serve_websocket
from anyio_websocket.testing import ScriptedPeer

from ..rows import ROWS
from . import server as soaked
from .hostile import ATTACKS, TRAPS, Attack, fall_into, script, serve_traps
from .level import Sample, growth
from .settings import CROWD

SLOW = {"A1", "E4"}  # rows about timeouts, of which each has a test of its own
LONG = 3  # seconds; traps that hold a client for longer have theirs as well
APPLICATION = {
    "B11",
    "B12",
    "B13",
    "B14",
    "D10",
    "D12",
    "E9",
    "E10",
    "E11",
    "E12",
    "E15",
    "E20",
    "B15",
}  # rows that no peer can play


def test_every_row_that_a_peer_can_play_is_played() -> None:
    rows = {row for group in ROWS.values() for row in group}
    played = ATTACKS.keys() | TRAPS.keys()
    assert played <= rows
    peers = "ABCDE"  # the groups of rows about what a peer does; F to H have a few
    assert {row for row in rows - played if row[0] in peers} == APPLICATION


async def punctual() -> None:
    """Wait until the event loop has little to do.

    All at once, the scripts would wait for each other longer than their server does.
    """
    for _ in range(50):
        begun = time.monotonic()
        await anyio.sleep(0.02)
        if time.monotonic() - begun < 0.04:
            break


@pytest.mark.measured
@pytest.mark.timeout(120)
async def test_attacks(
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All clients share a process with their server, which may get a tenth of a
    # processor. The soak, where they do not, allows 5 s.
    monkeypatch.setattr(script, "SLACK", 20.0)
    # Rows about a peer that is dead have tests of their own; here the living are late.
    settings = soaked.OPTIONS | {"ping_timeout": 20.0}
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, compression=True, **settings)

        async def port_of(tls: ssl.SSLContext | None = None, **options: Any) -> int:
            serving = partial(serve, soaked.handler, "127.0.0.1", 0, tls, **options)
            port: int = (await tasks.start(serving)).port
            return port

        port, tls_port = await port_of(), await port_of(server_tls)
        crowded_port = await port_of(max_pending_handshakes=CROWD)
        ports = {"bare": tls_port, "crowded": crowded_port}

        async def play(attack: Attack, tls: bool) -> None:
            options: dict[str, Any] = {"tls_standard_compatible": False}
            if tls:
                options["ssl_context"] = client_tls
            where = tls_port if tls else ports.get(attack.over, port)
            async with await anyio.connect_tcp("127.0.0.1", where, **options) as stream:
                await attack.play(ScriptedPeer(stream, is_client=True))

        async with anyio.create_task_group() as attackers:
            for row in ATTACKS.keys() - SLOW:
                for attack in ATTACKS[row]:
                    await punctual()
                    attackers.start_soon(play, attack, False)
                    if attack.over == "any":
                        attackers.start_soon(play, attack, True)
        tasks.cancel_scope.cancel()


@pytest.mark.measured
@pytest.mark.timeout(60)
async def test_traps() -> None:
    broken: list[str] = []
    async with serve_traps(broken.append) as port, anyio.create_task_group() as tasks:
        for row, traps in TRAPS.items():
            for number, trap in enumerate(traps):
                if trap.seconds < LONG:
                    tasks.start_soon(fall_into, row, number, port)
    assert broken == []


def test_what_is_level() -> None:
    slack = Sample(1.0, 10, 10)
    level = [Sample(30.0 + i % 2, 100 + i % 7, 50 - i % 5) for i in range(100)]
    assert growth(level, slack) == []
    warming_up = [Sample(i / 2, i * 3, i) for i in range(30)] + level
    assert growth(warming_up, slack) == []
    leaking = [Sample(30.0 + i / 5, 100 + i, 50 + i) for i in range(100)]
    assert [text.split()[0] for text in growth(leaking, slack)] == list(Sample._fields)
    assert growth(level[:2], slack) == ["too few samples"]
