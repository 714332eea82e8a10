"""Whether to do without the modules in C.

Where a module ``_x`` takes its names from C if that was built, else from Python, they
are ``_x_c.c`` and ``_x_py.py`` beside it. ``ANYIO_WEBSOCKET_PURE=1`` in the environment
selects Python everywhere, for comparison and for tests.
"""

from __future__ import annotations

import os


def raise_if_pure() -> None:
    """Make an import of a module in C fail, as if it had not been built.

    :raises ImportError: if the environment selects Python

    """
    if os.environ.get("ANYIO_WEBSOCKET_PURE", "0") != "0":
        raise ImportError("ANYIO_WEBSOCKET_PURE is set")
