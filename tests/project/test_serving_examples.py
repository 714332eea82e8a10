"""The examples that serve, each in a process of its own, as they stand."""

from __future__ import annotations

import http.client
import importlib.util
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
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


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("backend", BACKENDS)
def test_restarting(backend: str, tmp_path: Path, port: int) -> None:
    @contextmanager
    def beside_it() -> Generator[None]:
        program = [sys.executable, str(tmp_path / "restarting.py"), backend]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as new:
            try:
                assert new.stdout is not None
                assert new.stdout.readline() == "serving\n"
                yield
            finally:
                new.kill()

    async def clients(old: subprocess.Popen[str]) -> CloseReason | None:
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket_url(url) as one, open_websocket_url(url) as two:
            with beside_it():
                old.terminate()
                assert old.stdout is not None
                lines = [old.stdout.readline() for _ in range(2)]
                assert lines == ["serving\n", "2 clients may leave\n"]
                for ws in (one, two):
                    await ws.send_message("still here")
                    assert await ws.get_message() == "still here"
                await one.aclose()
                await two.wait_closed()
                async with open_websocket_url(url) as again:
                    await again.send_message("here again")
                    assert await again.get_message() == "here again"
        return two.closed

    changes = {"DRAIN: Final = 10.0": "DRAIN: Final = 0.5", "= 30.0": "= 0.1"}
    with serving_example(
        "restarting.py", tmp_path, port, backend, changes=changes
    ) as server:
        assert anyio.run(clients, server) == CloseReason(1012, "restart")
        assert server.communicate(timeout=10) == ("all clients are gone\n", "")
        assert server.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("backend", BACKENDS)
def test_restarting_in_a_hurry(backend: str, tmp_path: Path, port: int) -> None:
    async def client(server: subprocess.Popen[str]) -> None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
            server.terminate()
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(2)]
            assert lines == ["serving\n", "1 clients may leave\n"]
            server.terminate()
            with anyio.fail_after(5):  # and not the 10 seconds of the drain
                await ws.wait_closed()
        assert ws.closed is not None
        assert ws.closed.code in (1001, 1012)

    with serving_example("restarting.py", tmp_path, port, backend) as server:
        anyio.run(client, server)
        assert server.communicate(timeout=5) == ("all clients are gone\n", "")
        assert server.returncode == 0
