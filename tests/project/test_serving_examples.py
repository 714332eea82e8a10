"""The examples that serve, each in a process of its own, as they stand."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import CloseReason, open_websocket_url

from ..support.examples import (
    EXAMPLES,
    copy_of_example,
    output_of,
    serving_example,
)

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
        output, errors = server.communicate(timeout=60)
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
        assert server.communicate(timeout=60) == ("all clients are gone\n", "")
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


@pytest.mark.skipif(sys.platform == "win32", reason="no sockets to pass")
@pytest.mark.parametrize("backend", BACKENDS)
def test_activated(backend: str, tmp_path: Path) -> None:
    # What systemd does: it has the sockets, and passes them one after the other.
    first = 200
    changes = {"= 3  #": f"= {first}  #", "spread=3": "spread=0.1"}
    program = copy_of_example("activated.py", tmp_path, changes)
    with socket.create_server(("127.0.0.1", 0)) as one, ExitStack() as stack:
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        # A path of pytest's may be too long.
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "socket"
        unix.bind(str(path))
        unix.listen()
        for number, sock in enumerate((one, unix)):
            os.dup2(sock.fileno(), first + number)
            stack.callback(os.close, first + number)

        @contextmanager
        def service() -> Generator[subprocess.Popen[str]]:
            with subprocess.Popen(
                [sys.executable, str(program), backend],
                pass_fds=(first, first + 1),
                env={**os.environ, "LISTEN_FDS": "2"},
                text=True,
            ) as process:
                try:
                    yield process
                finally:
                    process.kill()

        async def clients() -> None:
            url = f"ws://127.0.0.1:{one.getsockname()[1]}/"
            with service() as old:
                async with (
                    open_websocket_url(url) as tcp,
                    open_websocket_url("ws://localhost/", unix_path=path) as local,
                ):
                    old.terminate()
                    for ws in (tcp, local):
                        await ws.wait_closed()
                        assert ws.closed == CloseReason(1012, "restart")
                assert await anyio.to_thread.run_sync(old.wait) == 0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(visit, url)  # waits, and nobody refuses it
                await anyio.wait_all_tasks_blocked()
                with service():
                    await visit(url)

        async def visit(url: str) -> None:
            # A process starts meanwhile, in real time.
            async with open_websocket_url(url, connect_timeout=60) as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"

        anyio.run(clients)
        assert path.is_socket()  # it is systemd's


def test_activated_by_hand() -> None:
    environment = {
        key: value for key, value in os.environ.items() if key != "LISTEN_FDS"
    }
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "activated.py")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 1
    assert "start this by a systemd socket unit" in result.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_tasks(backend: str, tmp_path: Path, port: int) -> None:
    async def talk() -> None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
            assert await ws.get_message() == "0"
            await ws.send_message("hello")
            said = [await ws.get_message() for _ in range(3)]
            assert "you said 'hello'" in said
            assert {"1", "2"} >= set(said) - {"you said 'hello'"}

    with serving_example("two_tasks.py", tmp_path, port, backend) as server:
        anyio.run(talk)
        server.terminate()
        assert server.communicate(timeout=60)[1] == ""  # the end is no error


def client_of(name: str, folder: Path, port: int, *arguments: str) -> str:
    """Run a client of the examples, on another port unless that is 0."""
    changes = {"8765": str(port)} if port else {}
    return output_of(copy_of_example(name, folder, changes), *arguments)


def test_the_tutorial(tmp_path: Path, port: int) -> None:
    with serving_example("tutorial/first_server.py", tmp_path, port):
        shown = client_of("tutorial/first_client.py", tmp_path, port)
        assert shown == "You said 'hello'.\n"
        # Not of the tutorial, but a client of this server.
        url = f"ws://127.0.0.1:{port}/"
        for backend in BACKENDS:
            shown = client_of("from_threads.py", tmp_path, 0, url, backend)
            assert shown == "You said 'hello'.\n"
    with serving_example("tutorial/poll.py", tmp_path, port) as server:
        status, page = http_status(port, "/")
        assert status == 200
        assert page == (EXAMPLES / "tutorial" / "poll.html").read_bytes()
        quick = {"anyio.sleep(1)": "anyio.sleep(0.1)"}
        assert '"tea": 1, "coffee": 1' in vote(tmp_path, port, quick, "tea", "coffee")
        patient = {"anyio.sleep(1)": "anyio.sleep(60)"}  # until the server closes
        shown = vote(tmp_path, port, patient, "milk")
        assert shown.splitlines()[-1] == (
            "CloseReason<code=4000, name=PRIVATE_RESERVED, "
            "reason='choose one of tea, coffee, water'>"
        )
        if sys.platform != "win32":
            server.send_signal(signal.SIGINT)
            assert server.communicate(timeout=60) == ("stopped\n", "")


def vote(folder: Path, port: int, changes: dict[str, str], *choices: str) -> str:
    changes = {"8765": str(port), **changes}
    return output_of(copy_of_example("tutorial/vote.py", folder, changes), *choices)
