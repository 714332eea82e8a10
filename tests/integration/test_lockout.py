"""One client holds thousands of connections and sends nothing (row G12); measured."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import open_websocket_url

from ..support.servers import serving

pytestmark = pytest.mark.measured

HELD = 3000
ADDRESSES = 200  # from which they are held

# Connects from several addresses, and again at once whenever it is dropped.
ATTACKER = """
import resource, select, socket, struct, sys
port, held, addresses = map(int, sys.argv[1:])
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
poller = select.epoll()
live = {}
opened = 0

def connect():
    global opened
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if addresses > 1:
        sock.bind((f"127.0.1.{1 + opened % addresses}", 0))
    sock.connect_ex(("127.0.0.1", port))
    live[sock.fileno()] = sock
    poller.register(sock, select.EPOLLRDHUP)
    opened += 1

for _ in range(held):
    connect()
print("ready", flush=True)
while True:
    for fd, _ in poller.poll():
        poller.unregister(fd)
        live.pop(fd).close()
        connect()
"""


@contextmanager
def many_files() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < HELD + 1000:
        pytest.skip("too few files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="epoll, and 127.0.1.1")
async def test_G12_honest_clients_get_in(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":  # debug mode keeps a traceback for each task
        asyncio.get_running_loop().set_debug(False)
    costs: list[float] = []
    async with serving() as port:
        with many_files():
            attacker = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-c", ATTACKER, *map(str, (port, HELD, ADDRESSES))],
                stdout=subprocess.PIPE,
            )
            assert attacker.stdout is not None
            try:
                await anyio.to_thread.run_sync(attacker.stdout.readline)
                for _ in range(3):
                    # Of this process: another may have the processor meanwhile. How
                    # long the server waits is in tests/server/test_making_room.py.
                    started = time.process_time()
                    async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
                        await ws.send_message("hello")
                        assert await ws.get_message() == "hello"
                    costs.append(time.process_time() - started)
                assert statistics.median(costs) < 1
            finally:
                attacker.kill()
                attacker.wait()
                attacker.stdout.close()
