"""Mistakes in calling the client's functions, named at the call.

In: what a user wrote. Out: an error that says what to write instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import NoReturn, ParamSpec, TypeVar

from .._connection import WebSocketConnection, is_in_parts

_P = ParamSpec("_P")
_T = TypeVar("_T")


def takes_no_options(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Say where the options go if a function that reconnects is passed some."""
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for name in kwargs:
            if name not in known:
                raise TypeError(
                    f"{function.__name__}() got an unexpected keyword argument "
                    f"{name!r}. It takes {_listed(list(known))}. Options of the "
                    "connection are returned by connect, an async function: "
                    '"async def connect(attempt): return url, {...}"'
                )
        return function(*args, **kwargs)

    return checked


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def check_is_no_port(ssl_context: object, function: str) -> None:
    """Check that what follows the URL is not a port.

    :raises TypeError: if it is one

    """
    if isinstance(ssl_context, int) and ssl_context > 1:  # 0 and 1 are meant as flags
        raise TypeError(
            f"{function}() takes no port after the URL: write it into the URL, as in "
            f'"ws://host:{int(ssl_context)}/"'
        )


def no_whole_message(message: object) -> Exception:
    """Make the exception for what cannot be sent by a client that reconnects.

    It is the one that a connection raises, unless a connection would send it in parts.

    """
    text = (
        "message must be str, bytes, bytearray or memoryview, not "
        f"{type(message).__name__}"
    )
    if is_in_parts(message):
        hint = "a message in parts cannot be sent again, so send it on .connection"
        return TypeError(f"{text}: {hint}")
    return ValueError(text)


def leaves_the_rest_to_its_connection(kind: type[_T]) -> type[_T]:
    """Say where to find the methods that only a connection has.

    In the class, for type checkers, it would mean that it has all names.

    """

    def __getattr__(self: object, name: str) -> NoReturn:
        text = f"{kind.__name__!r} object has no attribute {name!r}"
        if not name.startswith("_") and hasattr(WebSocketConnection, name):
            text += ": use that of its connection, which may be None"
        raise AttributeError(text)

    kind.__getattr__ = __getattr__  # type: ignore[attr-defined]
    return kind


class Opening(AbstractAsyncContextManager[_T]):
    """What `open_websocket` returns: it has to be entered with ``async with``.

    :param open_: makes the context manager that does the work
    :param function: the name of the function that was called, for errors
    :param instead: the name of the one whose connection needs no block, if there is one

    """

    __slots__ = ("_block", "_function", "_instead", "_open")

    def __init__(
        self,
        open_: Callable[[], AbstractAsyncContextManager[_T]],
        function: str,
        instead: str = "",
    ) -> None:
        self._open = open_
        self._function = function
        self._instead = instead
        self._block: AbstractAsyncContextManager[_T] | None = None

    async def __aenter__(self) -> _T:
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
        advice = f'write "async with {self._function}(...) as connection:"'
        if self._instead:
            advice += (
                "; to keep the connection without a block, use "
                f"{self._instead}(nursery, ...)"
            )
        return advice

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
