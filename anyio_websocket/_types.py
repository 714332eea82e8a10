"""Types of what users pass in, for annotations: nurseries, task statuses, headers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

#: name and value
Header = tuple[bytes, bytes] | tuple[str, str]


class TaskStatus(Protocol):
    """What ``nursery.start()`` passes to the task, in anyio and in trio."""

    def started(self, value: Any = None, /) -> None:
        """Tell the caller of ``start()`` that the task has started."""


class Nursery(Protocol):
    """What tasks are started in: an anyio ``TaskGroup`` or a trio ``Nursery``."""

    def start_soon(
        self, func: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any
    ) -> Any:
        """Start a task."""
