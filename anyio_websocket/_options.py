"""What users pass: the options of clients and servers, each with its documentation.

A new option is a key of one of these classes, and a field of the settings in
`_settings`, which has its default and its check. The signatures of the public functions
follow from these two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict

from ._protocol import Extension, PerMessageDeflate
from ._types import Headers


class _BufferOptions(TypedDict, total=False):
    # In a class of their own because `wrap_server_stream` takes them by position.

    message_queue_size: float
    """How many received messages may wait until the application fetches them; default
    `math.inf`, any number that fits into 1 MiB of memory (or into ``max_message_size``
    bytes if that is more). When the memory is used up, or one message more than the
    number is complete, reading stops, and the peer has to wait. Until then Pings are
    answered, and Pongs and a Close are seen, however slow the application is.

    The limit on memory bounds what a peer can fill by sending faster than the
    application reads. A limit on the number makes such a peer wait earlier.
    """

    max_message_size: float
    """The most bytes of payload that a received message may have, after decompression;
    default 1048576 (1 MiB). A larger message closes the connection with code 1009.
    `math.inf` removes the limit. A text can take 7 times its size while it is decoded,
    then 4 times.

    It bounds the memory that one message can take: a message of endless fragments, or
    a small compressed one that inflates to gigabytes (a "zip bomb").
    """

    receive_buffer_size: int | None
    """How many bytes to ask of the network at once; default 131000. `None` leaves the
    size to the stream. Few large reads cost less CPU time than many small ones.

    It bounds the memory that one read takes, whatever the peer sends.
    """


class _LifeOptions(TypedDict, total=False):
    connect_timeout: float | None
    """Seconds until the connection must be open; default 10. On a client this is one
    deadline from looking up the name to the server's response. On a server it is the
    time for TLS and the request, and again the time in which the client has to read
    the response; the time that the handler takes in between is not in it. `None` or
    `math.inf` sets no limit.

    It bounds how long a host that does not answer, or a peer that sends its handshake
    byte by byte ("slowloris"), can keep a task and a socket.
    """

    max_head_size: int
    """The most bytes that the head of a request or a response may have; default 65536
    (64 KiB), at least 1024. A line may have a quarter of it (16 KiB), or 8 KiB if that
    is more, and there may be one header for each 512 bytes (128), or 100. A server
    rejects what is larger with status 414 or 431, a client raises `HandshakeError`.

    It bounds the memory that a peer can take before anything is known of it. Increase
    it if cookies or tokens are larger.
    """

    disconnect_timeout: float | None
    """Seconds that a whole close may take, from our Close to the end of the stream;
    default 10. After that the stream is closed without waiting for the peer. `None`
    or `math.inf` sets no limit.

    It bounds how long a peer that does not read, or that never replies to a Close, can
    keep a task and a socket.
    """

    send_timeout: float | None
    """Seconds for which the peer may take nothing while something waits to be sent;
    default 60. Then the connection ends with code 1006, and what waits to be sent is
    dropped. Any bytes that the peer takes count, so a slow peer is left alone. `None`
    or `math.inf` sets no limit.

    It bounds how long a peer that does not read can keep a task that sends, and the
    memory of its message. The keepalive does not notice such a peer if it goes on
    sending.
    """

    compression: PerMessageDeflate | bool | None
    """Whether messages may be compressed with permessage-deflate (RFC 7692): ``True``
    for the defaults of `PerMessageDeflate`, or a `PerMessageDeflate` with settings of
    your choice; default ``None``, no compression. A client offers it, a server accepts
    a client's offer. What was agreed on is in `WebSocketConnection.compression`.

    It is off by default because each connection then keeps buffers for it, and because
    the size of a compressed message tells an attacker about secrets in it; see
    `PerMessageDeflate`.
    """

    ping_interval: float | None
    """Seconds from one Ping that keeps the connection alive to the next; default 20.
    `None` sends no Pings.

    It keeps proxies and NAT routers from dropping a connection because it is idle,
    and it is how a peer that has vanished is noticed.
    """

    ping_timeout: float | None
    """Seconds after such a Ping in which the peer must send something, else the
    connection is closed with code 1006; default 20. Any byte counts. Time in which
    nothing is read, because the application does not fetch what was received, does
    not count. `None` sets no limit: Pings are sent, but need not be answered.

    It bounds how long a peer whose machine or network has failed can keep a
    connection. TCP alone notices this late, or never if nothing is sent.
    """


class ConnectionOptions(_BufferOptions, _LifeOptions, total=False):
    """The options that clients and servers share.

    All are optional. They can be passed as keyword arguments, one by one or
    together: ``open_websocket_url(url, **options)``.

    """


class ClientOptions(ConnectionOptions, total=False):
    """The options of `open_websocket`, `connect_websocket` and `wrap_client_stream`.

    These are besides those of `ConnectionOptions`. All are optional.

    """

    subprotocols: Iterable[str] | None
    """The subprotocols to offer, best first (RFC 6455 section 1.9); default ``None``,
    none. What the server chose is in `WebSocketConnection.subprotocol`.

    A server that chooses one that was not offered fails the handshake, so both sides
    always speak the same protocol.
    """

    extra_headers: Headers | None
    """Headers to send besides those of the handshake, as pairs or as a mapping, of
    ``bytes`` or of ``str``; default ``None``, none. ``Host`` replaces the one that
    would be sent; other headers of the handshake itself raise `ValueError`.

    Names and values that would break out of their line raise it, too, so that text from
    elsewhere cannot inject a header. Errors do not show values, which may be secrets.
    """

    extensions: Iterable[Extension] | None
    """Extensions to offer instead of ``compression``, as objects of
    `wsproto.extensions.Extension`; default ``None``, none. They keep state, so each
    connection needs new ones. One that inflates has to bound that itself: only what it
    returns counts for ``max_message_size``. wsproto's ``PerMessageDeflate`` does not,
    and raises `ValueError`. A server that chooses another one fails the handshake.
    """


class ServerStreamOptions(_LifeOptions, total=False):
    """The options of `wrap_server_stream` that have no place by position.

    These are besides those of `ConnectionOptions`. All are optional.

    """

    origins: Iterable[str] | str | None
    """The web pages whose scripts may connect, as origins such as
    ``https://example.org:8443``, ``https://*.example.org`` for every name below it,
    ``null`` or ``file://``; ``"*"`` for all pages. By default, ``None``, a page may
    connect to the host that it came from, at any port, and where its browser says that
    it is of the same origin (``Sec-Fetch-Site``); if the server speaks TLS, a page that
    was loaded over http may not. Others get a response with status 403, and a warning
    in the log says what to do. A client that sends no Origin is not a browser and is
    always let in.

    It prevents cross-site WebSocket hijacking (RFC 6455 section 10.2): browsers send a
    user's cookies along, whichever page connects. A list also prevents DNS rebinding,
    which the default cannot see: an attacker lets the name of his own page resolve to
    your server's address, so that the page is of the same host.
    """


class ServerOptions(_BufferOptions, ServerStreamOptions, total=False):
    """The options of `serve_websocket` and `WebSocketServer`.

    These are besides those of `ConnectionOptions` and `ServerStreamOptions`. All are
    optional.

    """

    handler_errors: Literal["log", "raise"]
    """What an exception of a handler does. ``"log"``, the default, logs it with its
    traceback and closes that connection with code 1011. ``"raise"`` lets it end the
    server as well: it comes out of `serve_websocket` or `WebSocketServer.run` in an
    exception group.

    By default a request that makes the handler fail ends its own connection only.
    """

    max_connections: int | None
    """How many clients may be connected at once, in their handshake or open; default
    ``None``, no limit. At the limit the server accepts no more until a client
    disconnects; new ones wait in the kernel. A client in its handshake may have to make
    room for them, as ``max_pending_handshakes`` says.

    It bounds the files, the tasks and the memory that all clients together can take.
    """

    max_pending_handshakes: int | None
    """How many clients may be in their handshake at once, TLS included; default 1000.
    Each of them takes the memory of the part of its request that it has sent
    (``max_head_size`` at most), an eighth more, and less than 32 KiB besides. ``None``
    sets no limit.

    At the limit, a client that waits takes the place of the oldest one that has not
    sent a whole valid request, TLS included, or that does not read the response. That
    one is dropped, but not before it has had a quarter of a second. If there is none,
    because all wait for their handlers, new clients wait in the kernel.

    It bounds what clients can take that connect and say nothing, and the work when many
    clients reconnect at the same moment. A client cannot keep others out by holding
    connections without a request.
    """
