"""An open WebSocket connection: what users hold.

In: calls of the application. Out: messages, and the outcome of everything asked.

What a call means is checked and said here; how it is done is in ``_core`` and in the
rooms behind it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import ClassVar

from anyio import current_time
from anyio.abc import AsyncResource

from .._endpoint import Endpoint
from .._errors import CloseReason, ConnectionClosed
from .._protocol import (
    MAX_CONTROL_PAYLOAD,
    NO_COPY_SIZE,
    Frame,
    PerMessageDeflate,
    close_code_to_send,
    close_reason_to_send,
)
from ._core import ConnectionCore

_Buffer = bytes | bytearray | memoryview


class WebSocketConnection(AsyncResource):
    """An open WebSocket connection, client or server side.

    Made by the functions that open or accept connections, never directly.

    Any number of tasks may call any method at the same time. Messages are sent in the
    order of the calls, and each received message goes to one task. Every method that
    waits may be cancelled. A `send_message` that is cancelled sends nothing, or the
    rest of its message is sent in the background. Only over a stream of the user's is
    the connection closed (1006) if that happens while bytes are being written, for
    nothing tells how many have left, and nothing can follow half a frame.

    ``async with connection:`` closes it in the end, and ``async for message in
    connection:`` yields messages until the peer closes.

    """

    CONNECTION_ID: ClassVar[Iterator[int]] = ConnectionCore.numbers

    def __init__(
        self,
        core: ConnectionCore,
        *,
        path: str,
        subprotocol: str | None,
        compression: PerMessageDeflate | None,
        handshake_headers: tuple[tuple[bytes, bytes], ...],
    ) -> None:
        self._core = core
        self._path = path
        self._subprotocol = subprotocol
        self._compression = compression
        self._handshake_headers = handshake_headers

    # -- facts -----------------------------------------------------------------

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection is closed or closing, ``None`` while it is open.

        After a local `aclose` this is the reason given there, until the peer's
        answer replaces it.
        """
        return self._core.closing.reason

    @property
    def is_client(self) -> bool:
        """Whether this is the client's side."""
        return self._core.is_client

    @property
    def is_server(self) -> bool:
        """Whether this is the server's side."""
        return not self._core.is_client

    @property
    def local(self) -> Endpoint | str:
        """This side's address, or a text for streams that have none."""
        return self._core.transport.local

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address, or a text for streams that have none."""
        return self._core.transport.remote

    @property
    def path(self) -> str:
        """The path that was asked for, with its query, not decoded."""
        return self._path

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, ``None`` if none was."""
        return self._subprotocol

    @property
    def compression(self) -> PerMessageDeflate | None:
        """How messages are compressed, as negotiated; ``None`` if they are not."""
        return self._compression

    @property
    def handshake_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that came with the peer's part of the handshake.

        Names are in lower case. On a client the headers of the handshake itself are
        left out.
        """
        return self._handshake_headers

    @property
    def latency(self) -> float | None:
        """Seconds that the last Ping took to be answered; ``None`` if none was yet.

        The keepalive sends one every ``ping_interval``. A ping waits until a frame
        that is being sent is through, and that time is in it.
        """
        return self._core.pings.latency

    # -- messages --------------------------------------------------------------

    async def send_message(
        self, message: str | _Buffer, *, compress: bool | None = None
    ) -> None:
        """Send a message: text for a ``str``, binary for anything else.

        Returns when the stream has taken all of it, which is the backpressure: a peer
        that reads slowly makes the sender wait.

        :param message: the message, of any size; a buffer must not change meanwhile
        :param compress: ``False`` to send it as it is, ``True`` to compress it however
            short it is, ``None`` to go by the threshold; without a negotiated
            `compression` it makes no difference. What an attacker can read along must
            not be compressed together with a secret, see `PerMessageDeflate`
        :raises ConnectionClosed: if the connection is closed or closing
        :raises ValueError: if it is of another type, a text with lone surrogates, or
            a memoryview that is not a row of bytes; nothing was sent then

        """
        # Everything that can be wrong with the message is found before anything moves.
        if isinstance(message, str):
            if not message.isascii():
                message.encode()
            payload: str | bytes = message
        elif isinstance(message, bytes):
            payload = message
        elif isinstance(message, bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            payload = _bytes_of(message)
        else:  # types are hints, and this is a border
            raise ValueError(
                "message must be str, bytes, bytearray or memoryview, not "
                f"{type(message).__name__}"
            )
        core = self._core
        frame: Callable[[str | bytes], Frame]
        if compress is not None:
            frame = core.engine.framer(compress)
        elif len(payload) < NO_COPY_SIZE:
            frame = core.engine.frame_message
        else:
            frame = core.engine.frame_large
        await core.outbox.send(frame, payload)

    async def get_message(self) -> str | bytes:
        """Return the next message, waiting for it if need be.

        Messages that came before the peer's Close are still returned after it; after
        a local `aclose` none is. Cancelling loses no message.

        :raises ConnectionClosed: if there is no message and none will come

        """
        return await self._core.reader.message()

    def __aiter__(self) -> WebSocketConnection:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; end when the peer is done (codes 1000 and 1001).

        :raises ConnectionClosed: if the connection ended in any other way

        """
        try:
            return await self._core.reader.message()
        except ConnectionClosed as exc:
            if exc.reason is not None and exc.reason.code in (1000, 1001):
                raise StopAsyncIteration from None
            raise

    # -- pings -----------------------------------------------------------------

    async def ping(self, payload: _Buffer | None = None) -> None:
        """Send a Ping and wait for its Pong.

        A Pong also answers the Pings that were sent before (RFC 6455 section 5.5.3).

        :param payload: up to 125 bytes; ``None`` for four random ones
        :raises ConnectionClosed: if the connection is closed or closing, or ends
            before the Pong comes
        :raises ValueError: if the payload is no bytes-like object, too long, or that
            of a Ping which still waits; nothing was sent then

        """
        core = self._core
        data = _control_payload(payload, default=os.urandom(4))
        ping = core.pings.add(data, current_time())

        def frame(payload: bytes) -> bytes:
            ping.sent = True  # even if we do not come to the end of sending it
            return core.engine.frame_ping(payload)

        try:
            await core.outbox.send(frame, data)
            await core.reader.pong(ping)
        finally:
            core.pings.discard(ping)

    async def pong(self, payload: _Buffer | None = None) -> None:
        """Send a Pong that nobody asked for: a sign of life (RFC 6455 section 5.5.3).

        Pings of the peer are answered without this.

        :param payload: up to 125 bytes; ``None`` for none
        :raises ConnectionClosed: if the connection is closed or closing
        :raises ValueError: if the payload is no bytes-like object, or too long

        """
        await self._core.outbox.send(
            self._core.engine.frame_pong, _control_payload(payload, default=b"")
        )

    # -- the end ---------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection with a closing handshake (RFC 6455 section 7.1.2).

        Messages that were not fetched are dropped, and other tasks that wait for
        something get `ConnectionClosed`. Returns when the stream is closed, which
        takes ``disconnect_timeout`` at the most; so does every further call. If it is
        cancelled, the stream is closed at once.

        :param code: the close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999; for
            1005, 1006 and 1015, which stand for no Close at all, 1000 is sent
        :param reason: a text of up to 123 bytes in UTF-8, longer ones are cut;
            ``None`` for none
        :raises ValueError: if the code may not be sent, or the text has no UTF-8
            form; the connection is as before then
        :raises TypeError: if the code is no int, or the text no str

        """
        code = close_code_to_send(code)
        text = close_reason_to_send(reason)
        await self._core.close(code, text)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, whoever closes it.

        Messages go on being received meanwhile, as far as there is room for them.
        Cancelling changes nothing.
        """
        await self._core.closing.wait()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __str__(self) -> str:
        return f"{'client' if self.is_client else 'server'}-{self._core.number}"


def _bytes_of(buffer: bytearray | memoryview) -> bytes:
    if isinstance(buffer, memoryview) and (buffer.ndim != 1 or buffer.itemsize != 1):
        raise ValueError(
            "a memoryview message must be one-dimensional with items of one byte, not "
            f"{buffer.ndim}-dimensional with items of {buffer.itemsize}"
        )
    return bytes(buffer)


def _control_payload(payload: _Buffer | None, *, default: bytes) -> bytes:
    if payload is None:
        return default
    if isinstance(payload, bytes):
        data = payload
    elif isinstance(payload, bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        data = _bytes_of(payload)
    else:  # types are hints, and this is a border
        raise ValueError(
            f"payload must be a bytes-like object, not {type(payload).__name__}"
        )
    if len(data) > MAX_CONTROL_PAYLOAD:
        raise ValueError(
            f"payload must be {MAX_CONTROL_PAYLOAD} bytes at the most, not {len(data)}"
        )
    return data
