"""An ASGI application as a handler: `handler`.

A request comes in. The application is called with a scope, ``receive`` and ``send``;
these call the methods of the request and its connection, and keep nothing themselves.
So the application waits where a handler would, and the same bounds hold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

from anyio import Event as Signal

from .._connection import WebSocketConnection
from .._errors import CloseReason, ConnectionClosed
from .._protocol import name_of
from .._server import WebSocketRequest
from .._types import bytes_of
from ._application import (
    MAX_RESPONSE_BODY,
    Application,
    ClientDisconnected,
    Event,
    Response,
    check_application,
    headers_of,
    unexpected,
)
from ._scope import websocket_scope

_logger = logging.getLogger("anyio_websocket")


def handler(
    app: Application, *, state: Mapping[str, Any] | None = None, root_path: str = ""
) -> Callable[[WebSocketRequest], Coroutine[Any, Any, None]]:
    """Make an ASGI application a handler, as `~anyio_websocket.serve_websocket` takes.

    The application is called for each request with a scope of type ``websocket``, as
    HTTP and WebSocket 2.5 of ASGI describes it, in the task of the handler.

    - ``receive`` returns the messages of the connection and waits as
      `~anyio_websocket.WebSocketConnection.get_message` does; nothing is read ahead
      beyond the bounds of the connection. After ``websocket.disconnect``, another call
      raises `ClientDisconnected`.
    - ``send`` returns when the message was written, so a client that reads slowly makes
      the application wait. ``websocket.close`` waits for the closing handshake.
      When the WebSocket has ended, it raises `ClientDisconnected`, an `OSError`. An
      event that is not valid, or comes at the wrong time, raises `RuntimeError`,
      `ValueError`, `TypeError` or `KeyError`, and nothing is sent.
    - ``websocket.close`` before ``websocket.accept`` rejects the request with status
      403, and ``websocket.http.response.start`` with a response of the application.
      The response is sent when it is complete; it may have 16 MiB.

    If the application returns, the connection is closed with code 1000. If it raises,
    that is treated as with any handler, see `~anyio_websocket.ServerOptions`: the
    connection is closed with code 1011. Before it has accepted or rejected the
    request, both reject it with status 500.

    :param app: the application
    :param state: what `lifespan` yields; the application gets a copy of it for each
        request. ``None`` for an empty one
    :param root_path: the path below which the application is, if that is not the root.
        It only says so: paths are passed on whole
    :raises TypeError: if the application cannot be called

    """
    check_application(app, "handler")

    async def handle(request: WebSocketRequest) -> None:
        exchange = _Exchange(request)
        scope = websocket_scope(request, state, root_path)
        try:
            await app(scope, exchange.receive, exchange.send)
        except BaseException as exc:
            rest = exchange.without_own(exc)
            exchange.fail()
            if rest is exc:
                raise
            if rest is not None:
                raise rest from None
        await exchange.finish()

    return handle


class _Exchange:
    """What an application exchanges with one client.

    :param request: the client's

    """

    def __init__(self, request: WebSocketRequest) -> None:
        self._request = request
        self._connection: WebSocketConnection | None = None
        self._response: Response | None = None  # of a rejection
        self._reason: CloseReason | None = None  # if there is no connection any more
        self._decided = Signal()  # there is a connection, or there will be none
        self._is_asked = False  # whether the application was told of the request
        self._is_closing = False  # whether it has sent websocket.close
        self._is_told = False  # whether it was told of the end

    async def receive(self) -> Event:
        """Return the next event, as ASGI describes it.

        :raises ClientDisconnected: if the last one was returned

        """
        if not self._is_asked:
            self._is_asked = True
            return {"type": "websocket.connect"}
        await self._decided.wait()
        if self._is_told:
            raise self._disconnected("the application was told that it is disconnected")
        if self._connection is not None:
            try:
                message = await self._connection.get_message()
            except ConnectionClosed as exc:
                if self._is_closing:
                    # Applications cancel the task that sends websocket.close when
                    # they are told; it must have sent it then.
                    await self._connection.wait_closed()
                self._ended(exc.reason)
            else:
                kind = "text" if isinstance(message, str) else "bytes"
                return {"type": "websocket.receive", kind: message}
        self._is_told = True
        reason = self._reason
        assert reason is not None
        return {
            "type": "websocket.disconnect",
            "code": int(reason.code),
            "reason": reason.reason or "",
        }

    async def send(self, event: Mapping[str, Any]) -> None:
        """Do what an event says.

        :raises ClientDisconnected: if the WebSocket has ended

        """
        kind = event["type"]
        try:
            if self._connection is not None:
                await self._use(self._connection, kind, event)
            elif self._reason is not None:
                raise self._disconnected("the request was rejected")
            elif self._response is not None:
                await self._respond(self._response, kind, event)
            else:
                await self._decide(kind, event)
        except ConnectionClosed as exc:
            self._ended(exc.reason)
            raise self._disconnected(str(exc)) from exc
        except Exception:
            raise  # the event is not valid, and nothing was sent
        except BaseException:
            if self._connection is None:  # and there will be none: it was cancelled
                self._ended(CloseReason(1006, None))
            raise

    async def finish(self) -> None:
        """Reject a request about which the application has said nothing."""
        if not self._decided.is_set():
            _logger.error(
                "%s: the ASGI application returned without sending websocket.accept, "
                "websocket.close or a whole response, so the request is rejected with "
                "status 500",
                name_of(self._request.remote),
            )
            self.fail()
            await self._reject(500)

    def fail(self) -> None:
        """Note that a request which was not accepted when the application ends is lost.

        Its tasks may go on, and wait for an event.
        """
        if self._connection is None:
            self._ended(CloseReason(1006, None))

    def without_own(self, exc: BaseException) -> BaseException | None:
        """Take out what only says that this WebSocket has ended.

        :return: the rest, or the same exception, or ``None``

        """
        if not isinstance(exc, BaseExceptionGroup):
            return None if self._is_own(exc) else exc
        group = cast("BaseExceptionGroup[BaseException]", exc)
        # Not the method: Python 3.11 and 3.12 want a function.
        own, rest = group.split(lambda error: self._is_own(error))
        return group if own is None else rest

    def _is_own(self, exc: BaseException) -> bool:
        return isinstance(exc, ClientDisconnected) and exc.reason is self._reason

    async def _decide(self, kind: object, event: Mapping[str, Any]) -> None:
        if kind == "websocket.accept":
            self._connection = await self._request.accept(
                subprotocol=event.get("subprotocol"), extra_headers=headers_of(event)
            )
            self._decided.set()
        elif kind == "websocket.close":
            await self._reject(403)
        elif kind == "websocket.http.response.start":
            self._response = Response(event, MAX_RESPONSE_BODY)
        else:
            raise unexpected(
                kind,
                *("websocket.accept", "websocket.close"),
                "websocket.http.response.start",
            )

    async def _respond(
        self, response: Response, kind: object, event: Mapping[str, Any]
    ) -> None:
        if kind != "websocket.http.response.body":
            raise unexpected(kind, "websocket.http.response.body")
        response.add(event)
        if response.is_complete:
            await self._reject(response.status_code, response)

    async def _reject(self, status_code: int, response: Response | None = None) -> None:
        await self._request.reject(
            status_code,
            extra_headers=None if response is None else response.headers,
            body=None if response is None else response.body,
        )
        self._ended(CloseReason(1006, None))

    async def _use(
        self, connection: WebSocketConnection, kind: object, event: Mapping[str, Any]
    ) -> None:
        if kind == "websocket.send":
            await connection.send_message(_message_of(event))
        elif kind == "websocket.close":
            if connection.closed is not None:
                raise ConnectionClosed(connection.closed)
            self._is_closing = True
            await connection.aclose(event.get("code", 1000), event.get("reason"))
        else:
            raise unexpected(kind, "websocket.send", "websocket.close")

    def _ended(self, reason: CloseReason | None) -> None:
        assert reason is not None  # users make an exception without one, not we
        if self._reason is None:
            self._reason = reason
            self._decided.set()

    def _disconnected(self, text: str) -> ClientDisconnected:
        assert self._reason is not None
        return ClientDisconnected(text, self._reason)


def _message_of(event: Mapping[str, Any]) -> str | bytes:
    """Return the message in an event.

    :raises ValueError: if there is none, or two of them
    :raises TypeError: if it is of the wrong type

    """
    data, text = event.get("bytes"), event.get("text")
    if (data is None) == (text is None):
        raise ValueError('websocket.send must have either "text" or "bytes"')
    if text is None:
        return bytes_of('"bytes" of websocket.send', data)
    if not isinstance(text, str):
        raise TypeError(
            f'"text" of websocket.send must be a str, not {type(text).__name__}'
        )
    return text
