"""What the package offers, from where, and whether that is what was installed."""

from __future__ import annotations

import os
import pickle
import typing
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

import pytest

import anyio_websocket
from anyio_websocket import asgi, streams, testing

# Set by the sessions of noxfile.py, which install the package.
installed = pytest.mark.skipif(
    "ANYIO_WEBSOCKET_INSTALLED" not in os.environ, reason="not run by nox"
)


def test_all_is_what_is_there() -> None:
    there = {
        name
        for name in dir(anyio_websocket)
        if not name.startswith("_")
        and not isinstance(getattr(anyio_websocket, name), ModuleType)
    }
    assert there == set(anyio_websocket.__all__)
    assert len(anyio_websocket.__all__) == len(there)


@pytest.mark.parametrize("name", anyio_websocket.__all__)
def test_names_have_one_home(name: str) -> None:
    thing = getattr(anyio_websocket, name)
    assert thing.__module__ == "anyio_websocket"
    assert thing.__doc__
    assert pickle.loads(pickle.dumps(thing)) is thing


@pytest.mark.parametrize("module", [anyio_websocket, asgi, streams, testing])
def test_annotations_are_resolved(module: ModuleType) -> None:
    resolved = {
        name: typing.get_type_hints(thing)
        for name in module.__all__
        if callable(thing := getattr(module, name))
    }
    assert any(resolved.values())


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'anyio_websocket' has no attribute 'x'"):
        getattr(anyio_websocket, "x")  # noqa: B009 - type checkers know it
    with pytest.raises(ImportError):
        from anyio_websocket import x  # type: ignore[attr-defined]  # noqa: F401


def test_types_are_shipped() -> None:
    assert resources.files("anyio_websocket").joinpath("py.typed").is_file()


@installed
def test_the_installed_package_is_tested() -> None:
    assert "site-packages" in Path(anyio_websocket.__file__).parts
    assert metadata.version("anyio_websocket") == anyio_websocket.__version__


@installed
def test_nothing_else_is_installed() -> None:
    files = metadata.files("anyio_websocket") or []
    tops = {file.parts[0] for file in files} - {"__pycache__"}
    tops.discard("..")  # the command, where the environment keeps its own
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "_anyio_websocket_pytest.py",  # says itself why it is not in the package
        "anyio_websocket",
    }
