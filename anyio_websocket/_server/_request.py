"""A client's request, and the handler's answer to it.

In: a request that was read and found valid. Out: an open connection, or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from anyio import move_on_after

from .._connection import BackgroundTask, ConnectionCore, WebSocketConnection, open_core
from .._endpoint import Endpoint
from .._errors import CloseReason, ConnectionClosed
from .._options import ConnectionSettings
from .._protocol import Extension, Extensions, Request, ServerHandshake
from .._transport import Transport, TransportLost
from .._types import Header
from ._handshake import respond_and_close


class PendingRequest:
    """A connection between its request and its answer.

    :param transport: the client's stream
    :param handshake: our side of the handshake
    :param request: what the client asks for
    :param attendant: looks after the connection, once there is one
    :param options: its limits
    :param on_answer: called once, when there is an answer or none is to come; ``None``
        if nobody waits for that

    """

    __slots__ = (
        "_answered",
        "_background",
        "_closed",
        "_handshake",
        "_on_handshake_done",
        "_options",
        "core",
        "request",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        handshake: ServerHandshake,
        request: Request,
        background: BackgroundTask,
        options: ConnectionSettings,
        on_handshake_done: Callable[[], None] | None = None,
    ) -> None:
        self.transport: Transport = transport
        self.request: Request = request
        #: the connection, once the request is accepted
        self.core: ConnectionCore | None = None
        self._handshake = handshake
        self._background = background
        self._options = options
        self._on_handshake_done = on_handshake_done
        self._answered = False
        self._closed: CloseReason | None = None  # where no connection came of it

    async def accept(
        self,
        subprotocol: str | None,
        extra_headers: Iterable[Header] | None,
        extensions: Iterable[Extension] | None,
    ) -> tuple[ConnectionCore, Extensions]:
        """Write the 101; see `WebSocketRequest.accept`."""
        self._check_unanswered()
        own = (
            None if extensions is None else Extensions.from_arguments(None, extensions)
        )
        response, agreed = self._handshake.accept(
            subprotocol=subprotocol,
            extra_headers=extra_headers,
            extensions=own,
        )
        self._answered = True
        text: str | None = None
        cause: BaseException | None = None
        try:
            if not self.transport.write(response):
                with move_on_after(self._options.connect_seconds) as scope:
                    await self.transport.flush()
                if scope.cancelled_caught:
                    text = "the client did not read the answer to its request"
            if text is None:
                self.core = self._open(agreed)
                del self._handshake  # of no more use, but of some size
                self._handshake_over()
                return self.core, agreed
        except TransportLost as exc:
            cause = exc.__cause__
        except BaseException:
            await self.transport.abort()
            raise
        await self.transport.abort()
        self._closed = CloseReason(1006, text)
        raise ConnectionClosed(self._closed) from cause

    async def reject(
        self,
        status_code: int,
        extra_headers: Iterable[Header] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Write a refusal; see `WebSocketRequest.reject`."""
        self._check_unanswered()
        response = self._handshake.reject(
            status_code, extra_headers=extra_headers, body=body
        )
        self._answered = True
        self._closed = CloseReason(1006, "Rejected WebSocket handshake")
        try:
            with move_on_after(self._options.connect_seconds):
                await respond_and_close(self.transport, response)
        finally:
            await self.transport.abort()
            self._handshake_over()

    async def close(self, *, code: int, status_code: int) -> None:
        """The handler is done: close what it opened, refuse what it did not answer."""
        try:
            if self.core is not None:
                await self.core.close(code, "")
            elif not self._answered:
                await self.reject(status_code)
        finally:
            self._handshake_over()

    async def abort(self) -> None:
        """Close the stream without waiting for the client."""
        if self.core is None:
            await self.transport.abort()
        else:
            await self.core.abort()

    def is_own(self, exc: BaseException) -> bool:
        """Say whether an exception tells just that this connection ended."""
        reason = self._closed if self.core is None else self.core.closing.reason
        return (
            isinstance(exc, ConnectionClosed)
            and reason is not None
            and exc.reason == reason
        )

    def _handshake_over(self) -> None:
        settled, self._on_handshake_done = self._on_handshake_done, None
        if settled is not None:
            settled()

    def _check_unanswered(self) -> None:
        if self._answered:
            raise RuntimeError("the request is answered already")

    def _open(self, agreed: Extensions) -> ConnectionCore:
        return open_core(
            self.transport,
            agreed,
            self._background,
            self._options,
            is_client=False,
            trailing=self._handshake.trailing,
        )


class WebSocketRequest:
    """A client's request, to be answered with `accept` or with `reject`.

    Made by the server, never directly.

    """

    def __init__(self, pending: PendingRequest) -> None:
        self._pending = pending

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The request's headers in order, names in lower case.

        Those that stand for themselves here (host, subprotocols, extensions) are
        left out.
        """
        return list(self._pending.request.headers)

    @property
    def path(self) -> str:
        """The path that is asked for, with its query, not decoded."""
        return self._pending.request.target

    @property
    def proposed_subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, its favourite first."""
        return self._pending.request.subprotocols

    @property
    def local(self) -> Endpoint | str:
        """This side's address, or a text for streams that have none."""
        return self._pending.transport.local

    @property
    def remote(self) -> Endpoint | str:
        """The client's address, or a text for streams that have none."""
        return self._pending.transport.remote

    async def accept(
        self,
        *,
        subprotocol: str | None = None,
        extra_headers: Iterable[Header] | None = None,
        extensions: Iterable[Extension] | None = None,
    ) -> WebSocketConnection:
        """Accept the request: from now on there is a connection.

        :param subprotocol: one of those that were proposed; ``None`` for none
        :param extra_headers: headers to send beside those of the handshake, as pairs
            of ``bytes`` or of ``str``; ``None`` for none
        :param extensions: extensions of your own that may be used, new objects for
            each connection; they come in the place of the server's ``compression``,
            which ``None`` leaves as it is
        :return: the open connection
        :raises ConnectionClosed: if the client has left, or does not read the answer
            within ``connect_timeout``
        :raises ValueError: if the subprotocol was not proposed, or a header cannot be
            sent or is the handshake's own, or two extensions have one name; nothing
            was sent then
        :raises TypeError: if an argument is of the wrong type
        :raises RuntimeError: if the request is answered already

        """
        core, agreed = await self._pending.accept(
            subprotocol, extra_headers, extensions
        )
        return WebSocketConnection(
            core,
            path=self.path,
            subprotocol=subprotocol,
            compression=agreed.deflate,
            handshake_headers=self._pending.request.headers,
        )

    async def reject(
        self,
        status_code: int,
        *,
        extra_headers: Iterable[Header] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Refuse the request with an HTTP answer, and close the stream.

        A client that has left, or that does not read the answer within
        ``connect_timeout``, is not waited for.

        :param status_code: the HTTP status, 200 or above
        :param extra_headers: headers to send beside ``Content-Length`` and
            ``Connection``, as pairs of ``bytes`` or of ``str``; ``None`` for none
        :param body: what to say; ``None`` for nothing
        :raises ValueError: if the status, a header or the body cannot be sent;
            nothing was sent then
        :raises RuntimeError: if the request is answered already

        """
        await self._pending.reject(status_code, extra_headers, body)
