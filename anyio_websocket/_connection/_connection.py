"""`WebSocketConnection`, which is what users hold.

Arguments are checked here, and the documentation is here. How a call is carried out is
in `ConnectionCore` (``_core``) and its parts.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, overload

from anyio import current_time
from anyio.abc import AsyncResource, ByteStream, ObjectStream

from .._errors import ConnectionClosed
from .._protocol import (
    NO_COPY_SIZE,
    Frame,
    close_code_to_send,
    close_reason_to_send,
)
from ._facts import ConnectionFacts
from ._json import encoded, json_dumps, json_loads
from ._payloads import Buffer, control_payload, payload_of
from ._quick_sends import sends_quickly
from ._received_fragments import ReceivedFragments
from ._sent_fragments import Parts, is_in_parts

_T = TypeVar("_T")


class WebSocketConnection(ConnectionFacts, AsyncResource):
    """An open WebSocket connection, on the client's or the server's side.

    The functions that open or accept connections make it; it is never made directly.

    Any number of tasks may call any of its methods at the same time. Messages are sent
    in the order of the calls, and each received message goes to one task.

    Every method that waits may be cancelled, and the connection stays usable, with two
    exceptions: a cancelled `aclose` closes the stream at once, and over a stream that
    you passed in, a `send_message`, `ping` or `pong` that is cancelled while its
    bytes are being written closes the connection (1006). There is no way to know how
    much of them was sent, and nothing can follow half a frame.

    ``async with connection:`` closes the connection when the block is left, and ``async
    for message in connection:`` yields messages until the peer closes.

    ``extra(attribute)`` returns a typed attribute, see `WebSocketRequest`. Those of
    `anyio_websocket.streams.WebSocketAttribute` are there too.

    """

    # -- messages --------------------------------------------------------------

    @sends_quickly
    async def send_message(
        self,
        message: str | Buffer | Parts,
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message: text for a ``str``, binary for bytes, or one in parts.

        Returns when the stream has taken the whole message. This is the backpressure:
        a peer that reads slowly makes the sender wait. It does not mean that the peer
        has received the message. Several tasks may send at the same time; each message
        is sent whole, in the order of the calls. If the peer takes nothing for
        ``send_timeout`` seconds, the connection ends.

        If it is cancelled before its first byte is written, nothing is sent. If it is
        cancelled later, the rest of the message is sent in the background, except over
        a stream that you passed in: there the connection is closed (1006).

        An iterable or async iterable of parts, all ``str`` or all bytes, is sent as one
        message in fragments (RFC 6455 section 5.4), while it is being made. Parts are
        joined until there are 16 KiB, so no more than that and one part is in memory.
        Other messages wait until it is finished; Pings, Pongs and a Close do not. A
        message that was begun cannot be taken back: if the iterable raises then, or the
        task is cancelled, the connection is closed (1011), and the exception comes out.
        If the connection ends while it waits for a part, the next part raises.

        :param message: the message, of any size, or its parts; do not change a buffer
            until this returns. No part at all makes an empty message
        :param text: ``True`` sends bytes as a text message; they are checked to be
            UTF-8. ``False`` sends a ``str`` as a binary message, in UTF-8. ``None``
            goes by the type
        :param compress: ``True`` compresses the message however short it is, unless it
            is empty, or would not become shorter without context takeover. ``False``
            sends it uncompressed, and ``None`` compresses it from the ``threshold`` of
            `PerMessageDeflate` on. Makes no difference without `compression`.
            Do not compress a secret together with text that an attacker can choose, see
            `PerMessageDeflate`
        :raises ConnectionClosed: if the connection is closed or closing, or is lost
            while the message is being sent; its ``nothing_sent`` says whether it is
            safe to send the message again
        :raises ValueError: if the message is of another type, is a text with lone
            surrogates or bytes that are not UTF-8, or is a memoryview that is not
            one-dimensional with items of one byte; nothing is sent then. If it is a
            later part, the message was begun

        """
        # A message that cannot be sent is found before anything is sent.
        payload: str | bytes
        if text is None and (
            type(message) is bytes or (type(message) is str and message.isascii())
        ):
            payload = message
        elif type(message) is not str and is_in_parts(message):
            await self._core.send_in_fragments(message, text=text, compress=compress)
            return
        else:
            payload = payload_of(message, text)
        core = self._core
        frame: Callable[[str | bytes], Frame]
        if compress is not None:
            frame = core.engine.framer(compress)
        elif len(payload) < NO_COPY_SIZE:
            frame = core.engine.frame_message
        else:
            frame = core.engine.frame_large
        if (rest := core.outbox.start_send(frame, payload)) is not None:
            await rest

    async def send_messages(
        self,
        messages: Iterable[str | Buffer],
        *,
        text: bool | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send several messages, with as few writes as possible.

        `send_message` writes each message before it returns, so that no message waits
        while the application computes. Many short messages that you have already cost
        less with one call and one write. To send 100 messages of 125 bytes, and to
        receive as many, then takes a quarter of the CPU time.

        No other message is sent between them, and they are sent in their order. It
        returns when the stream has taken all of them. One write takes up to 1000
        messages, or 128 KiB of them; between two writes other tasks run.

        If it is cancelled, the messages that were not begun are not sent. The rest of
        those that were is sent in the background, except over a stream that you passed
        in: there the connection is closed (1006).

        :param messages: the messages, see `send_message`; nothing makes none
        :param text: see `send_message`; it counts for each of them
        :param compress: see `send_message`
        :raises ConnectionClosed: if the connection is closed or closing, or is lost
            while the messages are being sent
        :raises ValueError: if one of the messages cannot be sent, see `send_message`;
            nothing is sent then
        :raises TypeError: if it is a single message instead of several

        """
        if isinstance(messages, str | bytes | bytearray | memoryview):
            raise TypeError(
                "messages must be several messages, such as a list, not a "
                f"{type(messages).__name__}; send_message() sends a single one"
            )
        payloads = [payload_of(message, text) for message in messages]
        engine = self._core.engine
        frame = engine.frame if compress is None else engine.framer(compress)
        await self._core.outbox.send_all(frame, payloads)

    async def get_message(self) -> str | bytes:
        """Return the next message, and wait for it if there is none.

        Several tasks may wait at the same time; each message goes to one of them, first
        come, first served. Cancellation loses no message.

        Messages that were received before the peer's Close are still returned after
        it. After a call of `aclose` no message is.

        :raises ConnectionClosed: if there is no message, and none will come because
            the connection is closed or closing

        """
        reader = self._core.reader
        if (message := reader.take_next()) is not None:
            return message
        return await reader.next_message()

    async def send_json(
        self, obj: Any, *, dumps: Callable[[Any], str | bytes] = json_dumps
    ) -> None:
        """Send an object as a text message of JSON (RFC 8259).

        Otherwise it is `send_message`.

        :param obj: the object
        :param dumps: makes a ``str`` or ``bytes`` in UTF-8 of it, such as `json.dumps`,
            ``orjson.dumps``, ``msgspec.json.encode``; the default is `json.dumps`
            with ``allow_nan=False``. What it raises comes out, and nothing is sent
        :raises ConnectionClosed: see `send_message`
        :raises ValueError: if ``dumps`` returns something else, or the object has NaN
            or infinity, which JSON cannot have; nothing is sent then

        """
        await self.send_message(encoded(obj, dumps), text=True)

    async def get_json(
        self, *, loads: Callable[[str | bytes], Any] = json_loads
    ) -> Any:
        """Return the object in the next message, which has to be JSON.

        Text and binary messages are taken alike. Otherwise it is `get_message`.

        :param loads: makes the object of the message, such as `json.loads`,
            ``orjson.loads``, ``msgspec.json.decode`` or a method of a decoder for one
            type; the default is `json.loads`. What it raises for a message that is not
            JSON comes out. That message is gone then, and the connection goes on: the
            next call returns the next one
        :raises ConnectionClosed: see `get_message`

        """
        return loads(await self.get_message())

    def receive_fragments(
        self,
    ) -> AbstractAsyncContextManager[AsyncIterator[str | bytes]]:
        """Receive the next message in parts, while it is still coming.

        ``async with ws.receive_fragments() as parts:`` begins, and ``async for part in
        parts`` yields what has come of the message, until it ends. A part is what came
        at once, less than 2 MiB: fragments say nothing, as proxies may join and split
        them (RFC 6455 section 5.4). Texts are checked as they come, and parts of one
        have whole characters. A message that was received before the block was entered
        is one part.

        While the application fetches no part, no more is received than the bounds of
        the queue allow (``message_queue_size``, and the larger of 1 MiB and
        ``max_message_size``). ``max_message_size`` limits the whole message, so set it
        to what you can take, and ``message_queue_size`` to 1 to have little of it in
        memory if it comes faster than you fetch it.

        If the block is left before the message has ended, the rest of it is skipped;
        if no part was fetched, nothing is, and the message comes whole. So a
        cancelled block leaves the connection usable, and a cancelled wait for a part
        loses none.

        Other tasks that want a message wait until the block is left. Those that waited
        before it was entered have the messages before. Within the block, do not call
        `get_message`, and let one task at a time wait for a part.

        :raises ConnectionClosed: on entering the block, if `aclose` was called; from
            ``async for``, if the connection ends before the message does, with any code
        :raises RuntimeError: if a task wants another message within its own block, or a
            part outside of the block
        :raises anyio.BusyResourceError: if two tasks wait for a part

        """
        return ReceivedFragments(self._core.reader)

    def __aiter__(self) -> WebSocketConnection:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; stop after a normal close.

        That is one with code 1000 or 1001, or without a code (1005): browsers send no
        code if a page calls ``close()`` without one.

        :raises ConnectionClosed: if the connection ended with any other code

        """
        reader = self._core.reader
        if (message := reader.take_next()) is not None:
            return message
        try:
            return await reader.next_message()
        except ConnectionClosed as exc:
            if exc.clean:
                self._core.close_state.ended_loop = exc.with_traceback(None)
                raise StopAsyncIteration from None
            raise

    # -- as anyio's streams ----------------------------------------------------

    def as_byte_stream(self) -> ByteStream:
        """Return the connection as a stream of bytes, for code that expects one.

        Bytes are sent as binary messages of up to 32 KiB. All messages are received,
        texts in UTF-8, and where one begins and ends is lost. One task at a time may
        receive, and one may send. A cancelled ``receive()`` loses nothing; a cancelled
        ``send()`` may have sent a part. Over a stream that you passed in, or that
        ``via`` made, this ends the connection (1006). ``aclose()`` closes it.

        What the methods raise is in :doc:`/howto/tunnel`. Call this once, because the
        stream keeps what is left of a message that was received in part.
        """
        from .._streams import ByteView

        return ByteView(self)

    @overload
    def as_object_stream(self) -> ObjectStream[str | bytes]: ...

    @overload
    def as_object_stream(
        self,
        *,
        loads: Callable[[str | bytes], _T],
        dumps: Callable[[_T], str | bytes] = ...,
        text: bool = ...,
    ) -> ObjectStream[_T]: ...

    @overload
    def as_object_stream(
        self, *, dumps: Callable[[_T], str | bytes], text: bool = ...
    ) -> ObjectStream[_T]: ...

    def as_object_stream(
        self,
        *,
        loads: Callable[[str | bytes], Any] | None = None,
        dumps: Callable[[Any], str | bytes] | None = None,
        text: bool = True,
    ) -> ObjectStream[Any]:
        """Return the connection as a stream of objects, for code that expects one.

        Without ``loads`` and ``dumps`` the objects are the messages. With one of them
        they are as in `get_json` and `send_json`, which have the default of the other.
        Any number of tasks may send and receive. ``aclose()`` closes the connection.
        What the methods raise is in :doc:`/howto/tunnel`.

        :param loads: makes an object of a message, and says of which type they are
        :param dumps: makes a message of an object
        :param text: whether that is a text. ``False`` is for a format of bytes, such as
            msgpack. Without ``loads`` and ``dumps`` the type of the message says it

        """
        from .._streams import ObjectView

        if loads is None and dumps is None:
            return ObjectView(self, None, partial(payload_of, text=None), None)
        dumps = partial(encoded, dumps=dumps or json_dumps)
        return ObjectView(self, loads or json_loads, dumps, text)

    # -- pings -----------------------------------------------------------------

    async def ping(self, payload: Buffer | None = None) -> None:
        """Send a Ping and wait for its Pong (RFC 6455 section 5.5.2).

        A Pong also answers the Pings that were sent before (RFC 6455 section 5.5.3).
        Several tasks may wait for their Pongs at the same time. If it is cancelled, a
        Pong that comes later is ignored.

        The Pong is read after the messages that the peer sent before it. So this waits
        while ``message_queue_size`` or ``max_message_size`` is reached, until another
        task calls `get_message`.

        :param payload: up to 125 bytes, different from those of Pings that wait for
            their Pongs; ``None`` sends four random bytes
        :raises ConnectionClosed: if the connection is closed or closing, or ends
            before the Pong comes
        :raises ValueError: if the payload is not a bytes-like object, is too long, or
            is that of another Ping that waits for its Pong; nothing is sent then

        """
        core = self._core
        data = control_payload(payload, default=os.urandom(4))
        ping = core.pings.add(data, current_time())

        def frame(payload: bytes) -> bytes:
            ping.sent = True  # even if sending it is cancelled
            core.outbox.pings_sent += 1
            return core.engine.frame_ping(payload)

        try:
            await core.outbox.send(frame, data)
            await core.reader.pong(ping)
        finally:
            core.pings.discard(ping)

    async def pong(self, payload: Buffer | None = None) -> None:
        """Send a Pong that answers no Ping (RFC 6455 section 5.5.3).

        It tells the peer that this side is alive. The peer's Pings are answered
        automatically, without this method.

        :param payload: up to 125 bytes; ``None`` sends an empty Pong
        :raises ConnectionClosed: if the connection is closed or closing
        :raises ValueError: if the payload is not a bytes-like object, or is too long;
            nothing is sent then

        """
        await self._core.outbox.send(
            self._core.engine.frame_pong, control_payload(payload, default=b"")
        )

    # -- closing ---------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection with a closing handshake (RFC 6455 section 7.1.2).

        Sends a Close, waits for the peer's, and closes the stream. Received messages
        that were not fetched are dropped, and other tasks that wait for something of
        the connection get `ConnectionClosed`.

        Returns when the stream is closed, which takes ``disconnect_timeout`` seconds at
        most. Several tasks may call it; the first call decides on the code, and all of
        them return at the end. On a connection that is closed already it does nothing.
        If it is cancelled, the stream is closed at once.

        :param code: the close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999. 1005,
            1006 and 1015 cannot be sent (RFC 6455 section 7.4.1); 1000 is sent for them
        :param reason: a text, cut to 123 bytes in UTF-8; ``None`` sends no text
        :raises ValueError: if the code may not be sent, or the text cannot be encoded
            in UTF-8; the connection stays open then
        :raises TypeError: if the code is not an int, or the text not a str

        """
        code = close_code_to_send(code)
        text = close_reason_to_send(reason)
        await self._core.close(code, text)

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, whichever side closes it.

        Messages are still received meanwhile, until ``message_queue_size`` or
        ``max_message_size`` is reached. Any number of tasks may wait, and cancellation
        changes nothing.
        """
        await self._core.close_state.wait_closed()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __str__(self) -> str:
        return self._core.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"
