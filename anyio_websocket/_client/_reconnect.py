"""How long a client should wait before it reconnects."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Final

# The defaults of websockets' client: the first attempts of many clients spread over
# five seconds, and the golden ratio takes them to a minute and a half in seven steps.
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
    """Yield the delays before each attempt to reconnect, endlessly.

    Each delay is random between zero and a bound that grows from attempt to attempt
    ("full jitter"). If all clients waited equally long after their server went down,
    they would return at the same moment, again and again, and could overload it.

    Call the function again, so that the delays are short again, once a connection has
    been of use.

    :param first: the bound of the first delay in seconds
    :param factor: how many times larger each bound is than the previous one; 1 keeps
        the bound as it is
    :param longest: the largest bound in seconds
    :param rng: the source of randomness; ``None`` uses the module ``random``
    :raises ValueError: when called, if a number is not finite or not positive, or if
        the factor is below 1
    :raises TypeError: when called, if a number is not a number

    """
    for name, value in (("first", first), ("factor", factor), ("longest", longest)):
        if not isinstance(value, int | float) or isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not math.isfinite(value) or value <= 0:
            raise ValueError(f"{name} must be finite and more than zero, not {value!r}")
    if factor < 1:
        raise ValueError(f"factor must be 1 or more, not {factor!r}")
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
