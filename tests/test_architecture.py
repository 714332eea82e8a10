"""Which folder may import which, and what may be in a module.

Nothing here lists modules: a new file falls under the rules of the folder it is in.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import anyio_websocket

ROOT = Path(anyio_websocket.__file__).parent
TESTS = Path(__file__).parent
MAX_LINES = 450  # a module that needs more is two modules

# Each folder, and the folders that it may import from. A folder that is not in here
# fails the tests. The shared modules, in none of them, are there for all.
MAY_USE: dict[str, set[str]] = {
    "_client": {"_connection", "_transport", "_protocol"},
    "_server": {"_connection", "_transport", "_protocol"},
    "_connection": {"_streams", "_transport", "_protocol"},
    "_streams": set(),
    "_transport": set(),
    "_protocol": set(),
    "_cli": {""},
}
# A shared module imports nothing of ours, except that options are of the protocol's
# types and of those that users pass or are passed, and settings and responses are
# checked by the protocol. Keyword arguments become settings.
SHARED_MAY_USE = {
    "_keywords": {"_settings"},
    "_options": {"_connection", "_plain_http", "_protocol", "_types"},
    "_plain_http": {"_endpoint", "_protocol", "_record", "_types"},
    "_settings": {"_plain_http", "_protocol", "_types", "_version"},
}

# What knows an event loop, or does I/O.
BACKENDS = {"asyncio", "sniffio", "trio", "uvloop"}
INPUT_OUTPUT = BACKENDS | {"anyio", "select", "selectors", "socket", "ssl"}
# Makes frozen dataclasses. The protocol uses it as well.
MAKES_RECORDS = "_record"
# Says whether modules in C are used, where they were built: ``_x_c`` for ``_x_py``.
# What is written in C imports no more of ours than what it replaces does.
CHOOSES_C = "_pure"
# Modules that may name a backend; everywhere else anyio stands between.
KNOWS_A_BACKEND = "_transport._readiness"


def modules() -> dict[str, Path]:
    """Find every module; its name is relative to the package, whose own is empty."""
    paths: dict[str, Path] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(part for part in parts if part != "__init__")] = path
    return paths


def relative(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


MODULES = modules()
TOP = {name for name in MODULES if name and "." not in name}
ALL_FOLDERS = {name for name in TOP if (ROOT / name).is_dir()}
# Modules and folders that users import by their names, or run. They build on
# everything, and nothing on them.
PUBLIC = {name for name in TOP if not name.startswith("_")} | {"__main__"}
FOLDERS = ALL_FOLDERS - PUBLIC
SHARED = TOP - PUBLIC - FOLDERS


@cache
def tree_of(name: str) -> ast.Module:
    """Parse a module. Not while tests are collected, as each worker does that."""
    return ast.parse(MODULES[name].read_text("utf-8"), str(MODULES[name]))


def folder_of(name: str) -> str:
    """Name the folder that a module belongs to, or that is the module."""
    top = name.partition(".")[0]
    return top if top in ALL_FOLDERS else ""


def imported(name: str) -> Iterator[str]:
    """Give the full name of everything that a module imports."""
    package = ["anyio_websocket", *name.split(".")] if name else ["anyio_websocket"]
    if name and name not in ALL_FOLDERS:
        package.pop()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}"


@cache
def arrows(name: str) -> set[str]:
    """Name the modules that a module imports from."""
    found: set[str] = set()
    for full in imported(name):
        top, _, inner = full.partition(".")
        in_c = any(part.endswith("_c") for part in inner.split("."))
        if top == "anyio_websocket" and not in_c:
            while inner not in MODULES:  # a name in a module, not a module
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def reachable(name: str) -> set[str]:
    """Name the modules that a module imports from, directly or through others."""
    found: set[str] = set()
    todo = [name]
    while todo:
        fresh = arrows(todo.pop()) - found
        found |= fresh
        todo += fresh
    return found


def test_the_graph_was_read() -> None:
    assert MAY_USE.keys() == FOLDERS
    assert arrows("") >= {"_client", "_server", "_connection"}
    assert arrows("_connection") >= {"_connection._connection", "_connection._core"}
    assert arrows("_client._open") >= {"_connection", "_client._url", "_options"}
    assert "anyio.abc.AsyncResource" in set(imported("_connection._connection"))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_one_way_and_to_the_folder(name: str) -> None:
    folder = folder_of(name)
    if not name or folder in PUBLIC or name in PUBLIC:
        inside = {other for other in MODULES if folder and folder_of(other) == folder}
        allowed = FOLDERS | SHARED | inside
    elif folder:
        inside = {other for other in MODULES if other.startswith(f"{folder}.")}
        allowed = inside | MAY_USE[folder] | SHARED
    else:
        allowed = SHARED_MAY_USE.get(name, set())
    if folder in {"_protocol", "_cli"}:  # either could be a library of its own
        allowed -= SHARED - {CHOOSES_C, MAKES_RECORDS}
    if folder != "_cli" and name != "__main__":
        allowed -= {"_cli"}
    assert not arrows(name) - allowed


def test_no_cycle() -> None:
    TopologicalSorter({name: arrows(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("folder", sorted(ALL_FOLDERS))
def test_a_folder_lists_what_others_use(folder: str) -> None:
    """Its ``__init__`` has no code, and its ``__all__`` is what it imports.

    A public one may end as that of the package does, with what names the names' module.
    """
    body = tree_of(folder).body
    names: set[str] = set()
    if folder in PUBLIC:
        body = body[:-3]
        assert ast.unparse(tree_of(folder).body[-1]) == "del _set_modules"
    for node in body:
        assert isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign), ast.dump(node)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names |= {alias.name for alias in node.names}
    door = importlib.import_module(f"anyio_websocket.{folder}")
    assert names == set(door.__all__)


@pytest.mark.parametrize("side", ["_client", "_server"])
def test_the_handshake_knows_no_connection(side: str) -> None:
    found = reachable(f"{side}._handshake")
    assert found
    assert not [name for name in found if folder_of(name) == "_connection"]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_a_module_may_know(name: str) -> None:
    foreign = {full.partition(".")[0] for full in imported(name)}
    if name in SHARED or folder_of(name) == "_protocol":
        foreign -= {"anyio", "ssl"} if name == "_types" else set()  # users pass these
        assert not foreign & INPUT_OUTPUT
    if not name.startswith(KNOWS_A_BACKEND):
        assert not foreign & BACKENDS


@pytest.mark.parametrize("name", sorted(MODULES))
def test_what_a_module_looks_like(name: str) -> None:
    assert ast.get_docstring(tree_of(name))
    assert "util" not in name  # says nothing about what is in it
    assert len(MODULES[name].read_text("utf-8").splitlines()) <= MAX_LINES


def test_the_protocol_never_awaits() -> None:
    waits = (ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith, ast.Await)
    for name in MODULES:
        if folder_of(name) == "_protocol":
            nodes = ast.walk(tree_of(name))
            assert not any(isinstance(node, waits) for node in nodes), name


def does_something(tree: ast.Module) -> bool:
    """Say whether a module has a public function or method with a body."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and ast.unparse(node.body[-1]) != "..."  # of an interface
        and not (len(node.body) == 1 and ast.get_docstring(node))
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize("name", sorted(set(MODULES) - ALL_FOLDERS - {""}))
def test_what_needs_no_sibling_has_a_test_module(name: str) -> None:
    """A module that builds on no other of its folder can be tested alone, and is."""
    folder = folder_of(name)
    siblings = {other for other in arrows(name) if other.startswith(f"{folder}.")}
    needs = {other for other in siblings if does_something(tree_of(other))}
    if does_something(tree_of(name)) and not needs:
        interface = name.rpartition("_")[0]
        if interface in MODULES.keys() - {""}:  # what implements one shares its tests
            name = interface
        path = TESTS.joinpath(*(part.removeprefix("_") for part in name.split(".")))
        assert path.with_name(f"test_{path.name}.py").is_file()


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=relative)
def test_no_test_module_is_imported(path: Path) -> None:
    """What tests share is in ``tests/support``, where all of them look for it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for name in [*module.split("."), *(alias.name for alias in node.names)]:
                assert not name.rpartition(".")[2].startswith("test_")


def run_alone(program: str) -> str:
    """Run a program in an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_no_event_loop() -> None:
    report = f"print(sorted(sys.modules.keys() & {BACKENDS!r}))"
    modules = "anyio, anyio.abc, anyio.lowlevel, anyio.streams.tls"
    ours = "import sys; from anyio_websocket import *"
    assert run_alone(f"{ours}; {report}") == run_alone(
        f"import sys, {modules}, anyio.streams.stapled; {report}"
    )


