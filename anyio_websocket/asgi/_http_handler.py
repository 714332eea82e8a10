"""An ASGI application as an ``http_handler``: `http_handler`.

The request comes in whole, with its body. The application's response is kept until it
is complete, because the server sends responses whole.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from anyio import Event as Signal
from anyio import current_effective_deadline, get_cancelled_exc_class

from .._plain_http import HTTPRequest, HTTPResponse
from .._settings import check
from ._application import (
    MAX_RESPONSE_BODY,
    Application,
    Event,
    Response,
    check_application,
    unexpected,
)
from ._scope import http_scope

_logger = logging.getLogger("anyio_websocket")


def http_handler(
    app: Application,
    *,
    state: Mapping[str, Any] | None = None,
    root_path: str = "",
    max_response_body: int = MAX_RESPONSE_BODY,
) -> Callable[[HTTPRequest], Coroutine[Any, Any, HTTPResponse]]:
    """Make an ASGI application an `~anyio_websocket.ServerOptions.http_handler`.

    The application is called for each request that wants no WebSocket, with a scope of
    type ``http``. So a page and a health check that belong to the application are on
    the port of its WebSockets.

    It is for small responses. One is sent when the application has returned, background
    tasks of a framework included, and the connection is closed then. So there are no
    streams, and ``http.disconnect`` comes after the response. If the application raises
    before its response is complete, or returns without one, the client gets status 500;
    if it raises afterwards, the response is sent, and the exception is logged.

    :param app: the application
    :param state: see `handler`
    :param root_path: see `handler`
    :param max_response_body: bytes of a response's body, which is kept in memory until
        it is complete; default 16 MiB. A larger one raises `RuntimeError` from
        ``send``, which stops applications that stream without end
    :raises TypeError: if the application cannot be called, or the limit is not an int
    :raises ValueError: if the limit is not positive

    """
    check_application(app, "http_handler")
    check("http_handler(): max_response_body", max_response_body, kind=int)

    async def handle(request: HTTPRequest) -> HTTPResponse:
        exchange = _Exchange(request.body, max_response_body)
        scope = http_scope(request, state, root_path)
        try:
            await app(scope, exchange.receive, exchange.send)
        except (Exception, get_cancelled_exc_class()):
            # A cancellation may be of a task of asyncio that the application has
            # cancelled and awaited. That of a scope around it is not to be caught.
            is_cancelled = current_effective_deadline() == -math.inf
            if is_cancelled or not exchange.is_over.is_set():
                raise
            _logger.exception("the ASGI application raised after its response")
        return exchange.answer()

    return handle


class _Exchange:
    """What an application exchanges with one client.

    :param body: the body of the request
    :param max_response_body: bytes of the body of the response

    """

    def __init__(self, body: bytes, max_response_body: int) -> None:
        self._body: bytes | None = body
        self._max_response_body = max_response_body
        self._response: Response | None = None
        #: set when the response is complete
        self.is_over: Signal = Signal()

    async def receive(self) -> Event:
        """Return the request, and then wait until the response is complete."""
        if self._body is None:
            await self.is_over.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, event: Mapping[str, Any]) -> None:
        """Keep what an event has of the response."""
        kind, response = event["type"], self._response
        if self.is_over.is_set():
            return  # ASGI: further events are ignored
        if response is None:
            if kind != "http.response.start":
                raise unexpected(kind, "http.response.start")
            self._response = Response(event, self._max_response_body)
            return
        if kind != "http.response.body":
            raise unexpected(kind, "http.response.body")
        response.add(event)
        if response.is_complete:
            self.is_over.set()

    def answer(self) -> HTTPResponse:
        """Return the response.

        :raises RuntimeError: if it is not complete

        """
        response = self._response
        if response is None or not response.is_complete:
            raise RuntimeError(
                "the ASGI application returned without sending a whole response"
            )
        return HTTPResponse(response.status_code, response.body, response.headers)
