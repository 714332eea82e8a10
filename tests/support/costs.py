"""What something costs: memory at its peak, and how CPU time grows with the input."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Memory:
    """Bytes that were allocated since the block began, at the most and in the end."""

    peak = 0
    kept = 0


@contextmanager
def traced() -> Iterator[Memory]:
    """Measure memory; what is read of it counts once the block has ended."""
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.kept, memory.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def least_peak(job: Callable[[], object], bound: float) -> float:
    """Return how much memory a job takes at its peak.

    Other threads of the process, such as pytest-xdist's, are traced as well, and can
    only add to it. So the least of three runs counts, if the first exceeds the bound.

    :param job: does the same each time
    :param bound: bytes that are enough

    """
    least = float("inf")
    for _ in range(3):
        with traced() as memory:
            job()
        least = min(least, memory.peak)
        if least <= bound:
            break
    return least


def grows_linearly(job: Callable[[int], object], size: int) -> bool:
    """Say whether twice the size takes twice the CPU time, rather than four times.

    Whatever else the machine does can only add to a run, so the least of some runs
    counts; and while the result looks bad, there are more of them.

    """
    small = large = float("inf")
    for count in range(60):
        small = min(small, _seconds(job, size))
        large = min(large, _seconds(job, 2 * size))
        if count >= 2 and large < 2.5 * small:
            return True
    return False


def _seconds(job: Callable[[int], object], size: int) -> float:
    started = time.process_time()
    job(size)
    return time.process_time() - started
