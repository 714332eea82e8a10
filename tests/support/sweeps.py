"""How thorough a sweep is: whether it plays every case, or every n-th.

A sweep plays one scenario over and over, with a fault or a cancellation in another
place each time. ``ANYIO_WEBSOCKET_SWEEP=4`` in the environment plays every fourth case
of each sweep. nox does so on all Pythons but one: each begins with another case, so
that together they play all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

_T = TypeVar("_T")

EVERY: Final = int(os.environ.get("ANYIO_WEBSOCKET_SWEEP", "1"))


def swept(
    cases: Iterable[_T], every: int = EVERY, first: int = sys.version_info.minor
) -> Iterator[_T]:
    """Choose the cases to play; the same ones in each run on the same Python.

    :param every: 1 for all cases, 2 for every second one, ...
    :param first: which one is the first; counted modulo ``every``

    """
    return islice(cases, first % every, None, every)
