"""Reads the requests of a server's clients, and says no to those that come too late.

In: an accepted stream. Out: a request that waits for its answer; or the client has been
told why there is none, as far as it can be, and has been counted and logged.
"""

from __future__ import annotations

import logging
import math
import ssl
from typing import Any, Final

from anyio import CancelScope

from .._connection import BackgroundTask, Observer
from .._errors import ConnectionTimeout, HandshakeError
from .._log import LogThrottle
from .._protocol import PlainRequest, ServerHandshake, name_of
from .._settings import ServerSettings
from .._transport import Transport, clock_of_loop
from ._admission import Slot
from ._cancellations import consists_of, is_cancellation
from ._handshake import (
    WARNING_INTERVAL,
    handshake_of,
    is_tls_failure,
    log,
    read_request,
    respond_and_close,
    start_tls,
)
from ._http_handler import PendingHTTP
from ._request import PendingRequest

_logger = logging.getLogger("anyio_websocket")

_INCOMPLETE: Final = "the client's request was not complete when it was dropped"

Pending = PendingRequest | PendingHTTP
_Handshake = ServerHandshake | None  # None until it begins, because TLS goes first


class RequestReader:
    """Reads requests, each in the task of its client.

    :param settings: the server's options, checked
    :param observer: is told of the clients that got no answer, or a rejection
    :param background: what the connections will belong to; it has their sums

    """

    def __init__(
        self, settings: ServerSettings, observer: Observer, background: BackgroundTask
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._background = background
        self._clock = clock = clock_of_loop()
        self._origin_warnings = LogThrottle(WARNING_INTERVAL, clock)
        self._tls_warnings = LogThrottle(WARNING_INTERVAL, clock)
        self._responding: set[CancelScope] = set()  # in which a 503 is written
        #: whether the server has stopped, and clients are told so
        self.stopped: bool = False

    async def read(
        self,
        scope: CancelScope,
        stream: Any,
        transport: Transport,
        context: ssl.SSLContext | None,
        slot: Slot,
    ) -> Pending | None:
        """Read a request; ``None`` if there is none.

        :param scope: that of the task, cancelled if the client is to be dropped. It has
            the deadline of the request, which is removed when that is read
        :param stream: the accepted stream
        :param transport: the transport over it
        :param context: the TLS context if TLS is still to be started, else ``None``
        :param slot: the client's

        """
        handshake: _Handshake = None
        try:
            slot.allow_drop(scope, self._clock())
            if self.stopped:  # accepted while `_close_all` was running
                scope.cancel()
            if context is not None:
                transport = await start_tls(stream, context)
            handshake = handshake_of(transport, self._settings)
            request = await read_request(
                transport, handshake, self._rejected, self._origin_warnings
            )
            if not (self.stopped or scope.cancel_called):
                slot.forbid_drop()
                scope.deadline = math.inf
                if isinstance(request, PlainRequest):
                    http_handler = self._settings.http_handler
                    assert http_handler is not None
                    return PendingHTTP(
                        *(transport, request, http_handler, self._settings, slot)
                    )
                return PendingRequest(
                    *(transport, handshake, request),
                    *(self._background, self._settings, self._observer),
                    slot,
                )
            await self._drop(transport, handshake)
        except HandshakeError as exc:
            if handshake is None or not handshake.rejected:  # which was logged
                # Each client may fail for the same reason, such as a certificate that
                # it does not trust, and the operator sees it nowhere else.
                is_warning = is_tls_failure(exc) and self._tls_warnings.allows()
                level = logging.WARNING if is_warning else logging.DEBUG
                log(level, transport, exc)
                self._failed(handshake, exc, transport)
        except Exception as exc:  # no memory left, or a bug: it is this client's alone
            _logger.exception("%s: reading its request failed", name_of(transport))
            self._failed(handshake, exc, transport)
        except BaseException as exc:
            if scope.cancel_called and consists_of(is_cancellation, exc):
                await self._drop(transport, handshake)
            else:
                self.dropped(transport, handshake)
            await transport.abort()
            raise
        await transport.abort()
        return None

    def dropped(self, transport: Transport, handshake: _Handshake = None) -> None:
        """Count and tell that a client was dropped before its request was read.

        :param handshake: that of the client, if it has begun

        """
        self._failed(handshake, ConnectionTimeout(_INCOMPLETE), transport)

    def cancel_responses(self) -> None:
        """Wait no longer for clients to take their 503."""
        for responding in self._responding:
            responding.cancel()

    async def _drop(self, transport: Transport, handshake: _Handshake) -> None:
        """Tell a client, if that makes sense, that its request is not read."""
        if handshake is None or not self.stopped:
            log(logging.DEBUG, transport, "sent no complete request, was dropped")
            self.dropped(transport, handshake)
        elif not handshake.rejected:
            response = handshake.reject(503)
            self._rejected(transport, 503)
            deadline = self._clock() + self._settings.disconnect_seconds
            with CancelScope(deadline=deadline, shield=True) as responding:
                self._responding.add(responding)
                try:
                    await respond_and_close(transport, response)
                finally:
                    self._responding.remove(responding)

    def _rejected(self, transport: Transport, status_code: int) -> None:
        self._background.totals.rejected += 1
        self._observer.rejected(transport, status_code)

    def _failed(
        self, handshake: _Handshake, error: Exception, transport: Transport
    ) -> None:
        """Count and tell that a client got no answer, unless it did."""
        if handshake is None or not handshake.rejected:
            self._background.totals.failed += 1
            self._observer.failed(error, transport)
