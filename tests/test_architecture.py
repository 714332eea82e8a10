"""The house: which room may import which, and what may stand in a room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import anyio_websocket

ROOT = Path(anyio_websocket.__file__).parent
MAX_LINES = 450  # a room that needs more is two rooms

# Every room has to be in here, in the layer where it belongs.
DOORS = {"_client", "_server"}
CORRIDOR = {
    "_admission",
    "_attendant",
    "_closing",
    "_connection",
    "_dialer",
    "_handshake",
    "_keepalive",
    "_link",
    "_listeners",
    "_messages",
    "_outbox",
    "_pings",
    "_reader",
    "_readiness",
    "_request",
    "_service",
    "_sockets",
    "_tls",
    "_transport",
}
SHELVES = {"_endpoint", "_errors", "_options", "_reconnect", "_url"}
STAIRCASE = "_protocol"
DOWNSTAIRS = {
    "_protocol._codec",
    "_protocol._deflate",
    "_protocol._engine",
    "_protocol._extensions",
    "_protocol._frames",
    "_protocol._client_handshake",
    "_protocol._http",
    "_protocol._loops",
    "_protocol._origins",
    "_protocol._permessage_deflate",
    "_protocol._pure",
    "_protocol._server_handshake",
}

# Written in C: it imports nothing.
COMPILED = "_protocol._speedups"

# What knows an event loop, or does I/O.
BACKENDS = {"asyncio", "sniffio", "trio", "uvloop"}
INPUT_OUTPUT = BACKENDS | {"anyio", "select", "selectors", "socket", "ssl"}
# Rooms that may name a backend; everywhere else anyio stands between.
KNOW_A_BACKEND = {"_readiness"}


def modules() -> dict[str, ast.Module]:
    """Parse every module; its name is relative to the package, whose own is empty."""
    trees: dict[str, ast.Module] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        trees[name] = ast.parse(path.read_text("utf-8"), str(path))
    return trees


MODULES = modules()
STAIRS = {name for name in MODULES if (ROOT / name.replace(".", "/")).is_dir()}


def imported(name: str) -> Iterator[str]:
    """Give the full name of everything that a module imports."""
    package = ["anyio_websocket", *name.split(".")] if name else ["anyio_websocket"]
    if name not in STAIRS:
        package.pop()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}"


def arrows(name: str) -> set[str]:
    """Name the rooms that a room imports from."""
    found: set[str] = set()
    for full in imported(name):
        top, _, inner = full.partition(".")
        if top == "anyio_websocket" and not inner.startswith(COMPILED):
            while inner not in MODULES:  # a name in a module, not a module
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


GRAPH = {name: arrows(name) for name in MODULES}


def reachable(name: str) -> set[str]:
    """Name the rooms that a room imports from, directly or through others."""
    found: set[str] = set()
    todo = [name]
    while todo:
        fresh = GRAPH[todo.pop()] - found
        found |= fresh
        todo += fresh
    return found


def test_every_room_is_in_the_table() -> None:
    table = {"", STAIRCASE, *DOORS, *CORRIDOR, *SHELVES, *DOWNSTAIRS}
    assert set(MODULES) == table


def test_the_graph_was_read() -> None:
    assert {"", STAIRCASE} == STAIRS
    assert GRAPH[""] >= DOORS
    assert GRAPH["_client"] >= {"_connection", "_url", STAIRCASE}
    assert GRAPH["_protocol._engine"] == {"_protocol._codec"}
    assert "anyio.abc.AsyncResource" in set(imported("_connection"))


@pytest.mark.parametrize(
    ("rooms", "may_import"),
    [
        pytest.param(DOORS, CORRIDOR | SHELVES | {STAIRCASE}, id="doors"),
        pytest.param(CORRIDOR, CORRIDOR | SHELVES | {STAIRCASE}, id="corridor"),
        pytest.param(SHELVES, set[str](), id="shelves"),
        pytest.param({STAIRCASE}, DOWNSTAIRS, id="staircase"),
        pytest.param(DOWNSTAIRS, DOWNSTAIRS, id="downstairs"),
    ],
)
def test_imports_point_one_way(rooms: set[str], may_import: set[str]) -> None:
    wrong = {room: GRAPH[room] - may_import for room in rooms}
    assert not any(wrong.values()), wrong


def test_no_cycle() -> None:
    TopologicalSorter(GRAPH).prepare()


def test_the_handshake_knows_no_connection() -> None:
    # It gives back an engine, and the door composes.
    assert not reachable("_handshake") & {"_connection", "_link", "_reader"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_a_room_may_know(name: str) -> None:
    foreign = {full.partition(".")[0] for full in imported(name)}
    if name in SHELVES or name.startswith(STAIRCASE):
        assert not foreign & INPUT_OUTPUT
    if name not in KNOW_A_BACKEND:
        assert not foreign & BACKENDS


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_a_room_looks_like(name: str) -> None:
    tree = MODULES[name]
    assert ast.get_docstring(tree)
    assert "util" not in name  # says nothing about what is in it
    path = ROOT / name.replace(".", "/")
    path = path / "__init__.py" if name in STAIRS else path.with_suffix(".py")
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_downstairs_never_awaits() -> None:
    waits = (ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith, ast.Await)
    for name in {STAIRCASE} | DOWNSTAIRS:
        assert not any(isinstance(node, waits) for node in ast.walk(MODULES[name]))


def run_alone(program: str) -> str:
    """Run a program in an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_no_event_loop() -> None:
    report = f"print(sorted(sys.modules.keys() & {BACKENDS!r}))"
    modules = "anyio, anyio.abc, anyio.lowlevel, anyio.streams.tls"
    assert run_alone(f"import sys, anyio_websocket; {report}") == run_alone(
        f"import sys, {modules}, anyio.streams.stapled, wsproto; {report}"
    )


def test_a_program_on_asyncio_never_imports_trio() -> None:
    program = """
import sys
import anyio
from anyio_websocket import open_websocket_url, serve_websocket

async def echo(request):
    connection = await request.accept()
    await connection.send_message(await connection.get_message())

async def main():
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, echo, "127.0.0.1", 0, None)
        async with open_websocket_url(f"ws://127.0.0.1:{server.port}/") as connection:
            await connection.send_message("hello")
            print(await connection.get_message())
        tasks.cancel_scope.cancel()

anyio.run(main)
print(sorted(name for name in sys.modules if name.split(".")[0] == "trio"))
"""
    assert run_alone(program).split() == ["hello", "[]"]
