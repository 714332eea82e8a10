"""Mistakes in calling the client's functions, named at the call.

In: what a user wrote. Out: an error that says what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from .._connection import WebSocketConnection
from .._types import Nursery

_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_a_nursery(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Check the nursery, the first argument, before anything else.

    Who forgets it would be told that the last argument is missing.
    """

    @wraps(function)
    async def checked_first(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if args or "nursery" in kwargs:
            check_nursery(args[0] if args else kwargs["nursery"], function.__name__)
        return await function(*args, **kwargs)

    return checked_first


def check_nursery(nursery: object, function: str) -> None:
    """Check that tasks can be started in a nursery, by starting one that does nothing.

    :param nursery: what a user passed
    :param function: the name of the function that was called, for the error
    :raises TypeError: if it is not a nursery
    :raises RuntimeError: if it takes no tasks, because it has ended or was not entered

    """
    if not callable(getattr(nursery, "start_soon", None)):
        raise TypeError(
            f"{function}() needs an anyio task group or a trio nursery, entered with "
            f'"async with", as its first argument, not {_kind(nursery)}'
        )
    try:
        cast("Nursery", nursery).start_soon(_nothing)
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


def check_is_no_port(ssl_context: object, function: str) -> None:
    """Check that what follows the URL is not a port.

    :raises TypeError: if it is one

    """
    if isinstance(ssl_context, int) and ssl_context > 1:  # 0 and 1 are meant as flags
        raise TypeError(
            f"{function}() takes no port after the URL: write it into the URL, as in "
            f'"ws://host:{int(ssl_context)}/"'
        )


class Opening(AbstractAsyncContextManager[WebSocketConnection]):
    """What `open_websocket` returns: it has to be entered with ``async with``.

    :param open_: makes the context manager that does the work
    :param function: the name of the function that was called, for errors

    """

    __slots__ = ("_block", "_function", "_open")

    def __init__(
        self,
        open_: Callable[[], AbstractAsyncContextManager[WebSocketConnection]],
        function: str,
    ) -> None:
        self._open = open_
        self._function = function
        self._block: AbstractAsyncContextManager[WebSocketConnection] | None = None

    async def __aenter__(self) -> WebSocketConnection:
        if self._block is not None:
            raise RuntimeError(f"call {self._function}() again to connect again")
        self._block = self._open()
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        return await self._block.__aexit__(kind, error, traceback)

    # -- what else is tried ----------------------------------------------------

    def _advice(self) -> str:
        name = self._function
        instead = name.replace("open", "connect", 1)
        return (
            f'write "async with {name}(...) as connection:"; to keep the connection '
            f"without a block, use {instead}(nursery, ...)"
        )

    def __await__(self) -> NoReturn:
        raise TypeError(f"{self._function}() cannot be awaited: {self._advice()}")

    def __enter__(self) -> NoReturn:
        raise TypeError(f'{self._function}() is used with "with": {self._advice()}')

    def __exit__(self, *_: object) -> None:
        """Never called; without it, ``with`` would not call ``__enter__``."""

    def __aiter__(self) -> NoReturn:
        raise TypeError(f"{self._function}() has no messages yet: {self._advice()}")

    def __getattr__(self, name: str) -> NoReturn:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if not name.startswith("_") and hasattr(WebSocketConnection, name):
            text = f"{self._function}() has no {name!r} yet: {self._advice()}"
        raise AttributeError(text)
