"""A WebSocket inside an ASGI application, with the methods of this library's.

``receive`` and ``send`` of an application come in. What a handler of this library needs
of a request and of its connection comes out, so one runs on every ASGI server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import quote

from anyio import Lock
from anyio.abc import AsyncResource

from .._connection import Buffer, encoded, json_dumps, json_loads, payload_of
from .._errors import CloseReason, ConnectionClosed
from .._protocol import (
    check_response,
    close_code_to_send,
    close_reason_to_send,
    first_proposed,
    header_value,
    validate_headers,
)
from .._types import Headers


class WebSocketStream(AsyncResource):
    """A WebSocket of an ASGI application, used as this library's are.

    It is for code that is to run on this library's server as well as inside an
    application, under uvicorn, Hypercorn and others, on asyncio and on trio::

        async def app(scope, receive, send):
            await handler(WebSocketStream(receive, send, scope=scope))

    It is what a handler is called with, and what its ``accept()`` returns: it has those
    methods of `~anyio_websocket.WebSocketRequest` and of
    `~anyio_websocket.WebSocketConnection` that ASGI can fulfil, and they raise the same
    exceptions. ASGI knows no Pings and no fragments, and limits and timeouts are the
    server's to set.

    Any number of tasks may call its methods at the same time. Whether a cancelled call
    leaves the WebSocket usable is up to the server.

    :param receive: what the application was called with
    :param send: what the application was called with
    :param scope: the same; without it, nothing is known of the request, and `reject`
        can only say 403

    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[Any]],
        *,
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        self._receive = receive
        self._send = send
        self._scope = scope
        # Servers give the last event to one task, and let the others wait.
        self._receiving = Lock(fast_acquire=True)
        self._is_asked = False  # whether the server has said that there is a request
        self._is_answered = False
        self._subprotocol: str | None = None
        self._closed: CloseReason | None = None
        self._sent: CloseReason | None = None

    # -- the request -----------------------------------------------------------

    async def accept(
        self,
        *,
        subprotocol: str | None = None,
        extra_headers: Headers | None = None,
    ) -> Self:
        """Accept the request and open the connection.

        :param subprotocol: the subprotocol to use, one of `proposed_subprotocols`;
            ``None`` for no subprotocol
        :param extra_headers: headers to send in the response in addition to those of
            the handshake, as pairs of ``bytes`` or of ``str``; ``None`` sends no more
        :return: the same object, which is the connection now
        :raises ConnectionClosed: if the client has disconnected
        :raises ValueError: if a header is invalid or belongs to the handshake, or the
            subprotocol was not proposed; the request can still be accepted then
        :raises RuntimeError: if the request was already accepted or rejected

        """
        headers = _lowered(extra_headers)
        if (
            subprotocol is not None
            and self._scope is not None
            and subprotocol not in self.proposed_subprotocols
        ):
            raise ValueError(
                f"subprotocol {subprotocol!r} is not among the "
                f"{len(self.proposed_subprotocols)} that the client proposed"
            )
        await self._answer(
            {
                "type": "websocket.accept",
                "subprotocol": subprotocol,
                "headers": headers,
            }
        )
        self._subprotocol = subprotocol
        return self

    async def reject(
        self,
        status_code: int,
        *,
        extra_headers: Headers | None = None,
        body: bytes | None = None,
    ) -> None:
        """Reject the request with an HTTP response.

        A server that does not have the extension ``websocket.http.response`` of ASGI
        sends a 403 without a body instead.

        :param status_code: the HTTP status, from 200 to 999
        :param extra_headers: headers to send, as pairs of ``bytes`` or of ``str``;
            ``None`` sends no more than the server does
        :param body: the body of the response; ``None`` sends an empty one
        :raises ConnectionClosed: if the client has disconnected
        :raises ValueError: if the status is out of range or allows no body, or a header
            is invalid; nothing is sent then
        :raises TypeError: if an argument is of the wrong type; nothing is sent either
        :raises RuntimeError: if the request was already accepted or rejected

        """
        check_response(status_code, body)
        headers = _lowered(extra_headers)
        headers.append((b"content-length", b"%d" % len(body or b"")))
        scope: Mapping[str, Any] = self._scope or {}
        extensions: Mapping[str, Any] = scope.get("extensions") or {}
        kind = "websocket.http.response"
        if kind in extensions:
            await self._answer(
                {"type": f"{kind}.start", "status": status_code, "headers": headers},
                {"type": f"{kind}.body", "body": body or b""},
            )
        else:
            await self._answer({"type": "websocket.close"})
        self._closed = CloseReason(1006, "Rejected WebSocket handshake")

    @property
    def path(self) -> str:
        """The path and query of the request, not decoded, such as ``/chat?id=1``."""
        scope = self._known_scope
        raw = scope.get("raw_path")
        path = quote(scope["path"]) if raw is None else raw.decode("ascii")
        query = (scope.get("query_string") or b"").decode("ascii")
        return f"{path}?{query}" if query else path

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All headers of the request, in order, as pairs of ``bytes``.

        Names are in lower case.
        """
        return [(name.lower(), value) for name, value in self._known_scope["headers"]]

    def header(self, name: str | bytes) -> str | None:
        """Return the value of a header; see `anyio_websocket.WebSocketRequest.header`.

        :param name: the name of the header, in any case

        """
        return header_value(self.headers, name)

    @property
    def host(self) -> str:
        """The host that the client connected to, as its ``Host`` header says."""
        return self.header("host") or ""

    @property
    def origin(self) -> str | None:
        """The origin of the web page that connects; ``None`` without a browser.

        Whether it may connect is for the application to check, unless the server does.
        """
        return self.header("origin")

    @property
    def proposed_subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client proposes, the preferred one first."""
        return tuple(self._known_scope.get("subprotocols") or ())

    def select_subprotocol(self, subprotocols: Iterable[str]) -> str | None:
        """Return the first of these subprotocols that the client proposes.

        :param subprotocols: those that you speak, the preferred one first
        :raises ValueError: if one of them is not a token of HTTP, or is there twice
        :raises TypeError: if they are one text, or one of them is not a text

        """
        return first_proposed(subprotocols, self.proposed_subprotocols)

    @property
    def local_address(self) -> tuple[str, int] | None:
        """The server's IP address and port; ``None`` if they are not known."""
        host, port = self._known_scope.get("server") or (None, None)
        return None if host is None or port is None else (host, port)

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The client's IP address and port; ``None`` if they are not known."""
        client = self._known_scope.get("client")
        return None if client is None else (client[0], client[1])

    # -- the connection --------------------------------------------------------

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol; ``None`` if there is none."""
        return self._subprotocol

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection is closed or closing; ``None`` as far as is known.

        The server says that the client has closed when a message is received or sent.
        """
        return self._closed

    async def send_message(
        self,
        message: str | Buffer,
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message: text for a ``str``, binary for bytes.

        It returns when the server says so. Most servers make it wait while a client
        reads slowly. ASGI lets a server ignore what is sent after the client has
        disconnected; a task that waits for messages is told of it in any case.

        :param message: the message
        :param text: ``True`` sends bytes as a text message, and ``False`` a ``str`` as
            a binary one; ``None`` goes by the type
        :param compress: ignored: the server decides
        :raises ConnectionClosed: if the connection is closed, or the server says that
            the client has disconnected
        :raises ValueError: if the message cannot be sent; nothing is sent then

        """
        data = payload_of(message, text)
        self._check_open()
        key = "text" if isinstance(data, str) else "bytes"
        await self._say({"type": "websocket.send", key: data})

    async def get_message(self) -> str | bytes:
        """Return the next message, and wait for it if there is none.

        :raises ConnectionClosed: if there is no message, and none will come because
            the connection is closed
        :raises RuntimeError: if the request was not accepted

        """
        async with self._receiving:
            self._check_open()
            event = await self._receive()
            kind = event["type"]
            if kind == "websocket.connect":
                self._is_asked = True
                raise RuntimeError("the request was not accepted: call accept() first")
            if kind == "websocket.disconnect":
                self._disconnected(event)
            self._check_open()
            message: str | bytes | None = event.get("text")
            return event["bytes"] if message is None else message

    async def send_json(
        self, obj: Any, *, dumps: Callable[[Any], str | bytes] = json_dumps
    ) -> None:
        """Send an object as a text message of JSON.

        See `anyio_websocket.WebSocketConnection.send_json`.
        """
        await self.send_message(encoded(obj, dumps), text=True)

    async def get_json(
        self, *, loads: Callable[[str | bytes], Any] = json_loads
    ) -> Any:
        """Return the object in the next message, which has to be JSON.

        See `anyio_websocket.WebSocketConnection.get_json`.
        """
        return loads(await self.get_message())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; stop after a normal close: 1000, 1001 or no code.

        :raises ConnectionClosed: if the connection ended with any other code

        """
        try:
            return await self.get_message()
        except ConnectionClosed as exc:
            if exc.clean:
                raise StopAsyncIteration from None
            raise

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection; on one that is closed it does nothing.

        Whether it waits for the client is up to the server. A request that was not
        accepted is rejected with status 403.

        :param code: the close code, see `anyio_websocket.WebSocketConnection.aclose`
        :param reason: a text, cut to 123 bytes in UTF-8; ``None`` sends no text
        :raises ValueError: if the code may not be sent, or the text cannot be encoded
            in UTF-8; the connection stays open then
        :raises TypeError: if the code is not an int, or the text not a str

        """
        code = close_code_to_send(code)
        text = close_reason_to_send(reason)
        if self._closed is None:
            self._sent = self._closed = CloseReason(code, text or None)
            with suppress(OSError):
                await self._send(
                    {"type": "websocket.close", "code": code, "reason": text}
                )

    # -- between the two -------------------------------------------------------

    @property
    def _known_scope(self) -> Mapping[str, Any]:
        if self._scope is None:
            raise RuntimeError(
                "nothing is known of the request: make this with "
                "WebSocketStream(receive, send, scope=scope)"
            )
        return self._scope

    async def _answer(self, *events: Mapping[str, Any]) -> None:
        """Answer the request, once the server has said that there is one."""
        if self._is_answered:
            raise RuntimeError("the request was already accepted or rejected")
        self._check_open()
        self._is_answered = True
        if not self._is_asked:
            self._is_asked = True
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                self._disconnected(event)
                self._check_open()
        for event in events:
            await self._say(event)

    async def _say(self, event: Mapping[str, Any]) -> None:
        try:
            await self._send(event)
        except OSError as exc:
            if self._closed is None:
                self._closed = CloseReason(1006, None)
            raise self._error() from exc

    def _disconnected(self, event: Mapping[str, Any]) -> None:
        if self._closed is None:
            code = event.get("code", 1005)
            self._closed = CloseReason(code, event.get("reason") or None)

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._error()

    def _error(self) -> ConnectionClosed:
        closed, sent = self._closed, self._sent
        assert closed is not None
        return ConnectionClosed(closed).with_facts(
            sent,
            closed if sent is None and closed.code != 1006 else None,
            peer_first=sent is None,
            detail="",
        )


def _lowered(headers: Headers | None) -> list[tuple[bytes, bytes]]:
    """Check headers, and return them as ASGI has them."""
    return [(name.lower(), value) for name, value in validate_headers(headers)]
