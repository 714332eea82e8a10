"""Whether what a user passed can be a handler, checked before anything is served."""

from __future__ import annotations

import dis
import inspect
from functools import partial
from typing import Any, cast


def check_handlers(handler: object, http_handler: object = None) -> None:
    """Check a server's handlers, as far as that can be known without a call.

    :param handler: called for WebSockets
    :param http_handler: called for plain HTTP; ``None`` if that is not served
    :raises TypeError: if one of them cannot be a handler

    """
    _check_handler(handler, "handler")
    if http_handler is not None:
        _check_handler(http_handler, "http_handler")


def name_of_handler(handler: object) -> str:
    """Return what the log calls a handler."""
    name = getattr(handler, "__qualname__", None)
    return name if isinstance(name, str) else repr(handler)


def _check_handler(handler: object, kind: str) -> None:
    """Check a handler.

    A function defined with ``def`` may return an awaitable, as lambdas and decorators
    do. So it is only refused if it cannot: each of its returns returns ``None``, or it
    is a generator.

    :param handler: what a user passed
    :param kind: what the user passed it as; errors name it
    :raises TypeError: if it cannot be a handler

    """
    if not callable(handler) or isinstance(handler, type):
        what = (
            f"the class {handler.__name__}"
            if isinstance(handler, type)
            else repr(handler)
        )
        raise TypeError(
            f"the {kind} must be an async function that takes the request, not {what}"
        )
    function = cast("Any", handler)
    while isinstance(function, partial):
        function = cast("Any", function.func)
    if not inspect.isroutine(function):
        function = type(function).__call__  # an object that can be called
    # Not what it wraps: a decorator may make an async function of any other.
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None or inspect.iscoroutinefunction(function):
        return
    is_generator = code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR)
    if is_generator or not _may_return_something(code):
        name = getattr(function, "__qualname__", "handler")
        why = 'has a "yield" in it' if is_generator else 'is defined with "def"'
        raise TypeError(
            f"the {kind} must be an async function, but {name} {why}: "
            f'write "async def {function.__name__}(request)"'
            + " without it"
            * bool(is_generator)
        )


def _may_return_something(code: Any) -> bool:
    before = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return True  # pragma: no cover - only 3.12 and 3.13 have it
        if instruction.opname == "RETURN_VALUE" and not (
            before is not None
            and before.opname == "LOAD_CONST"
            and before.argval is None
        ):
            return True
        before = instruction
    return False
