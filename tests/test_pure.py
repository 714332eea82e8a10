"""Modules that take their names from C if that was built, else from Python."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import anyio_websocket
from anyio_websocket._connection import _reader
from anyio_websocket._protocol import _kernels_py
from anyio_websocket._pure import raise_if_pure
from anyio_websocket._transport import _adaptive_reads

from .support.modules import imported_anew

ROOT = Path(anyio_websocket.__file__).parent
SOURCES = Path(__file__).parents[1] / "anyio_websocket"  # those in C are not installed
CHOOSE = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix("_c")
    for path in ROOT.rglob("*_c.pyi")
)


def test_all_are_found() -> None:
    assert len({name.rpartition(".")[0] for name in CHOOSE}) == 3  # folders
    assert [name for name in CHOOSE if name.endswith("._kernels")]


@pytest.mark.parametrize("name", CHOOSE)
@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_environment_selects_python(
    name: str, pure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser = importlib.import_module(name)
    wanted = importlib.import_module(f"{name}_py")
    monkeypatch.setenv("ANYIO_WEBSOCKET_PURE", pure)
    if pure == "0":
        found = importlib.util.find_spec(f"{name}_c")
        in_c = importlib.import_module(f"{name}_c") if found else wanted
        if hasattr(in_c, chooser.__all__[0]):  # it has none where it cannot work
            wanted = in_c
    new = imported_anew(chooser)
    for public in chooser.__all__:
        assert getattr(new, public) is getattr(wanted, public)


def test_the_environment_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYIO_WEBSOCKET_PURE", "1")
    with pytest.raises(ImportError, match="ANYIO_WEBSOCKET_PURE"):
        raise_if_pure()
    for value in ("0", None):
        if value is None:
            monkeypatch.delenv("ANYIO_WEBSOCKET_PURE")
        else:
            monkeypatch.setenv("ANYIO_WEBSOCKET_PURE", value)
        raise_if_pure()


@pytest.mark.parametrize(
    ("source", "module", "names"),
    [
        ("_protocol/_frame.h", _kernels_py, "WHOLE_TEXT WHOLE_BINARY MASKED"),
        (
            "_transport/_readiness_future_c.c",
            _adaptive_reads,
            "MAX_FULL_READS SMALL_READ_SIZE",
        ),
        ("_connection/_reader_fields_c.c", _reader, "FULL_READ LIMIT"),
    ],
)
def test_what_is_in_both_is_the_same(
    source: str, module: ModuleType, names: str
) -> None:
    text = (SOURCES / source).read_text("utf-8")
    for name in names.split():
        values = re.findall(rf"^#define {name} (\w+)", text, re.MULTILINE)
        assert [int(value, 0) for value in values] == [getattr(module, name)]


def test_wheels_are_tested_with_every_module_in_c() -> None:
    config = (SOURCES.parent / "pyproject.toml").read_text("utf-8")
    for name in CHOOSE:
        assert f'"import {name}_c"' in config


@pytest.mark.parametrize("name", ["NONE", "TRUE", "FALSE"])
def test_no_macro_counts_for_a_later_version(name: str) -> None:
    # In the headers of CPython 3.12 and 3.13 it returns no new reference, even for the
    # limited API of 3.11. What they compile then ends a program there: "deallocating
    # None".
    sources = sorted(SOURCES.rglob("*_c.c"))
    assert sources
    assert not [path for path in sources if f"Py_RETURN_{name}" in path.read_text()]


ECHOES = """
import sys
import anyio
import anyio_websocket

async def echo(request):
    connection = await request.accept()
    async for message in connection:
        await connection.send_message(message)

async def main():
    async with anyio.create_task_group() as tasks:
        serve = anyio_websocket.serve_websocket
        server = await tasks.start(serve, echo, "127.0.0.1", 0, None)
        url = f"ws://127.0.0.1:{server.port}"
        async with anyio_websocket.open_websocket_url(url) as client:
            for count in range(400):
                if count == 100:
                    before = sys.getrefcount(None)
                await client.send_message("message")
                await client.get_message()
            print(before - sys.getrefcount(None))
        tasks.cancel_scope.cancel()

anyio.run(main, backend="asyncio")
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is not counted there")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="nothing is counted")
@pytest.mark.parametrize("pure", ["0", "1"])
def test_no_reference_to_none_is_given_away(pure: str) -> None:
    # In a process of its own: what a tracer, or a test before this one, keeps counts.
    done = subprocess.run(
        [sys.executable, "-c", ECHOES],
        env={**os.environ, "ANYIO_WEBSOCKET_PURE": pure},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert abs(int(done.stdout)) < 100
