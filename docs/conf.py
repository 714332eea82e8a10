"""How Sphinx builds the documentation; ``nox -s docs`` does it."""

from __future__ import annotations

import os
import sys
import tomllib
import typing
from pathlib import Path

import wsproto.extensions
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import anyio_websocket
import anyio_websocket.httpx
import anyio_websocket.testing

project = "anyio_websocket"
author = "The anyio_websocket developers"
copyright = f"2026, {author}"
version = release = anyio_websocket.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx_copybutton"]
# The build must not need the network. Where there is one, as on Read the Docs, names of
# other projects lead to their documentation.
if os.environ.get("ANYIO_WEBSOCKET_DOCS_ONLINE") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "anyio": ("https://anyio.readthedocs.io/en/stable", None),
        "trio": ("https://trio.readthedocs.io/en/stable", None),
    }
    intersphinx_timeout = 30  # seconds
# What the examples call, and nobody serves.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1|([\w-]+\.)*example\.\w+)\b"]
linkcheck_timeout = 30  # seconds
linkcheck_retries = 2
copybutton_prompt_text = "$ "  # of a console, with what it prints below
copybutton_only_copy_prompt_lines = True
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"anyio_websocket {version}"
exclude_patterns = ["_build"]

default_role = "py:obj"
add_module_names = False
python_maximum_signature_line_length = 72
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

# The package is the `__module__` of every public name, so Sphinx looks in its
# __init__.py for the comments that document attributes, and for the order of members.
# Here it is told of all other modules as well. The folder testing/ is the same again.
_home = ModuleAnalyzer.for_module("anyio_websocket")
_home.analyze()
_testing = ModuleAnalyzer.for_module("anyio_websocket.testing")
_testing.analyze()
_root = Path(anyio_websocket.__file__).parent
for _path in sorted(_root.rglob("*.py")):
    _parts = _path.relative_to(_root.parent).with_suffix("").parts
    _name = ".".join(_part for _part in _parts if _part != "__init__")
    if _name == "anyio_websocket":
        continue
    _analyzer = ModuleAnalyzer.for_module(_name)
    _analyzer.analyze()
    _door = _testing if _name.startswith("anyio_websocket.testing.") else _home
    _door.attr_docs.update(_analyzer.attr_docs)
    _door.tagorder.update(_analyzer.tagorder)

# Options that `wrap_server_stream` takes by position, and those that it takes by
# keyword, are in two private classes. All are options of every connection.
for (_class, _key), _doc in list(_home.attr_docs.items()):
    if _class in ("_BufferOptions", "_LifeOptions"):
        _home.attr_docs["ConnectionOptions", _key] = _doc
        _home.tagorder[f"ConnectionOptions.{_key}"] = _home.tagorder[f"{_class}.{_key}"]

# The package leaves wsproto to type checkers; see _protocol/_extensions.py.
for _name, _module in list(sys.modules.items()):
    if _name.startswith("anyio_websocket.") and hasattr(_module, "Extension"):
        vars(_module)["Extension"] = wsproto.extensions.Extension

# Sphinx evaluates the annotations of a function, but not those that the library adds to
# its signature for the options.
_types = typing.get_type_hints(anyio_websocket.ClientOptions)
_types |= typing.get_type_hints(anyio_websocket.ServerOptions)
_all = [
    getattr(_module, _name)
    for _module in (anyio_websocket, anyio_websocket.httpx, anyio_websocket.testing)
    for _name in _module.__all__
]
for _public in [*_all, anyio_websocket.testing.InMemoryClient.__call__]:
    _function = _public.__init__ if isinstance(_public, type) else _public
    if _signature := getattr(_function, "__signature__", None):
        _function.__signature__ = _signature.replace(
            parameters=[
                _parameter.replace(annotation=_types[_option])
                if (_option := _parameter.name) in _types
                else _parameter
                for _parameter in _signature.parameters.values()
            ]
        )

nitpicky = True
# Without the network, names of other projects lead nowhere. A builtin's name in single
# backticks is one of those.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(abc|anyio|asyncio|collections|contextlib|json|math|os|random|ssl|trio|types|typing|urllib|wsproto)\..*",
    ),
    (r"py:.*", r"(ipaddress\.)?IPv[46]Address|ipaddress"),
    (
        r"py:.*",
        r"KeyboardInterrupt|TypedAttributeSet|\w*Error|Exception|None|object|type",
    ),
    (r"py:.*", r"bool|bytearray|bytes|float|int|list|memoryview|str|tuple"),
    # Interfaces and unions that only annotations name; the text beside says it better.
    (r"py:.*", r"anyio_websocket\.httpx\.Client"),
    (r"py:.*", r"Exception \| ~collections\.abc\.Callable\[\[\]"),
    (
        r"py:.*",
        r"anyio_websocket(\._\w+)+\.(AnyStream|TrioStream|Nursery|TaskStatus|_T)",
    ),
]

_EXAMPLES = Path(__file__).parents[1] / "examples"
_PYPROJECT = tomllib.loads((_EXAMPLES.parent / "pyproject.toml").read_text("utf-8"))
_SOURCE = _PYPROJECT["project"]["urls"]["Source"]


def _link_programs(app: Sphinx, page: nodes.document) -> None:
    """Add a link below an example, or a part of it, to the whole file.

    A page shows what it is about, and often leaves out the imports.
    """
    seen = set[Path]()
    for block in list(page.findall(nodes.literal_block)):
        path = Path(block.get("source", ""))  # of a literalinclude
        if path in seen or not path.is_relative_to(_EXAMPLES):
            continue
        seen.add(path)
        name = path.relative_to(_EXAMPLES.parent).as_posix()
        url = f"{_SOURCE}/blob/v{release}/{name}"
        link = nodes.reference("", name, refuri=url, internal=False)
        line = nodes.paragraph("", "The whole file: ", link, classes=["whole-program"])
        block.parent.insert(block.parent.index(block) + 1, line)


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", _link_programs)
