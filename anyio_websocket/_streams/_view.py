"""What the streams over a connection share: its end, told by anyio's exceptions.

==========================================  ====================  ======================
the connection                              ``receive()`` raises  ``send()`` raises
==========================================  ====================  ======================
was closed by this side                     `ClosedResourceError`  `ClosedResourceError`
was closed by the peer, in the normal way   `EndOfStream`          `BrokenResourceError`
ended in any other way                      `BrokenResourceError`  `BrokenResourceError`
==========================================  ====================  ======================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.lowlevel import checkpoint

from .._errors import CloseReason, ConnectionClosed, is_closed_by_us


class Connection(Protocol):
    """What a view asks of a `WebSocketConnection`."""

    @property
    def closed(self) -> CloseReason | None: ...

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]: ...

    async def send_message(
        self, message: str | bytes, *, text: bool | None = None
    ) -> None: ...

    async def get_message(self) -> str | bytes: ...

    async def aclose(self) -> None: ...


class View:
    """A connection as a stream; the part that does not depend on the kind of stream.

    :param connection: what the view is of

    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_closed = False  # by this view

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._connection.extra_attributes

    async def send_eof(self) -> None:
        # A Close ends both directions (RFC 6455 section 5.5.1).
        raise NotImplementedError(
            "send_eof() is not possible: a WebSocket cannot end one direction alone"
        )

    async def aclose(self) -> None:
        self._is_closed = True
        await self._connection.aclose()
        await checkpoint()  # also if it was closed before

    async def _receive(self) -> str | bytes:
        """Return the next message; always a checkpoint."""
        await checkpoint()
        try:
            message = await self._connection.get_message()
            while self._is_closed:
                # The peer closed first, and left messages that nobody wants now.
                message = await self._connection.get_message()
        except ConnectionClosed as exc:
            if exc.clean and not self._is_ours(exc):
                raise EndOfStream(str(exc)) from exc
            self._raise(exc)
        return message

    async def _send(self, message: str | bytes, text: bool | None = None) -> None:
        try:
            await self._connection.send_message(message, text=text)
        except ConnectionClosed as exc:
            self._raise(exc)

    def _raise(self, exc: ConnectionClosed) -> NoReturn:
        if self._is_ours(exc):
            raise ClosedResourceError(str(exc)) from exc
        raise BrokenResourceError(str(exc)) from exc

    def _is_ours(self, exc: ConnectionClosed) -> bool:
        return self._is_closed or is_closed_by_us(exc)
