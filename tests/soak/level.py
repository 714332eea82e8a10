"""What a process takes, and whether that stays level.

In: samples, at equal distances. Out: what has grown.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

WARM_UP: Final = 0.3  # of a time, after which everything has to stay level


class Sample(NamedTuple):
    """What a process has, in a moment."""

    resident: float  # MiB
    descriptors: int
    tasks: int


def growth(samples: Sequence[Sample], slack: Sample, *, more: float = 0.1) -> list[str]:
    """Say what has grown: by its medians in two halves, once it has warmed up.

    :param samples: one after the other
    :param slack: by how much everything may differ all the same
    :param more: and by which part of what it was before
    """
    warm = samples[int(len(samples) * WARM_UP) :]
    half = len(warm) // 2
    if half < 2:
        return ["too few samples"]
    grown: list[str] = []
    for i, name in enumerate(Sample._fields):
        early = statistics.median(sample[i] for sample in warm[:half])
        late = statistics.median(sample[i] for sample in warm[half:])
        if late > early * (1 + more) + slack[i]:
            grown.append(f"{name} grew from {early:.1f} to {late:.1f}")
    return grown
