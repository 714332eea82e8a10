"""Modules imported once more, so that they choose again what to use."""

from __future__ import annotations

import importlib.util
from types import ModuleType


def imported_anew(module: ModuleType) -> ModuleType:
    """Import a module again; return the new one, which nobody else uses."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    new = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(new)
    return new
