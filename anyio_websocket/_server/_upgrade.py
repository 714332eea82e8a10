"""A request that somebody else has read: an HTTP server around this library.

In: the parts of the request, and the stream that it came over. Out: a
`WebSocketRequest`, as if the request had been read here. A request that is not valid is
answered here, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from anyio import move_on_after
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from .._connection import BackgroundTask, observer_of
from .._errors import ConnectionTimeout
from .._keywords import checked, with_options
from .._options import ServerStreamOptions
from .._protocol import RequestHead, parsed_head
from .._settings import (
    MAX_MESSAGE_SIZE,
    MESSAGE_QUEUE_SIZE,
    RECEIVE_BUFFER_SIZE,
    ServerSettings,
)
from .._transport import AnyStream, Transport, transport_of
from .._types import Header, Nursery, bytes_of, in_a_nursery
from ._handshake import accept_or_refuse, handshake_of
from ._http2_transport import Http2Transport, Respond
from ._request import PendingRequest, WebSocketRequest


@in_a_nursery
@with_options(ServerStreamOptions, ServerSettings)
async def accept_upgrade(
    nursery: Nursery,
    stream: AnyStream,
    *,
    method: str | bytes,
    target: str | bytes,
    headers: Iterable[Header],
    trailing: bytes = b"",
    http_version: str | bytes = "1.1",
    respond: Respond | None = None,
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    **options: Unpack[ServerStreamOptions],
) -> WebSocketRequest:
    """Take over a request to upgrade that an HTTP server of yours has read.

    The request is checked as if it had been read here. If it is not valid, the client
    is sent the same response as by `serve_websocket`. From then on the stream belongs
    to the request and its connection: it is closed with them, or if the request is
    not valid. Once the request is accepted, one task is started in the nursery; it
    ends when the connection is closed. Until you accept or reject the request, nothing
    is read.

    The options are described in `ServerStreamOptions` and `ConnectionOptions`. Your
    server is responsible for the time and the size of the request: ``max_head_size`` is
    not used, and ``connect_timeout`` only limits how long a response may take.

    :param nursery: an anyio task group or a trio nursery
    :param stream: the stream that the request came over: an
        :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``. Nobody else may read
        from it or write to it any more
    :param method: the method of the request
    :param target: the target, as it was received: the path and the query, not decoded
    :param headers: all headers, in order, as pairs of ``bytes`` or of ``str``. Of a
        ``str``, each character stands for a byte (latin-1); if it has others, it is
        encoded as UTF-8
    :param trailing: what was received after the head of the request: the first frames
    :param http_version: the version of HTTP: ``"1.1"``; or ``"2"`` for an extended
        CONNECT (RFC 8441). Then ``method`` is ``CONNECT``, ``target`` is the ``:path``,
        ``headers`` have ``:authority`` and ``:protocol`` among them, and ``stream``,
        one of anyio's, is the data of this stream of HTTP/2
    :param respond: for HTTP/2, an async function of a status and headers that sends the
        head of the response, without ending the stream; ``None`` for HTTP/1.1, where
        the response is written to the stream
    :return: the request, to be accepted or rejected
    :raises ValueError: if an argument has a value that cannot work
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises RuntimeError: if the nursery takes no tasks. After this error and the two
        above, nothing was sent and the stream is still yours
    :raises HandshakeError: if the request is not valid. The client was told so, and the
        stream is closed
    :raises ConnectionTimeout: if it was not valid, and the client did not take the
        response within ``connect_timeout``

    """
    settings = checked(
        ServerSettings,
        accept_upgrade,
        {
            "message_queue_size": message_queue_size,
            "max_message_size": max_message_size,
            "receive_buffer_size": receive_buffer_size,
            **options,
        },
    )
    head = parsed_head(method, target, headers, http_version)
    trailing = bytes_of("trailing", trailing)
    transport = _transport_of(stream, head, respond)
    observer = observer_of(settings)
    handshake = handshake_of(transport, settings)
    try:
        await checkpoint()
        outcome = handshake.check_parsed(head, trailing)
        with move_on_after(settings.connect_seconds):
            request = await accept_or_refuse(transport, outcome, observer.rejected)
            background = BackgroundTask(nursery, settings, observer=observer)
            return WebSocketRequest(
                PendingRequest(
                    *(transport, handshake, request, background, settings, observer)
                )
            )
        raise ConnectionTimeout(
            "the request was not valid, and the client did not take the response "
            f"within {settings.connect_timeout} seconds (connect_timeout)"
        )
    except BaseException:
        await transport.abort()
        raise


def _transport_of(
    stream: AnyStream, head: RequestHead, respond: Respond | None
) -> Transport:
    if not head.is_http2:
        if respond is not None:
            raise ValueError(
                "respond is for HTTP/2; in HTTP/1.1 the response goes to the stream"
            )
        return transport_of(stream)
    if not callable(respond):
        raise TypeError(
            "a request of HTTP/2 needs respond, an async function of a status and "
            f"headers, not {respond!r}"
        )
    if not isinstance(stream, ByteStream):
        raise TypeError(
            "for HTTP/2 the stream must be an anyio.abc.ByteStream, not "
            f"{type(stream).__name__}"
        )
    return Http2Transport(stream, respond)
