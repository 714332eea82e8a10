"""Accepting connections on any kind of listener.

`acceptors_of` takes the listeners of anyio and trio, and objects with ``accept()`` or
``serve()``. An `Acceptor` starts a task for each stream that one of them accepts, and
survives what goes wrong with a single connection.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, cast

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSListener

from .._endpoint import Endpoint, endpoint_of
from .._log import LogThrottle
from .._transport import (
    SocketTransportListener,
    check_ssl_context,
    socket_listener,
)
from .._types import Nursery
from ._addresses import TooManyError
from ._admission import Admission, Slot
from ._handshake import transport_of_accepted

_logger = logging.getLogger("anyio_websocket")

# The process or the system has no file descriptors or memory left. Only other
# connections that end can change that.
_OUT_OF_RESOURCES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
)
# Seconds until accepting is tried again; the same as trio.serve_listeners().
RETRY_DELAY: Final = 0.1
LOG_INTERVAL: Final = 1.0  # seconds between two log records about it
MAX_FAILURES: Final = 10  # in a row, until there is a delay before each further attempt

# Errors of accept(2) that concern the one connection that it would have returned, not
# the listening socket. EINVAL is what macOS raises if a socket option is set after the
# peer has disconnected.
_CONNECTION_GONE: Final = frozenset(
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

# Clients that are accepted without waiting, at the end: the length of Linux's queue.
MAX_WAITING: Final = 4096


class Clients(Protocol):
    """What serves the accepted streams, and releases their slots: `ClientTasks`."""

    def start(self, stream: Any, context: ssl.SSLContext | None, slot: Slot) -> None:
        """Serve a stream in a task that this starts."""
        ...

    async def handle(
        self, stream: Any, context: ssl.SSLContext | None, slot: Slot
    ) -> None:
        """Serve a stream in the task that calls this."""
        ...


class Acceptor:
    """Accepts connections on one listener.

    :param listener: an object with ``accept()`` or ``serve()``
    :param ssl_context: the TLS context if TLS is still to be started on the accepted
        streams; ``None`` if they are used as they are

    """

    def __init__(self, listener: Any, ssl_context: ssl.SSLContext | None) -> None:
        self._listener = listener
        self._ssl_context = ssl_context
        self._log = LogThrottle(LOG_INTERVAL, anyio.current_time)
        self._own: SocketTransportListener | None = None  # on the listener's socket
        # Where it listened; a closed socket cannot tell any more.
        self._last_endpoint: Endpoint | str | None = None

    @property
    def endpoint(self) -> Endpoint | str:
        """Where it listens, or did; the listener's repr if that is not a TCP port."""
        if self._last_endpoint is not None:
            return self._last_endpoint
        try:
            address = self._address()
        except OSError:  # its user has closed it
            address = None
        endpoint = endpoint_of(
            address,
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
        sock = getattr(listener, "socket", None)
        return None if sock is None else sock.getsockname()

    async def serve(
        self, clients: Clients, handlers: Nursery, admission: Admission
    ) -> None:
        """Accept until the listener is closed, and start a task for each stream.

        :param clients: serves the streams
        :param handlers: the nursery in which a listener with ``serve()`` starts tasks
        :param admission: asked for a slot for each client

        """
        if hasattr(self._listener, "accept"):
            self._own = socket_listener(self._listener)
            listener = self._listener if self._own is None else self._own
            await self._accept(listener, clients, admission)
        else:
            admitted = self._admitted(clients, admission)
            await self._listener.serve(admitted, handlers)

    async def accept_waiting(self, clients: Clients, admission: Admission) -> None:
        """Accept the clients that wait in the kernel, before the listener is closed.

        Closing it would reset their connections. Nothing is waited for, and a client
        that finds no slot is not accepted. For the arguments, see `serve`; call it when
        that has ended.
        """
        own = self._own
        if own is None:
            return
        for _ in range(MAX_WAITING):
            slot = admission.admit_now()
            if slot is None:
                return
            stream = None
            with suppress(OSError):  # it is closed, or the client has left
                stream = own.accept_now()
            if stream is None:
                slot.release()
                return
            try:
                admission.enter(slot, stream.remote)
            except TooManyError:
                slot.release()
                await stream.abort()
            else:
                clients.start(stream, self._ssl_context, slot)

    async def aclose(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._last_endpoint is None:
            self._last_endpoint = self.endpoint
            await self._listener.aclose()

    async def _accept(
        self, listener: Any, clients: Clients, admission: Admission
    ) -> None:
        failures = 0  # in a row
        while True:
            await admission.wait_for_slot()
            try:
                stream = await listener.accept()
            except _closed_errors():
                return
            except Exception as exc:
                # anyio's trio backend wraps the OSError.
                error = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
                number = error.errno if isinstance(error, OSError) else None
                failures += 1
                if number in _OUT_OF_RESOURCES and not isinstance(error, ssl.SSLError):
                    failures = max(failures, MAX_FAILURES)
                elif not _concerns_one_client(error):
                    raise
                if failures < MAX_FAILURES:
                    _logger.debug("a client was lost while being accepted: %r", error)
                elif self._log.allows():
                    _logger.error(
                        "cannot accept connections for now, trying again: %s",
                        error if str(error) else repr(error),
                    )
                # One client that disconnects must not delay the next, but a listener
                # that always fails must not keep the event loop busy.
                await anyio.sleep(0 if failures < MAX_FAILURES else RETRY_DELAY)
            else:
                failures = 0
                try:
                    # Waits if another client is to be dropped for this one, or if a
                    # client of another listener took the last slot.
                    slot = await admission.admit(partial(_remote_of, stream))
                    clients.start(stream, self._ssl_context, slot)
                except TooManyError:
                    await _abort(stream)
                except BaseException:  # cancelled, or the user's nursery is closed
                    await _abort(stream)
                    raise

    def _admitted(
        self, clients: Clients, admission: Admission
    ) -> Callable[[Any], Coroutine[Any, Any, None]]:
        # The listener cannot be told to stop accepting, so its clients wait here.
        async def handle_stream(stream: Any) -> None:
            try:
                slot = await admission.admit(partial(_remote_of, stream))
            except TooManyError:
                await _abort(stream)
                return
            except BaseException:
                await _abort(stream)
                raise
            await clients.handle(stream, self._ssl_context, slot)

        return handle_stream


def _remote_of(stream: Any) -> Endpoint | str:
    return transport_of_accepted(stream).remote


async def _abort(stream: Any) -> None:
    await transport_of_accepted(stream).abort()


def acceptors_of(listener: Any) -> Iterator[Acceptor]:
    """Make an acceptor for each of the listeners that a listener consists of.

    :param listener: the listener that the user passed
    :raises TypeError: if it has neither ``accept()`` nor ``serve()``
    :raises ValueError: if its TLS context cannot work on a server

    """
    yield from _acceptors_of(listener, None)


def _acceptors_of(
    listener: Any, ssl_context: ssl.SSLContext | None
) -> Iterator[Acceptor]:
    if isinstance(listener, MultiListener):
        for part in cast("MultiListener[Any]", listener).listeners:
            yield from _acceptors_of(part, ssl_context)
    # We do the TLS handshake ourselves, so that connect_timeout covers it. A subclass
    # may do more than that, so it is used as it is.
    elif type(listener) is TLSListener and ssl_context is None:
        check_ssl_context(listener.ssl_context, server_side=True)
        yield from _acceptors_of(listener.listener, listener.ssl_context)
    elif isinstance(listener, socket.socket):  # whose accept() would block
        raise TypeError(
            "a socket is not a listener: pass await SocketListener.from_socket(sock), "
            "of anyio.abc, which makes one of it"
        )
    elif hasattr(listener, "accept") or hasattr(listener, "serve"):
        yield Acceptor(listener, ssl_context)
    else:
        raise TypeError(
            "a listener must have accept() or serve(), and "
            f"{type(listener).__name__} has neither"
        )


# trio may not be installed. A user who passes a listener of trio has imported it.


def _is_trio_ssl(listener: object) -> bool:
    return isinstance(listener, getattr(sys.modules.get("trio"), "SSLListener", ()))


def _concerns_one_client(error: BaseException) -> bool:
    """Say whether accept() failed because of the client that it would have returned.

    A user's listener may do more than accept(2), such as a TLS or SOCKS handshake, and
    its errors need not have the errno that the system would set.
    """
    if isinstance(error, ssl.SSLError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError):
        return error.errno in _CONNECTION_GONE
    broken = anyio.BrokenResourceError
    trio = sys.modules.get("trio")
    return isinstance(error, (broken, getattr(trio, "BrokenResourceError", broken)))


def _closed_errors() -> tuple[type[Exception], ...]:
    error = anyio.ClosedResourceError
    return error, getattr(sys.modules.get("trio"), "ClosedResourceError", error)
