"""The open connections of a server, as a set that is always up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import TypeVar

from .._connection import WebSocketConnection

_T = TypeVar("_T")


class OpenConnections(Set[WebSocketConnection]):
    """The connections of a server that are open now.

    Nothing is kept up to date for it: it looks when it is asked. Each iteration is over
    the connections that are open when it begins, so its body may wait.

    :param accepted: returns the connections that were accepted and whose handlers have
        not ended

    """

    __slots__ = ("_accepted",)

    def __init__(self, accepted: Callable[[], Iterable[WebSocketConnection]]) -> None:
        self._accepted = accepted

    def __iter__(self) -> Iterator[WebSocketConnection]:
        return iter([one for one in self._accepted() if one.closed is None])

    def __contains__(self, item: object) -> bool:
        return any(one is item for one in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{len(self)} open connections>"

    @classmethod
    def _from_iterable(cls, it: Iterable[_T]) -> frozenset[_T]:
        return frozenset(it)  # of |, &, - and ^: they do not change any more
