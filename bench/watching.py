"""What it costs to count: instructions per message, by valgrind.

Run ``python bench/watching.py`` on Linux, with valgrind installed. Instructions are the
same on a busy machine. A peer in the same process sends and receives, so they are those
of both; how much one more costs is what to look at. No clock is read meanwhile,
because the library does other things if valgrind makes it slow.
"""

from __future__ import annotations

import gc
import itertools
import os
import re
import socket
import subprocess
import sys
from typing import Any

import anyio

from anyio_websocket import WebSocketConnection
from anyio_websocket._connection import (
    BackgroundTask,
    _fairness,
    _outbox,
    _reader,
    open_core,
)
from anyio_websocket._protocol import Extensions
from anyio_websocket._settings import ConnectionSettings
from anyio_websocket._transport import SocketTransport

FRAME = b"\x82\x90\1\2\3\4" + bytes(16)
SHAPES = {"one message": 1, "20 at once": 20}
VARIANTS: dict[str, dict[str, Any]] = {
    "nothing is asked for": {},
    "on_event": {"on_event": print},
    "count_messages": {"count_messages": True},
}


async def echo(count: int, burst: int, options: dict[str, Any]) -> None:
    """Echo so many bursts over a pair of sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        async with anyio.create_task_group() as tasks:
            settings = ConnectionSettings(**options)
            core = open_core(
                SocketTransport(ours),
                Extensions(),
                BackgroundTask(tasks, settings),
                settings,
                is_client=False,
            )
            connection = WebSocketConnection(
                core,
                path="/",
                subprotocol=None,
                compression=None,
                handshake_headers=(),
            )
            for _ in range(count):
                theirs.send(FRAME * burst)
                for _ in range(burst):
                    await connection.send_message(await connection.get_message())
                await anyio.lowlevel.checkpoint()
                assert len(theirs.recv(65_536)) == 18 * burst
            tasks.cancel_scope.cancel()


def instructions(count: int, shape: str, variant: str) -> int:
    """Count the instructions of a process of its own."""
    result = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(sys.executable, __file__, str(count), shape, variant),
        ],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", result.stderr)
    assert found is not None
    return int(found[1])


def main() -> None:
    print("instructions per message of 16 bytes")
    for variant in VARIANTS:
        for shape, burst in SHAPES.items():
            few, many = (instructions(n, shape, variant) for n in (100, 300))
            print(f"{variant:22}{shape:14}{(many - few) / 200 / burst:10.0f}")


def measured(count: str, shape: str, variant: str) -> None:
    """Be the process that is measured."""
    no_clock = itertools.repeat(0.0).__next__
    for module in (_fairness, _outbox, _reader):
        vars(module)["monotonic"] = no_clock
    gc.disable()
    anyio.run(echo, int(count), SHAPES[shape], VARIANTS[variant])


if __name__ == "__main__":
    if sys.argv[1:]:
        measured(*sys.argv[1:])
    else:
        main()
