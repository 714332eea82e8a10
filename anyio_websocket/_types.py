"""Types that users pass in: nurseries, task statuses, headers.

In: nothing. Out: names for annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Header = tuple[bytes, bytes] | tuple[str, str]


class TaskStatus(Protocol):
    """What ``nursery.start()`` passes, in anyio and in trio."""

    def started(self, value: Any = None, /) -> None:
        """Hand the value to who waits for the start."""


class Nursery(Protocol):
    """Where tasks may be started: an anyio TaskGroup or a trio Nursery."""

    def start_soon(
        self, func: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any
    ) -> Any:
        """Start a task."""
