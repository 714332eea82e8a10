"""A handler that calls another one, by the path of the request.

The templates are werkzeug's, which is imported when the first router is made: it takes
longer than all of this library.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from ._check_handler import check_handlers
from ._request import WebSocketRequest

RouteHandler = Callable[..., Awaitable[object]]
_T = TypeVar("_T", bound=RouteHandler)

# <name> or <converter:name>, of a template that is valid
_PARAMETER: Final = r"<(?:([^<>]*):)?[^<>:]*>"


class Router:
    """A handler that calls another handler, by the path of the request.

    Pass it to `serve_websocket` like any handler::

        router = Router()

        @router.route("/rooms/<int:number>")
        async def room(request, number): ...

    It needs the extra ``routing``: ``pip install anyio_websocket[routing]``.

    Templates are those of ``werkzeug.routing``. A parameter is ``<name>``, one segment
    of the path, or has a converter: ``<int:name>``, ``<float:name>``, ``<uuid:name>``,
    ``<path:name>`` for several segments, ``<any(a, b):name>``,
    ``<string(length=2):name>``. Where several templates match, a fixed part goes before
    a parameter, in whichever order they were added.

    Paths are decoded before they are compared, so a slash that is percent-encoded is a
    slash like any other. The query and the host do not count, nor does a slash at the
    end of a path or of a template. A path for which there is no template is rejected
    with status 404, and so is one that is not UTF-8. Nothing is redirected, because
    browsers do not follow redirects of WebSockets.

    :raises ImportError: if werkzeug is not installed

    """

    def __init__(self) -> None:
        if find_spec("werkzeug") is None:
            raise ImportError(
                "Router needs the package werkzeug: "
                "pip install anyio_websocket[routing]"
            )
        from werkzeug.exceptions import HTTPException
        from werkzeug.routing import Map

        self._no_match: type[Exception] = HTTPException
        self._map = Map(
            strict_slashes=False, merge_slashes=False, redirect_defaults=False
        )
        self._routes = self._map.bind("localhost")  # the host does not count
        self._added: dict[str, str] = {}

    def route(self, template: str) -> Callable[[_T], _T]:
        """Add the handler that is defined below it, as a decorator.

        :param template: see `add`

        """
        if not isinstance(template, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                'route() needs a template: @router.route("/path"), not '
                f"{type(template).__name__}"
            )

        def decorate(handler: _T) -> _T:
            self.add(template, handler)
            return handler

        return decorate

    def add(self, template: str, handler: RouteHandler) -> None:
        """Add a handler. This may be done while the router serves.

        :param template: a path, with parameters in it, such as
            ``"/rooms/<int:number>"``
        :param handler: called as ``await handler(request, number=7)``: with the
            request, and with the parameters by their names
        :raises ValueError: if the template is not valid, or equal to one that was
            added before
        :raises TypeError: if an argument is of the wrong type, or the handler cannot be
            called with these parameters

        """
        from werkzeug.routing import Map, Rule

        check_handlers(handler)
        if not isinstance(template, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a template must be a str, not {type(template).__name__}")
        if "?" in template or "#" in template:
            raise ValueError(
                f"the template {template!r} must be a path, without a query"
            )
        try:
            rule: Any = Rule(template)
            Map([rule])  # only now it is looked at
        except (LookupError, SyntaxError, TypeError, ValueError) as exc:
            raise ValueError(f"the template {template!r} is not valid: {exc}") from None
        _check_parameters(handler, template, sorted(rule.arguments))
        key = re.sub(_PARAMETER, lambda match: f"<{match[1] or 'string'}>", template)
        key = key.rstrip("/")
        if key in self._added:
            raise ValueError(
                f"the template {template!r} is equal to {self._added[key]!r}, which "
                "has a handler"
            )
        self._added[key] = template
        self._map.add(Rule(template, endpoint=handler))

    async def __call__(self, request: WebSocketRequest) -> None:
        """Call the handler of the path, or reject the request with status 404."""
        found = self._match(request.path)
        if found is None:
            await request.reject(
                404,
                extra_headers=[(b"Content-Type", b"text/plain; charset=utf-8")],
                body=b"there is nothing at this path\n",
            )
            return
        handler, parameters = found
        await handler(request, **parameters)

    def _match(self, target: str) -> tuple[RouteHandler, dict[str, Any]] | None:
        from urllib.parse import unquote  # werkzeug has imported it

        try:
            path = unquote(target.partition("?")[0], errors="strict")
        except UnicodeDecodeError:
            return None
        if path.startswith("//"):  # werkzeug would take it for one slash
            return None
        try:
            handler, parameters = self._routes.match(path)
        except (self._no_match, ValueError):  # the latter of int(), as from 3.0.0 on
            return None
        return handler, dict(parameters)


def _check_parameters(handler: RouteHandler, template: str, names: list[str]) -> None:
    """Check that a handler can be called with the parameters of a template."""
    signature: inspect.Signature | None = None
    with suppress(ValueError):  # some that are not written in Python have none
        signature = inspect.signature(handler)
    if signature is None:
        return
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as exc:
        call = ", ".join(["request", *(f"{name}=..." for name in names)])
        raise TypeError(
            f"the handler of {template!r} is called as handler({call}), which does "
            f"not fit {inspect.unwrap(handler)!r}: {exc}"
        ) from None
