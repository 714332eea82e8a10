"""What users pass: the options of clients and servers, each with its documentation.

A new option is a key of one of these classes, and a field of the settings in
`_settings`, which has its default and its check. The signatures of the public functions
follow from these two.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypedDict

from ._connection import WebSocketEvent
from ._plain_http import HTTPHandler
from ._protocol import Extension, PerMessageDeflate
from ._types import ByteStreamConnectable, Headers, SSLContext


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

    decode_text: bool
    """Whether a text message is received as a ``str``; default ``True``. With ``False``
    it is received as ``bytes``, in UTF-8, for parsers that take bytes. It is checked in
    any case: a text that is not UTF-8 closes the connection with code 1007 (RFC 6455
    section 8.1). Text and binary messages can then not be told apart.
    """

    count_messages: bool
    """Whether messages are counted, and the time that sending waits, for
    `WebSocketConnection.statistics` and `WebSocketServer.statistics`; default
    ``False``, these fields are ``None``. Bytes are counted in any case. It takes three
    percent of the instructions of a short message, and seven in a burst of them.
    """

    on_event: Callable[[WebSocketEvent], object] | None
    """Called with a `WebSocketEvent` when a connection opens or closes, when a request
    is rejected, when a handshake fails, and when a server is full; default ``None``,
    nothing. It is a plain function, and must not wait: it is called where the thing
    happens, and the connection goes on when it returns. It may start a task in a
    nursery of yours.

    If it raises, the exception is logged, at most once a minute for each kind, and
    nothing else happens.
    """


class ConnectionOptions(_BufferOptions, _LifeOptions, total=False):
    """The options that clients and servers share.

    All are optional. They can be passed as keyword arguments, one by one or
    together: ``open_websocket_url(url, **options)``.

    ``help()`` does not list them; docs/reference/options.rst describes each.

    """


class ClientStreamOptions(ConnectionOptions, total=False):
    """The options of `wrap_client_stream`, which all functions for clients have.

    These are besides those of `ConnectionOptions`. All are optional.

    ``help()`` does not list them; docs/reference/options.rst describes each.

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

    extensions: "Iterable[Extension] | None"
    """Extensions to offer instead of ``compression``, as objects of
    `wsproto.extensions.Extension`; default ``None``, none. They keep state, so each
    connection needs new ones. One that inflates has to bound that itself: only what it
    returns counts for ``max_message_size``. wsproto's ``PerMessageDeflate`` does not,
    and raises `ValueError`. A server that chooses another one fails the handshake.
    """

    auth: tuple[str, str] | None
    """The name and the password of a user, sent as ``Authorization: Basic`` (RFC 7617);
    default ``None``, those in the URL if it has any. They are encoded as UTF-8.

    No error, no ``repr`` and no line of the log shows them. Without TLS everybody on
    the way can read them.
    """

    user_agent: str | None
    """The name of the program, sent as ``User-Agent``; default
    ``"anyio_websocket/<version>"``. `None` sends none. One in ``extra_headers``
    replaces it.
    """

    origin: str | None
    """The origin to send as ``Origin`` (RFC 6455 section 4.1), such as
    ``"https://example.org"``; default ``None``, none. Only browsers have to send one.
    Servers that let in the pages of certain sites only may ask for it.
    """

    cookies: Mapping[str, str] | None
    """Names and values to send as ``Cookie`` (RFC 6265); default ``None``, none. Values
    are sent as they are, so what cannot be sent in this way raises `ValueError`:
    control characters, semicolons, spaces at either end, and what is not ASCII. Other
    spaces, commas, quotes and backslashes are sent, although section 4.1.1 forbids
    servers to set them: some do, and clients return what was set (section 5.4).
    Cookies that the server sets are in
    `WebSocketConnection.handshake_headers`, and are not kept.
    """

    on_ping: Callable[[bytes], object] | None
    """Called with the payload of each Ping of the server (RFC 6455 section 5.5.2), in
    the order in which it was received among the messages; default ``None``, nothing.
    It is a plain function, and must not wait: nothing is received meanwhile. If it
    raises, the exception is logged, and the connection ends with code 1006. It is the
    ``__cause__`` of the `ConnectionClosed`, which is not worth another attempt.

    On a server, `WebSocketRequest.accept` takes it.
    """

    on_pong: Callable[[bytes], object] | None
    """Called with the payload of each Pong of the server (RFC 6455 section 5.5.3),
    whether it answers a Ping or not; default ``None``, nothing. The rest is as with
    ``on_ping``.
    """

    auto_pong: bool
    """Whether Pings are answered automatically; default ``True``. With ``False``, it is
    your duty to call `WebSocketConnection.pong` with the payload that ``on_ping`` was
    called with, soon, because the server takes this side for dead otherwise. Without
    ``on_ping`` that is a `ValueError`.
    """


