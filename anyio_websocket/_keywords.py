"""The keyword arguments of public functions: shown in signatures, made into settings.

In: the arguments of a call. Out: settings, or an error that names the function, and for
an option that does not exist the one that was probably meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from ._settings import ClientSettings, ClientStreamSettings, ConnectionSettings

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Settings = TypeVar("_Settings", bound=ConnectionSettings)


def with_options(
    options: type, settings: type[ConnectionSettings]
) -> Callable[[_Function], _Function]:
    """Show the options in the signature of a function that takes ``**options``.

    So `inspect.signature`, ``help()`` and Sphinx see each keyword with its type and
    its default, although the function's source names none of them.

    :param options: the class that documents the options
    :param settings: the class that has their defaults

    """
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(settings, name),
            annotation=getattr(hint, "__forward_arg__", hint),
        )
        for name, hint in options.__annotations__.items()
    ]

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        *named, _ = signature.parameters.values()
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*named, *keywords]
        )
        return function

    return decorate


def checked(
    settings: type[_Settings], function: Callable[..., Any], options: Mapping[str, Any]
) -> _Settings:
    """Make settings of the options that a user passed.

    :param settings: the class of the settings
    :param function: the function that the user called, which `with_options` decorates;
        errors name it
    :param options: the keyword arguments
    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an option has a value of the wrong type, or does not exist

    """
    known: Mapping[str, object] = function.__signature__.parameters  # type: ignore[attr-defined]
    for name in options:
        if name not in known:
            raise TypeError(_unexpected(settings, function, name, known))
    try:
        return settings(**options)
    except (TypeError, ValueError) as exc:
        error = ValueError if isinstance(exc, ValueError) else TypeError
        raise error(f"{_name(function)}(): {exc}") from exc.__cause__


# What websockets and aiohttp call an option that has another name here.
_NAMES_OF_OTHERS: Final = {
    "close_timeout": "disconnect_timeout",
    "max_size": "max_message_size",
    "open_timeout": "connect_timeout",
    "timeout": "connect_timeout",
}


def _unexpected(
    settings: type, function: Callable[..., Any], name: str, known: Iterable[str]
) -> str:
    from difflib import get_close_matches  # costs time; few programs need it

    text = f"{_name(function)}() got an unexpected keyword argument {name!r}"
    if settings is ClientStreamSettings and (
        name in ClientSettings.__annotations__ or "ssl" in name
    ):
        return f"{text}. The stream or the HTTP client that you pass decides on the way"
    name = _NAMES_OF_OTHERS.get(name, name)
    # What others call it is often a part of our name, such as "ssl".
    parts = [our_name for our_name in known if name in our_name.split("_")]
    matches = get_close_matches(name, known, n=1) or parts[:1]
    return text + "".join(f". Did you mean {match!r}?" for match in matches)


def _name(function: Callable[..., Any]) -> str:
    return function.__qualname__.removesuffix(".__init__")
