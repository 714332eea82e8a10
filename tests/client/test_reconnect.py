"""Delays before reconnecting: their bounds, and their distribution."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import islice
from statistics import fmean, pstdev
from typing import Any

import pytest

from anyio_websocket import reconnect_delays

CLIENTS = 4000


def crowd(attempts: int, **options: Any) -> list[list[float]]:
    """The delays of many clients, by attempt."""
    rng = random.Random(1618)
    clients = [
        list(islice(reconnect_delays(rng=rng, **options), attempts))
        for _ in range(CLIENTS)
    ]
    return [list(attempt) for attempt in zip(*clients, strict=True)]


def test_G7_each_delay_is_uniform_up_to_a_bound_that_grows() -> None:
    bounds = [min(5 * 1.618**attempt, 90) for attempt in range(10)]
    assert bounds[6:] == [pytest.approx(89.7, abs=0.1), 90, 90, 90]
    for delays, bound in zip(crowd(10), bounds, strict=True):
        assert 0 <= min(delays) < 0.01 * bound
        assert 0.99 * bound < max(delays) <= bound
        # Of a uniform distribution; four times the standard error of each.
        assert fmean(delays) == pytest.approx(bound / 2, rel=0.04)
        assert pstdev(delays) == pytest.approx(bound / math.sqrt(12), rel=0.04)


def test_G7_many_clients_do_not_return_at_the_same_moment() -> None:
    # All lose their connection at the same moment: how many come in the same 100 ms?
    (first,) = crowd(1)
    busiest = Counter(int(delay * 10) for delay in first).most_common(1)[0][1]
    assert busiest < 1.5 * CLIENTS / 50


def test_G7_delays_are_independent() -> None:
    first, second = crowd(2)
    mean, other = fmean(first), fmean(second)
    covariance = fmean(
        (a - mean) * (b - other) for a, b in zip(first, second, strict=True)
    )
    assert abs(covariance / (pstdev(first) * pstdev(second))) < 0.06


def test_numbers_of_the_user() -> None:
    delays = crowd(5, first=1, factor=2, longest=3)
    for attempt, bound in zip(delays, (1, 2, 3, 3, 3), strict=True):
        assert 0.99 * bound < max(attempt) <= bound
    (constant,) = {round(max(attempt)) for attempt in crowd(3, first=7, factor=1)}
    assert constant == 7
    assert max(crowd(1, first=100)[0]) <= 90


def test_the_delays_never_end() -> None:
    # The bound stays finite, however long a server is away.
    assert next(islice(reconnect_delays(factor=1e300), 1000, None)) <= 90


def test_the_default_source_of_randomness() -> None:
    random.seed(7)
    once = list(islice(reconnect_delays(), 5))
    assert once != list(islice(reconnect_delays(), 5))
    random.seed(7)
    assert once == list(islice(reconnect_delays(), 5))


@pytest.mark.parametrize("name", ["first", "factor", "longest"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_invalid_numbers(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        reconnect_delays(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["first", "factor", "longest"])
@pytest.mark.parametrize("value", ["5", None, True])
def test_wrong_types(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a number, not {value!r}$"):
        reconnect_delays(**{name: value})


def test_the_factor_is_one_or_more() -> None:
    with pytest.raises(ValueError, match=r"^factor must be 1 or more, not 0\.9$"):
        reconnect_delays(factor=0.9)