class ClientOptions(ClientStreamOptions, total=False):
    """The options of `open_websocket_url`, `open_websocket` and ``connect_websocket*``.

    These are besides those of `ClientStreamOptions` and `ConnectionOptions`. All are
    optional.

    ``help()`` does not list them; docs/reference/options.rst describes each.

    """

    proxy: str | Literal[True] | None
    """The proxy to connect through: its URL; `None` for none; or, by default, ``True``,
    the one that the environment names for the server, if any.

    The URL has the scheme ``http``, ``https`` (with TLS between here and the proxy),
    ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``, and may have a user name and a
    password. With ``socks4a`` and ``socks5h`` the proxy looks up the server's name,
    with ``socks4`` and ``socks5`` this machine does. SOCKS needs the extra ``socks``:
    ``pip install anyio_websocket[socks]``.

    Of the environment count ``wss_proxy`` or ``ws_proxy``, then ``socks_proxy``,
    ``https_proxy``, for ``ws:`` ``http_proxy``, and ``all_proxy``, unless ``no_proxy``
    has the server. They never count for this machine itself (``localhost``,
    ``127.0.0.0/8``, ``::1``), nor with ``unix_path`` or ``via``.
    """

    proxy_ssl: SSLContext | None
    """The TLS context for a proxy whose URL begins with ``https:``; default ``None``,
    which verifies the proxy with the system's certificates. TLS with the server is
    another matter, which the proxy cannot look into.
    """

    server_hostname: str | None
    """The name to ask for in TLS (SNI), and that the server's certificate must have;
    default ``None``, the host that is connected to. It needs TLS.

    It is for a server that is reached by another name than its own, for example by its
    IP address.
    """

    unix_path: str | os.PathLike[str] | None
    """The path of the UNIX socket to connect to; default ``None``, connect by TCP. The
    URL, or host and port, still give the ``Host`` header and the name that TLS
    verifies. A path that is too long for the system, which is at about 100 bytes on
    most, raises `ValueError`.
    """

    local_host: str | None
    """The IP address of this machine to connect from; default ``None``, the system
    chooses. It also selects the family: from an IPv4 address, only IPv4 addresses of
    the server are tried.
    """

    via: ByteStreamConnectable | None
    """What makes the stream to the server, instead of a TCP connection of the library's
    own; default ``None``. Any `anyio.abc.ByteStreamConnectable` will do. The URL, or
    host and port, are what the request is for; for ``wss:``, TLS is added on top.

    Such a stream is handled as one passed to `wrap_client_stream`: it is slower than
    the library's own, and if a send is cancelled halfway, the connection ends.
    """

    max_redirects: int
    """How many redirects to follow (status 301, 302, 303, 307, 308); default 0, none,
    and at most 10. What is not followed raises `ConnectionRejected`, whose text says
    why. All of them together have to be done within ``connect_timeout``.

    A redirect is followed to the same scheme, host and port alone, unless
    ``cross_origin_redirects`` allows more; never from ``wss:`` to ``ws:``; and never to
    a URL with a user name in it. ``http:`` and ``https:`` mean ``ws:`` and ``wss:``.
    """

    cross_origin_redirects: bool
    """Whether a redirect may lead to another scheme, host or port; default ``False``.

    Another server is not told ``auth``, ``cookies``, ``extra_headers`` and what the URL
    has in front of its host, because any of them may be a secret; ``user_agent``,
    ``origin`` and ``subprotocols`` are sent. ``server_hostname`` is for the first
    server alone. The TLS context stays the same, with a client's certificate if it has
    one.
    """


class ServerStreamOptions(_LifeOptions, total=False):
    """The options of `wrap_server_stream` that have no place by position.

    These are besides those of `ConnectionOptions`. All are optional.

    ``help()`` does not list them; docs/reference/options.rst describes each.

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
    which the default cannot see: an attacker lets the name of their own page resolve to
    your server's address, so that the page is of the same host.
    """


class ServerOptions(_BufferOptions, ServerStreamOptions, total=False):
    """The options of ``serve_websocket*`` and `WebSocketServer`.

    These are besides those of `ConnectionOptions` and `ServerStreamOptions`. All are
    optional.

    ``help()`` does not list them; docs/reference/options.rst describes each.

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

    max_connections_per_address: int | None
    """How many clients may be connected at once from one IP address, in their handshake
    or open; default ``None``, no limit. A further one is disconnected as soon as it is
    accepted, without a response, and a warning in the log names its address, at most
    once a minute. With IPv6, all addresses of a network of 64 bits count as one,
    because whoever has one of them can use all of them. UNIX sockets have no addresses,
    and so no limit.

    It is wrong behind a reverse proxy: there, all clients have the address of the
    proxy, which has such a limit itself. And many people can share one address (an
    office, a mobile network), so leave room for them.

    It bounds how much of ``max_connections`` and ``max_pending_handshakes`` one client
    can take.
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

    http_handler: HTTPHandler | None
    """Answers requests for something else than a WebSocket: an async function that is
    called with an `HTTPRequest` and returns an `HTTPResponse`, after which the
    connection is closed; default ``None``, such requests are rejected with status 400
    or 405. `healthz` is one that answers health checks.

    Any method will do, except ``CONNECT``, and HTTP/1.0 too. A request for a WebSocket
    that is not valid is rejected as usual. If the function raises, the client gets a
    response with status 500, and ``handler_errors`` says what else happens. Until the
    response is written, the client counts as in its handshake, for
    ``max_pending_handshakes`` and if the server stops. Nothing else limits how long the
    function may take, and it is not cancelled if the client disconnects. ``origins`` is
    for WebSockets: a page of any site can cause such a request.
    """

    max_request_body: int
    """The most bytes that the body of a request for ``http_handler`` may have; default
    65536 (64 KiB). A larger one is rejected with status 413, before it is read if its
    length is known. 0 allows no body. A body has to be complete within
    ``connect_timeout``, like the rest of the request.

    It bounds the memory that a client can take that is not connected yet.
    """
