"""How Sphinx builds the documentation; ``nox -s docs`` does it."""

from __future__ import annotations

import sys
from pathlib import Path

import wsproto.extensions
from sphinx.pycode import ModuleAnalyzer

import anyio_websocket

project = "anyio_websocket"
author = "The anyio_websocket developers"
copyright = f"2026, {author}"
version = release = anyio_websocket.__version__

extensions = ["sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"anyio_websocket {version}"
exclude_patterns = ["_build"]

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

# The package is the `__module__` of every public name, so Sphinx looks in its
# __init__.py for the comments that document attributes, and for the order of members.
# Here it is told of all other modules as well.
_home = ModuleAnalyzer.for_module("anyio_websocket")
_home.analyze()
_root = Path(anyio_websocket.__file__).parent
for _path in sorted(_root.rglob("*.py")):
    _parts = _path.relative_to(_root.parent).with_suffix("").parts
    _name = ".".join(_part for _part in _parts if _part != "__init__")
    if _name == "anyio_websocket":
        continue
    _analyzer = ModuleAnalyzer.for_module(_name)
    _analyzer.analyze()
    _home.attr_docs.update(_analyzer.attr_docs)
    _home.tagorder.update(_analyzer.tagorder)

# The package leaves wsproto to type checkers; see _protocol/_extensions.py.
for _name, _module in list(sys.modules.items()):
    if _name.startswith("anyio_websocket.") and hasattr(_module, "Extension"):
        vars(_module)["Extension"] = wsproto.extensions.Extension

nitpicky = True
# The build must not need the network, so names of other projects lead nowhere. A
# builtin's name in single backticks is one of those.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(abc|anyio|collections|contextlib|random|ssl|trio|types|typing|wsproto)\..*",
    ),
    (r"py:.*", r"(ipaddress\.)?IPv[46]Address|ipaddress"),
    (r"py:.*", r"KeyboardInterrupt|\w*Error|Exception|None|object|type"),
    (r"py:.*", r"bool|bytearray|bytes|float|int|list|memoryview|str|tuple"),
    # Interfaces and unions that only annotations name; the text beside says it better.
    (r"py:.*", r"anyio_websocket(\._\w+)+\.(AnyStream|TrioStream|Nursery|TaskStatus)"),
]
