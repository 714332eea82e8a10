"""A request that somebody else has read: an HTTP server around this library.

In: the parts of the request, and the stream that it came over. Out: a
`WebSocketRequest`, as if the request had been read here. A request that is not valid is
answered here, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from anyio import move_on_after
from anyio.lowlevel import checkpoint

from .._connection import BackgroundTask, observer_of
from .._errors import ConnectionTimeout
from .._options import ServerStreamOptions
from .._protocol import parsed_head
from .._settings import (
    MAX_MESSAGE_SIZE,
    MESSAGE_QUEUE_SIZE,
    RECEIVE_BUFFER_SIZE,
    ServerSettings,
    checked,
    with_options,
)
from .._transport import AnyStream, transport_of
from .._types import Header, Nursery, bytes_of, in_a_nursery
from ._handshake import accept_or_refuse, handshake_of
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
    message_queue_size: float = MESSAGE_QUEUE_SIZE,
    max_message_size: float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE,
    **options: Unpack[ServerStreamOptions],
) -> WebSocketRequest:
    """Take over a request to upgrade that an HTTP server of yours has read.

    The request is checked as if it had been read here. If it is not valid, the client
    is sent the same response as by `serve_websocket`. From then on the stream belongs
    to the request and its connection: it is closed with them, and also if the request
    is not valid. Once the request is accepted, one task is started in the nursery; it
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
    :param http_version: the version of HTTP in the request. Other versions than
        ``"1.1"`` are rejected; HTTP/2 and HTTP/3, where there is no Upgrade, raise
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
    transport = transport_of(stream)
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
