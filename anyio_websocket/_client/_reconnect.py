"""How long to wait before connecting again.

In: how patient to be. Out: one delay after the other, at random.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Final

# What websockets' client does: the first attempts of a crowd spread over five seconds,
# and the golden ratio takes them to a minute and a half in seven steps.
FIRST: Final = 5.0  # seconds
FACTOR: Final = 1.618
LONGEST: Final = 90.0  # seconds


def reconnect_delays(
    *,
    first: float = FIRST,
    factor: float = FACTOR,
    longest: float = LONGEST,
    rng: random.Random | None = None,
) -> Iterator[float]:
    """Give the delays between attempts to connect, without end.

    Each is random between zero and a bound that grows from attempt to attempt ("full
    jitter"). So when a server comes back, its clients do not all come at the same
    moment, again and again, as they do with delays that are the same for all. Begin
    anew, with another call, once a connection has been of use.

    :param first: seconds; bound of the first delay
    :param factor: how much each bound is above the one before; 1 to leave it as it is
    :param longest: seconds; no bound is above it
    :param rng: where chance comes from; ``None`` for the module ``random``
    :raises ValueError: at the call, if a number is not finite, not positive, or, for
        the factor, below 1

    """
    for name, value in (("first", first), ("longest", longest)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and more than zero, not {value!r}")
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(f"factor must be finite and 1 or more, not {factor!r}")
    uniform = random.uniform if rng is None else rng.uniform
    return _delays(uniform, first, factor, longest)


def _delays(
    uniform: Callable[[float, float], float],
    bound: float,
    factor: float,
    longest: float,
) -> Iterator[float]:
    while True:
        bound = min(bound, longest)
        yield uniform(0.0, bound)
        bound *= factor
