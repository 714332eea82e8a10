"""``python -m anyio_websocket`` and ``anyio-websocket``: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    :param argv: the arguments; ``None`` for those of the process
    :raises SystemExit: for ``--help``, ``--version``, and what cannot be parsed

    """
    try:
        from ._cli import main as run

        return run(argv)
    except KeyboardInterrupt:  # while the modules of the command line are loaded
        return 130


if __name__ == "__main__":
    sys.exit(main())
