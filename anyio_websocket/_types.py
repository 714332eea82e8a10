"""Types of what users pass in, for annotations: nurseries, task statuses, headers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar

#: name and value
Header = tuple[bytes, bytes] | tuple[str, str]
#: what ``extra_headers`` takes, besides ``None``
Headers = Iterable[Header] | Mapping[str, str] | Mapping[bytes, bytes]


_T_contra = TypeVar("_T_contra", contravariant=True)


class TaskStatus(Protocol[_T_contra]):
    """What ``nursery.start()`` passes to the task, in anyio and in trio.

    Theirs demand a value too, unless it is ``None``. So there is no default here.
    """

    def started(self, value: _T_contra, /) -> None:
        """Tell the caller of ``start()`` that the task has started."""


class Nursery(Protocol):
    """What tasks are started in: an anyio ``TaskGroup`` or a trio ``Nursery``."""

    def start_soon(
        self, func: Callable[..., Coroutine[Any, Any, Any]], /, *args: Any
    ) -> Any:
        """Start a task."""
