"""A server's clients: each in a task of its own, from its first byte to its last.

In: streams that were accepted. Out: calls of the handler, and in the end a good-bye.

Theory of operation
-------------------
A client's task runs in the nursery of the handlers, in a cancel scope that is shielded:
when the nursery is cancelled, every client is still to be told. So it is this room that
ends the tasks, in two steps. First, politely (`_say_goodbye`): who is open gets a
Close, and who is in its handshake a 503. Then, when that is done or has taken too long,
what is left is cancelled (`_cut`).

What can be said to a client depends on how far it is, so the table of the tasks has for
each of them either the scope in which its request is read, or what came of it.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from anyio import CancelScope, Event, create_task_group, move_on_after
from anyio.streams.tls import TLSStream

from .._connection import Attendant, Link
from .._errors import HandshakeError
from .._options import Options
from .._protocol import Extensions, Origins, ServerHandshake
from .._transport import SocketTransport, TlsTransport, Transport, wrap
from .._types import Nursery
from ._admission import Admission
from ._handshake import dismiss, hear
from ._request import Opening, WebSocketRequest

_logger = logging.getLogger("anyio_websocket")

Handler = Callable[[WebSocketRequest], Awaitable[object]]


class Service:
    """What is done with a server's clients.

    :param handler: called with each request
    :param handler_errors: what an exception of a handler does
    :param origins: which web pages may connect
    :param extensions: those that may be used
    :param options: the limits of each connection
    :param admission: how many clients there may be
    :param nursery: where the handlers run

    """

    def __init__(
        self,
        handler: Handler,
        handler_errors: Literal["log", "raise"],
        origins: Origins,
        extensions: Extensions,
        options: Options,
        admission: Admission,
        nursery: Nursery,
    ) -> None:
        self._handler = handler
        self._handler_errors = handler_errors
        self._origins = origins
        self._extensions = extensions
        self._options = options
        self._admission = admission
        self._handling: dict[CancelScope, CancelScope | Opening] = {}
        self._stopped = False
        self._empty: Event | None = None
        self._attendant = Attendant(nursery, options, farewell=self._farewell)

    def __enter__(self) -> None:
        """Be ready for clients, until the block ends."""
        self._attendant.hold()

    def __exit__(self, *exc_info: object) -> None:
        self._attendant.release()

    async def handle(self, stream: Any, context: ssl.SSLContext | None) -> None:
        """Do everything for a client that was counted in.

        :param stream: what was accepted
        :param context: the TLS context that it is still to be wrapped in

        """
        transport = stream if isinstance(stream, SocketTransport) else wrap(stream)
        opening: Opening | None = None
        with CancelScope(shield=True) as scope:
            self._attendant.hold()
            try:
                opening = await self._hear(scope, stream, transport, context)
                if opening is not None:
                    self._handling[scope] = opening
                    await self._call_handler(opening)
            finally:
                self._attendant.release()
                del self._handling[scope]
                if opening is None:
                    self._admission.answered()
                self._admission.leave()
                if self._empty is not None and not self._handling:
                    self._empty.set()

    async def end(self, code: int, text: str, seconds: float) -> None:
        """Tell the clients good-bye, and wait for their handlers.

        :param code: of the Close
        :param text: of the Close, ``""`` for none
        :param seconds: when the handlers that are left are cancelled

        """
        try:
            with move_on_after(seconds):
                await self._say_goodbye(code, text)
                await self.gone()
        finally:
            with CancelScope(shield=True):
                await self._cut()
        await self.gone()

    async def gone(self) -> None:
        """Wait until there is no client any more."""
        while self._handling:
            if self._empty is None or self._empty.is_set():
                self._empty = Event()
            await self._empty.wait()

    # -- a client --------------------------------------------------------------

    async def _hear(
        self,
        scope: CancelScope,
        stream: Any,
        transport: Transport,
        context: ssl.SSLContext | None,
    ) -> Opening | None:
        """Read a request within the time limit; ``None`` if there is none."""
        handshake: ServerHandshake | None = None
        try:
            with move_on_after(self._options.connect_seconds) as hearing:
                self._handling[scope] = hearing
                if self._stopped:  # accepted while the others were told to go
                    hearing.cancel()
                if context is not None:
                    transport = await _start_tls(stream, context)
                handshake = ServerHandshake(
                    origins=self._origins, extensions=self._extensions
                )
                request = await hear(transport, handshake)
                if not self._stopped:
                    return Opening(
                        *(transport, handshake, request),
                        *(self._attendant, self._options),
                        self._admission.answered,
                    )
            if not self._stopped:
                _logger.debug("%s sent no complete request in time", transport.remote)
            elif handshake is not None and not handshake.refused:
                with move_on_after(self._options.disconnect_seconds):
                    await dismiss(transport, handshake.reject(503))
        except HandshakeError as exc:
            _logger.debug("%s: %s", transport.remote, exc)
        except BaseException:
            await transport.abort()
            raise
        await transport.abort()
        return None

    async def _call_handler(self, opening: Opening) -> None:
        code = 1000
        try:
            await self._handler(WebSocketRequest(opening))
        except Exception as exc:
            if not _only(exc, opening.is_own):
                code = 1011
                if self._handler_errors == "raise":
                    with CancelScope(shield=True):
                        await opening.end(code=code, status_code=500)
                    raise
                _logger.exception("%s: the handler raised", opening.transport.remote)
        except BaseException:  # cancelled, and so is the server
            with CancelScope(shield=True):
                await opening.end(code=1001, status_code=503)
            raise
        await opening.end(code=code, status_code=500)

    # -- the end ---------------------------------------------------------------

    async def _farewell(self) -> None:
        """The nursery is cancelled: tell the clients, then end the handlers."""
        await self._say_goodbye(1001, "")
        for scope, state in list(self._handling.items()):
            if isinstance(state, Opening):  # others are on their way already
                scope.cancel()

    async def _say_goodbye(self, code: int, text: str) -> None:
        self._stopped = True
        for scope, state in list(self._handling.items()):
            if isinstance(state, CancelScope):
                state.cancel()
            elif state.link is None:
                scope.cancel()
        async with create_task_group() as group:
            for member in self._attendant.members:
                assert isinstance(member, Link)
                group.start_soon(member.close, code, text)

    async def _cut(self) -> None:
        for scope, state in list(self._handling.items()):
            scope.cancel()
            if isinstance(state, Opening):
                await state.abort()


async def _start_tls(stream: Any, context: ssl.SSLContext) -> Transport:
    try:
        if isinstance(stream, SocketTransport):
            tls = TlsTransport(stream, context, None)
            await tls.handshake()
            return tls
        return wrap(
            await TLSStream.wrap(
                stream, server_side=True, ssl_context=context, standard_compatible=False
            )
        )
    except Exception as exc:  # as in _transport: it ends nobody else
        raise HandshakeError(f"no TLS handshake: {exc!r}") from exc


def _only(exc: BaseException, wanted: Callable[[BaseException], bool]) -> bool:
    """Say whether an exception, or all in a group of them, are what is wanted."""
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return all(_only(inner, wanted) for inner in group.exceptions)
    return wanted(exc)
