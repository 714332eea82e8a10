"""Every seed of the fuzzing goes through its target, as far as its pieces."""

from __future__ import annotations

import pytest

from .seeds import SEEDS
from .targets import TARGETS, Steps


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for end in range(0, len(seed), 1 + len(seed) // 50):
            TARGETS[name](seed[:end])
            TARGETS[name](seed[:end] + b"\xff" + seed[end + 1 :])


@pytest.mark.parametrize("name", TARGETS)
def test_steps(name: str) -> None:
    for seed in SEEDS[name]:
        with Steps(len(seed)):
            TARGETS[name](seed)


def test_too_many_steps_are_noticed() -> None:
    with pytest.raises(AssertionError, match="steps"), Steps(0):
        for _ in range(10_000):
            Steps(1)
