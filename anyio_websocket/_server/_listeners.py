"""Listening: whatever can accept connections, seen as one kind of thing.

In: anyio and trio listeners, and objects with ``accept()`` or ``serve()``. Out: one
accepted stream after the other, whatever goes wrong with a single one.
"""

from __future__ import annotations

import errno
import logging
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, cast

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSListener

from .._endpoint import Endpoint, endpoint_of
from .._transport import SocketTransport, transport_of
from .._types import Nursery
from ._admission import Admission, LogThrottle

_logger = logging.getLogger("anyio_websocket")

# Out of something that only the end of other connections brings back. trio waits as
# long as this (trio.serve_listeners).
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
PAUSE: Final = 0.1  # seconds
LOG_INTERVAL: Final = 1.0  # seconds

# What accept(2) says of the one connection that it would have returned, and not of the
# listening socket; EINVAL is what setting an option of a dead one gives on macOS.
_GONE: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "EINVAL",
        "ENETDOWN",
        "ENETUNREACH",
        "ENOPROTOOPT",
        "ENOTCONN",
        "EPERM",
        "EPROTO",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
)

Handle = Callable[[Any, ssl.SSLContext | None], Coroutine[Any, Any, None]]


class Acceptor:
    """One listening thing.

    :param listener: an object with ``accept()`` or ``serve()``
    :param ssl_context: the TLS context that its streams are still to be wrapped in

    """

    def __init__(self, listener: Any, ssl_context: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._ssl_context = ssl_context
        self._log = LogThrottle(LOG_INTERVAL)
        self._closed = False

    @property
    def endpoint(self) -> Endpoint | str:
        """Where it listens; a text where that is no TCP port."""
        endpoint = endpoint_of(
            self._address(),
            is_ssl=self._ssl_context is not None or _is_trio_ssl(self._listener),
        )
        return endpoint if isinstance(endpoint, Endpoint) else repr(self._listener)

    def _address(self) -> Any:
        extra = getattr(self._listener, "extra", None)
        if extra is not None:
            return extra(SocketAttribute.local_address, None)
        listener = self._listener
        if _is_trio_ssl(listener):
            listener = listener.transport_listener
        socket = getattr(listener, "socket", None)
        return None if socket is None else socket.getsockname()

    async def serve(
        self, handle: Handle, handlers: Nursery, admission: Admission
    ) -> None:
        """Accept until the listener is closed, each stream in a task of its own.

        :param handle: called with the stream and the TLS context to wrap it in
        :param handlers: where the tasks are started
        :param admission: counts each client in; `handle` is to count it out

        """
        if hasattr(self._listener, "accept"):
            await self._accept(handle, handlers, admission)
        else:
            admitted = self._admitted(handle, admission)
            await self._listener.serve(admitted, handlers)

    async def aclose(self) -> None:
        """Stop listening; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await self._listener.aclose()

    async def _accept(
        self, handle: Handle, handlers: Nursery, admission: Admission
    ) -> None:
        while True:
            await admission.wait_for_slot()
            try:
                stream = await self._listener.accept()
            except _closed_errors():
                return
            except Exception as exc:
                # anyio's trio backend wraps the OSError.
                error = exc if isinstance(exc, OSError) else exc.__cause__
                if not isinstance(error, OSError):
                    raise
                if error.errno in _EXHAUSTED:
                    if self._log.allows():
                        _logger.error(
                            "cannot accept connections for now, trying again: %s", error
                        )
                elif error.errno not in _GONE:
                    raise
                await anyio.sleep(PAUSE)
            else:
                try:
                    # Waits only if a client of another listener took the last place.
                    await admission.admit()
                    handlers.start_soon(handle, stream, self._ssl_context)
                except BaseException:  # cancelled; a closed nursery of the user's
                    own = isinstance(stream, SocketTransport)
                    await (stream if own else transport_of(stream)).abort()
                    raise

    def _admitted(
        self, handle: Handle, admission: Admission
    ) -> Callable[[Any], Coroutine[Any, Any, None]]:
        # It cannot be made to accept no more, so its clients wait here.
        async def handle_stream(stream: Any) -> None:
            try:
                await admission.admit()
            except BaseException:
                await transport_of(stream).abort()
                raise
            await handle(stream, self._ssl_context)

        return handle_stream


def parts_of(listener: Any) -> Iterator[Acceptor]:
    """Take a listener apart into what listens at one place each.

    :param listener: what the user gave
    :raises TypeError: if it cannot accept connections

    """
    yield from _parts_of(listener, None)


def _parts_of(listener: Any, ssl_context: ssl.SSLContext | None) -> Iterator[Acceptor]:
    if isinstance(listener, MultiListener):
        for part in cast("MultiListener[Any]", listener).listeners:
            yield from _parts_of(part, ssl_context)
    # TLS is for us to do, within our time limit; a subclass has its own ideas.
    elif type(listener) is TLSListener and ssl_context is None:
        yield from _parts_of(listener.listener, listener.ssl_context)
    elif hasattr(listener, "accept") or hasattr(listener, "serve"):
        yield Acceptor(listener, ssl_context)
    else:
        raise TypeError(
            "a listener must have accept() or serve(), and "
            f"{type(listener).__name__} has neither"
        )


# trio need not be there, and who passes something of trio's has imported it.


def _is_trio_ssl(listener: object) -> bool:
    return isinstance(listener, getattr(sys.modules.get("trio"), "SSLListener", ()))


def _closed_errors() -> tuple[type[Exception], ...]:
    own = anyio.ClosedResourceError
    return own, getattr(sys.modules.get("trio"), "ClosedResourceError", own)
