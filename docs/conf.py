"""How Sphinx builds the documentation; ``nox -s docs`` does it."""

from __future__ import annotations

import pkgutil

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

# Public names say that their home is the package, so Sphinx looks in its __init__.py
# for the comments that document attributes, and for the order of members.
_home = ModuleAnalyzer.for_module("anyio_websocket")
_home.analyze()
for _room in pkgutil.iter_modules(anyio_websocket.__path__, "anyio_websocket."):
    _analyzer = ModuleAnalyzer.for_module(_room.name)
    _analyzer.analyze()
    _home.attr_docs.update(_analyzer.attr_docs)
    _home.tagorder.update(_analyzer.tagorder)

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
    (r"py:.*", r"anyio_websocket\._\w+\.(AnyStream|TrioStream|Nursery|TaskStatus)"),
]