def test_importing_the_package_imports_no_public_module() -> None:
    program = "import sys, anyio_websocket; print(sorted(sys.modules))"
    ours = "anyio_websocket."
    loaded = {
        name.removeprefix(ours).partition(".")[0]
        for name in ast.literal_eval(run_alone(program))
        if name.startswith(ours)
    }
    assert PUBLIC
    assert not loaded & PUBLIC


def test_what_few_applications_need_is_imported_when_it_is_needed() -> None:
    # Each takes some 5 to 10 % of the import time.
    program = """
import sys
import typing
from anyio_websocket import PerMessageDeflate, open_websocket_url
from anyio_websocket._protocol import Extensions, open_engine

typing.get_type_hints(open_websocket_url)  # although they name a class of wsproto
open_engine(Extensions(PerMessageDeflate()), is_client=True, max_message_size=1)
import anyio_websocket.httpx  # it is told by the client which of them that is of

rare = {"idna", "wsproto", "httpx", "httpx2", "httpcore", "socksio", "werkzeug"}
rare |= {"anyio_websocket._streams", "anyio_websocket.streams"}
rare |= {"anyio_websocket._cli", "argparse", "prompt_toolkit"}
print(sorted(rare & sys.modules.keys()))
try:
    Extensions.from_arguments(None, [object()])
except TypeError:
    print("wsproto" in sys.modules)
"""
    assert run_alone(program).splitlines() == ["[]", "True"]


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="what it compiles, CPython reports"
)
def test_importing_the_package_compiles_no_methods() -> None:
    """No class makes Python compile text, as dataclasses and annotations in text do.

    That took a tenth of the import time. What is left are the constructors of named
    tuples, and for each `record` an empty text.
    """
    modules = "import sys; from anyio_websocket import *; print(sorted(sys.modules))"
    others = [
        name
        for name in ast.literal_eval(run_alone(modules))
        if not name.startswith("anyio_websocket") and name != "__main__"
    ]
    program = f"""
import importlib
import sys

for name in {others!r}:
    importlib.import_module(name)

compiled = []

def hook(event, args):
    if event == "compile" and args[1] == "<string>":
        compiled.append(bytes(args[0]).decode())

sys.addaudithook(hook)
from anyio_websocket import *
print(compiled)
"""
    compiled = ast.literal_eval(run_alone(program))
    tuples = [text for text in compiled if text.startswith("lambda _cls")]
    assert tuples
    nothing = "def __create_fn__():\n\n return ()"
    # An option whose type is one of wsproto, and the two fields of `Dialed`.
    few = {"Iterable[Extension] | None", "Transport", "bytes"}
    assert set(compiled) - set(tuples) <= few | {nothing}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("open_websocket", "anyio_websocket._server"),
        ("serve_websocket", "anyio_websocket._client"),
        ("serve_websocket", "urllib.parse"),
    ],
)
def test_a_program_imports_the_side_that_it_uses(name: str, other: str) -> None:
    program = f"""
import pathlib  # as anyio does; up to CPython 3.12 it imports urllib.parse
import sys
before = set(sys.modules)  # and what an editable installation has imported
from anyio_websocket import {name}
print({other!r} in sys.modules.keys() - before)
"""
    assert run_alone(program) == "False\n"


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
