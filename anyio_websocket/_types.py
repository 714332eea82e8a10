"""Types of what users pass in: nurseries, task statuses, headers.

They are for annotations. An object that is not a nursery, or one that takes no tasks,
is found by a check at the call. Otherwise it would fail when the first task is started.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import wraps

# For annotations and checks; options that take them name them from here.
from ssl import SSLContext as SSLContext
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from anyio.abc import ByteStreamConnectable as ByteStreamConnectable

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


_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_a_nursery(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Check the nursery, the first argument, before anything else.

    Otherwise a user who forgets it would be told that the last argument is missing.
    """

    @wraps(function)
    async def checked_first(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if args or "nursery" in kwargs:
            nursery = args[0] if args else kwargs["nursery"]
            check_is_nursery(nursery, function.__name__, "its first argument")
            _check_takes_tasks(cast("Nursery", nursery), function.__name__)
        return await function(*args, **kwargs)

    return checked_first


def bytes_of(name: str, data: object) -> bytes:
    """Return the bytes that a user passed.

    :param name: the name of the argument
    :raises TypeError: if they are none; ``bytes(3)`` would be three NULs

    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"{name} must be bytes, not {type(data).__name__}")
    return bytes(cast("bytes", data))


def check_is_nursery(nursery: object, function: str, argument: str) -> None:
    """Check that tasks can be started in a nursery once it is entered.

    :param nursery: what a user passed
    :param function: the name of the function that was called; the error names it
    :param argument: which of its arguments the nursery is; the error says so
    :raises TypeError: if it is not a nursery

    """
    if not callable(getattr(nursery, "start_soon", None)):
        raise TypeError(
            f"{function}() needs an anyio task group or a trio nursery, entered with "
            f'"async with", as {argument}, not {_kind(nursery)}'
        )


def _check_takes_tasks(nursery: Nursery, function: str) -> None:
    """Check that a nursery takes tasks, by starting one that does nothing.

    :raises RuntimeError: if it takes none, because it has ended or was not entered

    """
    try:
        nursery.start_soon(_nothing)
    except RuntimeError as exc:
        raise RuntimeError(
            f"{function}() was passed a nursery that takes no tasks: {exc}"
        ) from exc


async def _nothing() -> None:
    pass


def _kind(thing: object) -> str:
    # Not its repr: a URL may have a password in it.
    kind = type(thing)
    return (
        kind.__name__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    )
