"""A client's valid request, and the handler's response: `accept` or `reject`.

`WebSocketRequest` is what the handler sees. `PendingRequest` does the work, and ends
the connection in the right way when the handler has returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anyio import CancelScope, TypedAttributeProvider, current_time, move_on_after

from .._connection import (
    BackgroundTask,
    ConnectionCore,
    Observer,
    WebSocketConnection,
    open_core,
)
from .._endpoint import Endpoint, address_of
from .._errors import CloseReason, ConnectionClosed, HandshakeError, cause_in_words
from .._protocol import (
    Extension,
    Extensions,
    Request,
    ServerHandshake,
    first_proposed,
    header_value,
    name_of,
    printable,
)
from .._settings import ConnectionSettings, PingCallbacks
from .._transport import Transport, TransportLost
from .._types import Headers
from ._admission import Slot
from ._handshake import respond_and_close


class PendingRequest:
    """A request, the response to it, and the connection if it is accepted.

    :param transport: the connection to the client
    :param handshake: checks and makes the response
    :param request: what the client asks for
    :param background: the background task that will care for the connection
    :param settings: the limits of the connection
    :param observer: is told what becomes of the request
    :param slot: told when the handshake is done, and when the client may be dropped;
        ``None`` if it needs no slot

    """

    __slots__ = (
        "_background",
        "_closed",
        "_responded",
        "_settings",
        "_slot",
        "connection",
        "core",
        "handshake",
        "observer",
        "request",
        "transport",
    )

    #: what the log calls the handler
    handler_name: str = "handler"

    def __init__(
        self,
        transport: Transport,
        handshake: ServerHandshake,
        request: Request,
        background: BackgroundTask,
        settings: ConnectionSettings,
        observer: Observer,
        slot: Slot | None = None,
    ) -> None:
        self.transport: Transport = transport
        self.request: Request = request
        #: has the response made; deleted when the request was accepted
        self.handshake: ServerHandshake = handshake
        #: the connection, once the request is accepted
        self.core: ConnectionCore | None = None
        #: what the handler holds of it
        self.connection: WebSocketConnection | None = None
        self._background = background
        self._settings = settings
        self._slot = slot
        #: is told what becomes of the request
        self.observer: Observer = observer
        self._responded = False
        self._closed: CloseReason | None = None  # if there is no connection

    async def accept(
        self,
        subprotocol: str | None,
        extra_headers: Headers | None,
        extensions: Iterable[Extension] | None,
        callbacks: PingCallbacks | None = None,
    ) -> tuple[ConnectionCore, Extensions]:
        """Write the 101; see `WebSocketRequest.accept`."""
        self._check_no_response()
        custom = (
            None if extensions is None else Extensions.from_arguments(None, extensions)
        )
        response, agreed = self.handshake.accept(
            subprotocol=subprotocol,
            extra_headers=extra_headers,
            extensions=custom,
        )
        self._responded = True
        text: str | None = None
        cause: BaseException | None = None
        try:
            if not self.transport.write(response):
                with move_on_after(self._settings.connect_seconds) as scope:
                    self._allow_drop(scope)
                    await self.transport.flush()
                if scope.cancel_called:  # even if all was taken then: the slot is gone
                    text = "the client did not read the response to its request"
            if text is None:
                self.core = self._open(agreed, callbacks)
                self._background.totals.accepted += 1
                del self.handshake  # not needed any more, and not small
                self._handshake_done()
                return self.core, agreed
        except TransportLost as exc:
            cause = exc.__cause__
        except BaseException:
            self._failed(HandshakeError("accepting the request was cancelled"))
            await self.transport.abort()
            raise
        await self.transport.abort()
        self._closed = CloseReason(1006, text)
        error = ConnectionClosed(self._closed).with_facts(
            None, None, peer_first=False, detail=cause_in_words(cause)
        )
        self._failed(error)
        raise error from cause

    async def reject(
        self,
        status_code: int,
        extra_headers: Headers | None = None,
        body: bytes | None = None,
    ) -> None:
        """Write a rejection; see `WebSocketRequest.reject`."""
        self._check_no_response()
        response = self.handshake.reject(
            status_code, extra_headers=extra_headers, body=body
        )
        self._responded = True
        self._background.totals.rejected += 1
        self._closed = CloseReason(1006, "Rejected WebSocket handshake")
        try:
            self.observer.rejected(self.transport, status_code, WebSocketRequest(self))
            with move_on_after(self._settings.connect_seconds) as scope:
                self._allow_drop(scope)
                await respond_and_close(self.transport, response)
        finally:
            await self.transport.abort()
            self._handshake_done()

    async def close(self, *, code: int, status_code: int) -> None:
        """Close the connection, or reject the request if that is still possible.

        This is called when the handler has ended.

        :param code: the close code, if there is a connection
        :param status_code: the HTTP status, if there was no response

        """
        try:
            if self.core is not None:
                await self.core.close(code, "")
            elif not self._responded:
                await self.reject(status_code)
        finally:
            self._handshake_done()

    @property
    def has_response(self) -> bool:
        """Whether the handler has accepted or rejected the request, or tried to."""
        return self._responded

    async def abort(self) -> None:
        """Close the stream without waiting for the client."""
        if self.core is None:
            await self.transport.abort()
        else:
            await self.core.abort()

    def is_own(self, exc: BaseException) -> bool:
        """Say whether an exception says only that this connection was closed.

        A handler need not catch it: it is not its mistake. Whether it is this
        connection's is told by the identity of its reason, because a handler may use
        other connections too, and they may have ended for an equal reason.
        """
        if not isinstance(exc, ConnectionClosed):
            return False
        if self.core is not None:
            return self.core.close_state.is_own(exc)
        return exc.reason is not None and exc.reason is self._closed

    def _allow_drop(self, scope: CancelScope) -> None:
        # There is a response, and only the client's reading is left.
        if self._slot is not None:
            self._slot.allow_drop(scope, current_time())

    def _handshake_done(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.handshake_done()

    def _failed(self, error: Exception) -> None:
        self._background.totals.failed += 1
        self.observer.failed(error, self.transport)

    def _check_no_response(self) -> None:
        if self._responded:
            raise RuntimeError("the request was already accepted or rejected")

    def _open(
        self, agreed: Extensions, callbacks: PingCallbacks | None
    ) -> ConnectionCore:
        return open_core(
            self.transport,
            agreed,
            self._background,
            self._settings,
            is_client=False,
            trailing=self.handshake.trailing,
            callbacks=callbacks,
        )


class WebSocketRequest(TypedAttributeProvider):
    """A client's request to open a connection.

    A handler is called with it, or `wrap_server_stream` returns it. Call either
    `accept` or `reject`, once. If a handler does neither, the request is rejected with
    status 500 when the handler returns.

    ``extra(attribute)`` returns a typed attribute of the stream, and
    ``extra(attribute, default)`` the default if the stream does not have it; without a
    default, that is an `anyio.TypedAttributeLookupError`. The attributes are those of
    :class:`anyio.abc.SocketAttribute` and :class:`anyio.streams.tls.TLSAttribute`, such
    as ``request.extra(TLSAttribute.peer_certificate)``, the certificate of the client.

    """

    #: The user that `basic_auth` has let in; ``None`` if it was not asked.
    username: str | None = None

    def __init__(self, pending: PendingRequest) -> None:
        self._pending = pending

    def __repr__(self) -> str:
        # Without the query, which may have a token in it.
        path = printable(self.path.partition("?")[0])
        return f"<{type(self).__name__} for {path} by {name_of(self.remote)}>"

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """What ``extra()`` knows: the attributes, with functions that look them up."""
        return self._pending.transport.extra_attributes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the request, in order, as pairs of ``bytes``.

        Names are in lower case. ``Host``, ``Sec-WebSocket-Protocol`` and
        ``Sec-WebSocket-Extensions`` are left out, as in trio-websocket.
        """
        return list(self._pending.request.headers)

    def header(self, name: str | bytes) -> str | None:
        """Return the value of a header, or ``None`` if the request does not have it.

        Each byte of the value becomes one character (latin-1), so
        ``value.encode("latin-1")`` is what was received. The values of a header that
        is repeated are joined by commas (RFC 9110 section 5.3). ``Host`` and
        ``Sec-WebSocket-Protocol`` are found too, ``Sec-WebSocket-Extensions`` is not.

        :param name: the name of the header, in any case

        """
        wanted = (name.encode() if isinstance(name, str) else name).lower()
        if wanted == b"host":
            return self.host
        if wanted == b"sec-websocket-protocol":
            return ", ".join(self.proposed_subprotocols) or None
        return header_value(self._pending.request.headers, wanted)

    @property
    def host(self) -> str:
        """The host that the client connected to, such as ``example.org:8000``.

        It is what the ``Host`` header says, with the port if it has one, or the URL of
        the request line. A reverse proxy may have replaced it, and a client that is not
        a browser can send any.
        """
        return self._pending.request.host

    @property
    def origin(self) -> str | None:
        """The origin of the web page that connects, such as ``https://example.org``.

        ``None`` if the client sent none, which means that it is not a browser.
        """
        return self._pending.request.origin

    @property
    def path(self) -> str:
        """The path and query of the request, not decoded, such as ``/chat?id=1``."""
        return self._pending.request.target

    @property
    def proposed_subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client proposes, the preferred one first."""
        return self._pending.request.subprotocols

    def select_subprotocol(self, subprotocols: Iterable[str]) -> str | None:
        """Return the first of these subprotocols that the client proposes.

        Pass it to `accept`. ``None`` means that the client proposes none of them, or
        none at all. If the request is accepted without a subprotocol, as ``None`` does,
        a client that wants one may close the connection, and browsers do (RFC 6455
        section 4.1). It is also possible to `reject` it, with status 400.

        :param subprotocols: those that you speak, the preferred one first
        :raises ValueError: if one of them is not a token of HTTP, or is there twice
        :raises TypeError: if they are one text, or one of them is not a text

        """
        return first_proposed(subprotocols, self.proposed_subprotocols)

    @property
    def local(self) -> Endpoint | str:
        """This side's address, or a text if the stream has no address."""
        return self._pending.transport.local

    @property
    def remote(self) -> Endpoint | str:
        """The client's address, or a text if the stream has no address."""
        return self._pending.transport.remote

    @property
    def local_address(self) -> tuple[str, int] | None:
        """This side's IP address and port; ``None`` if the stream has none."""
        return address_of(self.local)

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The client's IP address and port; ``None`` if the stream has none.

        UNIX sockets and streams in memory have none. Behind a reverse proxy, it
        is the proxy's.
        """
        return address_of(self.remote)

    async def accept(
        self,
        *,
        subprotocol: str | None = None,
        extra_headers: Headers | None = None,
        extensions: Iterable[Extension] | None = None,
        on_ping: Callable[[bytes], object] | None = None,
        on_pong: Callable[[bytes], object] | None = None,
        auto_pong: bool = True,
    ) -> WebSocketConnection:
        """Accept the request and open the connection (RFC 6455 section 4.2.2).

        If the call is cancelled, the connection is aborted.

        :param subprotocol: the subprotocol to use, one of `proposed_subprotocols`;
            ``None`` for no subprotocol
        :param extra_headers: headers to send in the response in addition to those of
            the handshake, as pairs of ``bytes`` or of ``str``; ``None`` sends no more
        :param extensions: wsproto extensions that may be used on this connection
            instead of the server's ``compression``, as new objects for each
            connection; ``None`` leaves the server's ``compression`` in place. See
            `ClientStreamOptions.extensions` for what they have to bound
        :param on_ping: called with the payload of each Ping of the client, see
            `ClientStreamOptions.on_ping`; ``None`` for nothing
        :param on_pong: called with the payload of each Pong; ``None`` for nothing
        :param auto_pong: ``False`` leaves it to you to answer Pings, see
            `ClientStreamOptions.auto_pong`
        :return: the open connection
        :raises ConnectionClosed: if the client has disconnected, or does not read the
            response within ``connect_timeout``, which stops a client that never reads
            from occupying a slot for a pending handshake
        :raises ValueError: if the subprotocol was not proposed, if a header is invalid
            or belongs to the handshake, if the extensions cannot be used, or if
            ``auto_pong`` is ``False`` without ``on_ping``; nothing is sent then, and
            the request can still be accepted or rejected
        :raises TypeError: if an argument is of the wrong type; nothing is sent either
        :raises RuntimeError: if the request was already accepted or rejected

        """
        callbacks = PingCallbacks.checked(on_ping, on_pong, auto_pong)
        core, agreed = await self._pending.accept(
            subprotocol, extra_headers, extensions, callbacks
        )
        self._pending.connection = connection = WebSocketConnection(
            core,
            path=self.path,
            subprotocol=subprotocol,
            compression=agreed.deflate,
            handshake_headers=self._pending.request.headers,
        )
        self._pending.observer.opened(core, connection, self)
        return connection

    async def reject(
        self,
        status_code: int,
        *,
        extra_headers: Headers | None = None,
        body: bytes | None = None,
    ) -> None:
        """Reject the request with an HTTP response, and close the stream.

        It waits until the client has taken the response, and then up to two seconds
        until the client has closed its side; in all, ``connect_timeout`` at most. A
        client that has disconnected, or that does not read, is not an error. If the
        call is cancelled, the stream is closed at once.

        :param status_code: the HTTP status, from 200 to 999
        :param extra_headers: headers to send in addition to ``Content-Length`` and
            ``Connection``, as pairs of ``bytes`` or of ``str``; ``None`` sends no more
        :param body: the body of the response; ``None`` sends an empty one
        :raises ValueError: if the status is out of range or allows no body, or a header
            is invalid; nothing is sent then, and the request can still be accepted or
            rejected
        :raises TypeError: if an argument is of the wrong type; nothing is sent either
        :raises RuntimeError: if the request was already accepted or rejected

        """
        await self._pending.reject(status_code, extra_headers, body)
