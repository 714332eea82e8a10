"""How one server fares in a soak: what happens to it, and what was seen of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from .hostile import Attack
from .level import Sample
from .process import Server

T = TypeVar("T")


class Moment(NamedTuple):
    """What was seen of a server in a second."""

    at: float  # seconds since the start
    life: int  # how many times it was started
    sample: Sample
    p99: float  # ms


class Restart(NamedTuple):
    """How a server came to an end in the middle, and back."""

    stopped: float  # seconds that stopping took
    clients: int  # honest ones that were connected then
    back: float  # seconds from its start until it had nearly all of them again


@dataclass
class Course:
    """How one server fares.

    :param server: the server
    :param deck: what its attackers play next

    """

    server: Server
    deck: Iterator[tuple[str, Attack]]
    life: int = 1
    is_down: bool = False
    connected: int = 0  # honest clients
    told: int = 0  # honest clients that it sent a Close
    restart: Restart | None = None
    moments: list[Moment] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)  # since the last moment
    spread: Counter[int] = field(default_factory=Counter)  # how often an echo took, ms
    played: Counter[str] = field(default_factory=Counter)  # rows of the contract

    def is_calm(self, life: int) -> bool:
        """Say whether it was not stopped since this life of it."""
        return life == self.life and not self.is_down

    def percentile(self, part: float) -> int:
        """Say how many ms an echo took at the most, leaving out a part of them."""
        rest = part * self.spread.total()
        for took in sorted(self.spread, reverse=True):
            rest -= self.spread[took]
            if rest < 0:
                return took
        return 0


def dealt(
    rows: Mapping[str, Sequence[T]], chance: random.Random
) -> Iterator[tuple[str, T]]:
    """Give one of each row, then one of each row again, in another order."""
    while True:
        for row in chance.sample(sorted(rows), len(rows)):
            yield row, chance.choice(rows[row])
