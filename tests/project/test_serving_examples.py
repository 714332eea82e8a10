"""The examples that serve, each in a process of its own, as they stand."""

from __future__ import annotations

import http.client
import importlib.util
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from anyio_websocket import CloseReason, open_websocket_url

from ..support.examples import EXAMPLES, serving_example

BACKENDS = ["asyncio", "trio"] if importlib.util.find_spec("trio") else ["asyncio"]


def http_status(port: int, path: str) -> tuple[int, bytes]:
    """Ask for a path by GET; return the status and the body."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize("backend", BACKENDS)
def test_chat(backend: str, tmp_path: Path, port: int) -> None:
    async def talk() -> None:
        url = f"ws://127.0.0.1:{port}/room"
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            while True:  # until the other one is in the room
                await one.send_message("<b>hello</b>")
                assert await one.get_message() == "<b>hello</b>"
                with anyio.move_on_after(0.1):
                    assert await other.get_message() == "<b>hello</b>"
                    break

    with serving_example("chat.py", tmp_path, port, backend):
        status, page = http_status(port, "/")
        assert status == 200
        assert page == (EXAMPLES / "chat.html").read_bytes()
        assert http_status(port, "/other")[0] == 404
        anyio.run(talk)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("backend", BACKENDS)
def test_health_check(backend: str, tmp_path: Path, port: int) -> None:
    async def client(server: subprocess.Popen[str]) -> CloseReason | None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            assert http_status(port, "/healthz") == (200, b"ok\n")
            server.terminate()
            while http_status(port, "/healthz")[0] == 200:
                pass  # the signal is on its way
            await ws.send_message("still here")
            assert await ws.get_message() == "still here"
            await ws.wait_closed()
        return ws.closed

    # The tests want to be told the same in less time.
    shorter = {"NOTICE: Final = 3.0": "NOTICE: Final = 1.0"}
    with serving_example(
        "health_check.py", tmp_path, port, backend, changes=shorter
    ) as server:
        assert anyio.run(client, server) == CloseReason(1012, None)
        output, errors = server.communicate(timeout=10)
    assert (output, errors) == ("serving\n", "")
    assert server.returncode == 0
