"""The fixtures for pytest, with whichever plugin runs tests on an event loop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from anyio_websocket import ConnectionClosed, ConnectionRejected, WebSocketRequest
from anyio_websocket.testing._fixtures import opening_pairs, serving

# Each test of it runs once by the fixtures of the plugin, in a pytest of its own.
TESTS = """
import importlib.util
import sys

import pytest

pytestmark = pytest.mark.MARK
loops = [name for name in ("asyncio", "trio") if importlib.util.find_spec(name)]

@pytest.fixture(params=loops)
def anyio_backend(request):
    return request.param

async def test_nothing_was_imported():
    assert "_anyio_websocket_pytest" in sys.modules
    assert not [name for name in sys.modules if name.startswith("anyio_websocket")]

async def shout(request):
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message.upper())

async def test_a_handler(serve_in_memory):
    connect = await serve_in_memory(shout)
    async with connect("/") as connection:
        await connection.send_message("hello")
        assert await connection.get_message() == "HELLO"

async def test_both_ends(websocket_pair):
    client, server = await websocket_pair(max_message_size=5)
    await client.send_message("hello")
    assert await server.get_message() == "hello"

async def test_that_fails(serve_in_memory):
    async def handler(request):
        await request.accept()
        raise KeyError("of the handler")

    connect = await serve_in_memory(handler)
    async with connect("/") as connection:
        await connection.get_message()
"""


def run_pytest(folder: Path, mark: str, plugin: str) -> str:
    """Run the tests above, with no other plugins; return what pytest says."""
    (folder / "test_it.py").write_text(TESTS.replace("MARK", mark), "utf-8")
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--tb=short",
                "-p",
                "no:cacheprovider",
            ),
            *("-p", plugin, "-p", "anyio_websocket"),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_", "COVERAGE"))
        }
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


async def shout(request: WebSocketRequest) -> None:
    connection = await request.accept()
    async for message in connection:
        if message == "crash":
            raise KeyError("of the handler")
        assert isinstance(message, str)
        await connection.send_message(message.upper())


async def test_they_close_what_they_open() -> None:
    async with opening_pairs() as open_pair, serving() as serve:
        one, other = await open_pair(max_message_size=5)
        first, _ = await open_pair()
        connect = await serve(shout)
        async with connect() as connection:
            await connection.send_message("hello")
            assert await connection.get_message() == "HELLO"
    for end in (one, other, first):
        assert end.closed is not None
        assert end.closed.code == 1000
    assert not connect.server.connections


@pytest.mark.parametrize("servers", [1, 2])
async def test_an_exception_of_a_handler_comes_out_in_the_end(servers: int) -> None:
    kind = KeyError if servers == 1 else ExceptionGroup
    with pytest.raises(kind) as caught:
        async with serving() as serve:
            for _ in range(servers):
                async with (await serve(shout))() as connection:
                    await connection.send_message("crash")
                    with pytest.raises(ConnectionClosed, match="1011"):
                        await connection.get_message()
            await anyio.wait_all_tasks_blocked()  # the test goes on
    if isinstance(caught.value, ExceptionGroup):
        assert len(caught.value.exceptions) == servers


async def test_what_is_wrong_with_the_arguments_is_said_at_the_call() -> None:
    async with opening_pairs() as open_pair, serving() as serve:
        with pytest.raises(TypeError, match="max_size"):
            await open_pair(max_size=5)
        with pytest.raises(TypeError, match=r"^serve_in_memory\(\).*max_message_size"):
            await serve(shout, max_size=5)
        with pytest.raises(ValueError, match=r"^connect\(\): a subprotocol is offered"):
            await open_pair(client={"subprotocols": ["a", "a"]})
        with pytest.raises(ConnectionRejected, match="403"):
            await open_pair(
                server={"origins": ["http://a"]}, client={"origin": "http://b"}
            )


def test_they_work_with_the_plugin_of_anyio(tmp_path: Path) -> None:
    said = run_pytest(tmp_path, "anyio", "anyio")
    assert "AssertionError" not in said
    assert "KeyError: 'of the handler'" in said
    assert "code 1011" in said
    loops = 1 + ("[trio]" in said)
    assert f"{loops} failed, {3 * loops} passed, {loops} error" in said


def test_they_work_with_pytest_trio(tmp_path: Path) -> None:
    pytest.importorskip("pytest_trio")
    said = run_pytest(tmp_path, "trio", "trio")
    assert "KeyError: 'of the handler'" in said
    assert "code 1011" in said
    assert "1 failed, 3 passed" in said
