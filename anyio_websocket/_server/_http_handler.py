"""A client's request for something else than a WebSocket, and the response to it.

`PendingHTTP` has the ``http_handler`` called, and answers in the right way whatever
becomes of that. To the server's task of the client it looks like a `PendingRequest`
that never becomes a connection.
"""

from __future__ import annotations

import inspect
from typing import Any

from anyio import current_time, move_on_after

from .._plain_http import HTTPHandler, HTTPRequest, HTTPResponse
from .._protocol import PlainRequest, serialize_response
from .._settings import ServerSettings
from .._transport import Transport
from ._admission import Slot
from ._handshake import respond_and_close


class PendingHTTP:
    """A request that wants no WebSocket, and the response to it.

    :param transport: the connection to the client
    :param request: what the client asks for
    :param handler: the ``http_handler``
    :param settings: the server's options, checked
    :param slot: told when the client may be dropped, and when the response was written

    """

    __slots__ = (
        "_handler",
        "_request",
        "_seconds",
        "_slot",
        "has_response",
        "transport",
    )

    #: there never is a connection
    core: None = None
    #: what the log calls the handler
    handler_name: str = "http_handler"

    def __init__(
        self,
        transport: Transport,
        request: PlainRequest,
        handler: HTTPHandler,
        settings: ServerSettings,
        slot: Slot,
    ) -> None:
        self.transport: Transport = transport
        #: whether a response was begun
        self.has_response: bool = False
        self._request = request
        self._handler = handler
        self._seconds = settings.connect_seconds
        self._slot = slot

    async def answer(self) -> None:
        """Call the handler, and write its response.

        :raises TypeError: if the handler does not return a response

        """
        request = HTTPRequest(
            *self._request, self.transport.remote, self.transport.local
        )
        # Its user may not check types.
        answer: Any = self._handler(request)
        if not inspect.isawaitable(answer):
            raise TypeError(
                "http_handler must be an async function, but it returned "
                f'{type(answer).__name__} without "await": write "async def"'
            )
        response = await answer
        if not isinstance(response, HTTPResponse):
            raise TypeError(
                "http_handler must return an HTTPResponse, not "
                f"{type(response).__name__}: write, for example, "
                'return HTTPResponse(200, b"text")'
            )
        await self._respond(response)

    async def close(self, *, code: int, status_code: int) -> None:
        """Answer with a status if that is still possible.

        This is called when the handler has ended.

        :param code: ignored, as there is no connection
        :param status_code: the HTTP status, if there was no response

        """
        if not self.has_response:
            await self._respond(HTTPResponse(status_code))

    async def abort(self) -> None:
        """Close the stream without waiting for the client."""
        await self.transport.abort()

    def is_own(self, exc: BaseException) -> bool:
        """Say ``False``: no exception says only that this connection was closed."""
        return False

    async def _respond(self, response: HTTPResponse) -> None:
        self.has_response = True
        data = serialize_response(
            response.status_code,
            response.headers,
            response.body,
            to_head=self._request.method == "HEAD",
        )
        try:
            with move_on_after(self._seconds) as scope:
                # There is a response, and only the client's reading is left.
                self._slot.allow_drop(scope, current_time())
                await respond_and_close(self.transport, data)
        finally:
            await self.transport.abort()
            self._slot.handshake_done()
