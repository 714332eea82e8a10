"""Every option of a client or a server: its meaning, its default and its check.

In: the keyword arguments of a public function. Out: frozen settings that hold only
values that can work.

A new option is a key of one of the public classes, which documents it, and a field of
the settings behind it, which has its default and its check. The signatures of the
public functions follow from these two (see `with_options`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final, Literal, TypedDict, TypeVar

from ._protocol import (
    MAX_HEAD_SIZE,
    Extension,
    Extensions,
    Origins,
    PerMessageDeflate,
    check_subprotocols,
    validate_headers,
)
from ._types import Headers

# messages; the memory that they take is bounded in any case
MESSAGE_QUEUE_SIZE: Final = math.inf
MAX_MESSAGE_SIZE: Final = 2**20  # bytes (1 MiB); what trio-websocket ships
# bytes; few large reads cost less CPU for each. With what Python and malloc put around
# it, this is a block of just less than 128 KiB; malloc maps a larger block afresh each
# time.
RECEIVE_BUFFER_SIZE: Final = 131_000
DISCONNECT_TIMEOUT: Final = 10.0  # seconds; websockets' close timeout

# seconds to wait for the peer's FIN after both Closes, as Chromium does (2 s)
LINGER_TIMEOUT: Final = 2.0
# bytes; holds most handshakes at once, and bounds what a peer that sends frames too
# early can make us keep
HANDSHAKE_RECEIVE_SIZE: Final = 8192


# -- what users pass -----------------------------------------------------------


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

    These are beside those of `ConnectionOptions`. All are optional.

    """

    subprotocols: Iterable[str] | None
    """The subprotocols to offer, best first (RFC 6455 section 1.9); default ``None``,
    none. What the server chose is in `WebSocketConnection.subprotocol`.

    A server that chooses one that was not offered fails the handshake, so both sides
    always speak the same protocol.
    """

    extra_headers: Headers | None
    """Headers to send beside those of the handshake, as pairs or as a mapping, of
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

    These are beside those of `ConnectionOptions`. All are optional.

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

    These are beside those of `ConnectionOptions` and `ServerStreamOptions`. All are
    optional.

    """

    handler_errors: Literal["log", "raise"]
    """What an exception of a handler does. ``"log"``, the default, logs it with its
    traceback and closes that connection with code 1011. ``"raise"`` lets it end the
    server as well.

    By default a request that makes the handler fail ends its own connection only.
    """

    max_connections: int | None
    """How many clients may be connected at once, in their handshake or open; default
    ``None``, no limit. At the limit the server accepts no more until a client leaves;
    new ones wait in the kernel.

    It bounds the files, the tasks and the memory that all clients together can take.
    """

    max_pending_handshakes: int | None
    """How many clients may be in their handshake at once, TLS included; default 1000.
    Each of them takes what it has sent of its request, which is ``max_head_size`` at
    most, an eighth of that, and less than 32 KiB beside. At the limit the server
    accepts no more until a handshake is done, or the client has left;
    ``connect_timeout`` bounds how long that takes if the handler is quick. ``None``
    sets no limit.

    It bounds what clients can take that connect and say nothing, and the work that a
    crowd makes that reconnects at the same moment.
    """


# -- what is made of it --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ConnectionSettings:
    """What a connection needs to know, checked; see `ConnectionOptions`.

    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an option has a value of the wrong type

    """

    message_queue_size: float = MESSAGE_QUEUE_SIZE
    max_message_size: float = MAX_MESSAGE_SIZE
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE
    connect_timeout: float | None = 10.0  # websockets' open timeout
    max_head_size: int = MAX_HEAD_SIZE
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT
    compression: PerMessageDeflate | bool | None = None
    ping_interval: float | None = 20.0  # websockets'; below any proxy's idle time
    ping_timeout: float | None = 20.0  # websockets'
    #: what may be negotiated in the handshake
    negotiable: Extensions = field(init=False)

    def __post_init__(self) -> None:
        check("message_queue_size", self.message_queue_size, zero=True)
        check("max_message_size", self.max_message_size)
        check("receive_buffer_size", self.receive_buffer_size, kind=int, none=True)
        check("connect_timeout", self.connect_timeout, none=True)
        check("max_head_size", self.max_head_size, kind=int)
        if self.max_head_size < 1024:  # with less, no browser could connect
            raise ValueError(
                f"max_head_size must be at least 1024, not {self.max_head_size}"
            )
        check("disconnect_timeout", self.disconnect_timeout, none=True)
        check("ping_interval", self.ping_interval, none=True)
        check("ping_timeout", self.ping_timeout, none=True)
        self._set(negotiable=Extensions.from_arguments(self.compression))

    def _set(self, **values: object) -> None:
        """Set fields while the object is constructed; after that it is frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def connect_seconds(self) -> float:
        """``connect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.connect_timeout is None else self.connect_timeout

    @property
    def disconnect_seconds(self) -> float:
        """``disconnect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.disconnect_timeout is None else self.disconnect_timeout


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ClientSettings(ConnectionSettings):
    """What a client needs to know, checked; see `ClientOptions`."""

    subprotocols: Iterable[str] | None = None
    extra_headers: Headers | None = None
    extensions: Iterable[Extension] | None = None

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        # An iterator can be read only once, so what was read is kept.
        self._set(
            subprotocols=check_subprotocols(self.subprotocols),
            extra_headers=validate_headers(self.extra_headers),
        )
        if self.extensions is not None:
            self._set(
                negotiable=Extensions.from_arguments(self.compression, self.extensions)
            )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ServerSettings(ConnectionSettings):
    """What a server needs to know, checked; see `ServerOptions`."""

    origins: Iterable[str] | str | None = None
    handler_errors: Literal["log", "raise"] = "log"
    max_connections: int | None = None
    # Mostly 8 KiB each, 80 with a full head; no other library has a limit to compare
    # with.
    max_pending_handshakes: int | None = 1000
    #: `origins`, checked
    allowed_origins: Origins = field(init=False)

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self._set(allowed_origins=Origins(self.origins))
        if self.handler_errors not in ("log", "raise"):
            raise ValueError(
                f'handler_errors must be "log" or "raise", not {self.handler_errors!r}'
            )
        check("max_connections", self.max_connections, kind=int, none=True)
        check(
            "max_pending_handshakes", self.max_pending_handshakes, kind=int, none=True
        )


def check(
    name: str,
    value: float | None,
    *,
    zero: bool = False,
    kind: type | UnionType = int | float,
    none: bool = False,
) -> None:
    """Check a number that a user passed.

    :param name: the name of the option
    :param value: its value
    :param zero: whether it may be zero
    :param kind: the type that it must have; a bool does not count as an int
    :param none: whether it may be ``None``
    :raises ValueError: if it is negative, NaN, or zero where that cannot work
    :raises TypeError: if it is of another type

    """
    if value is None and none:
        return
    otherwise = f"{' or None' * none}, not {value!r}"
    if value is None or not isinstance(value, kind) or isinstance(value, bool):
        what = "an int" if kind is int else "a number"
        raise TypeError(f"{name} must be {what}{otherwise}")
    if not (value > 0 or (zero and value == 0)):  # NaN compares false with everything
        least = "zero or more" if zero else "more than zero"
        raise ValueError(f"{name} must be {least}{otherwise}")


# -- from the one to the other -------------------------------------------------

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Settings = TypeVar("_Settings", bound=ConnectionSettings)


def with_options(
    options: type, settings: type[ConnectionSettings]
) -> Callable[[_Function], _Function]:
    """Show the options in the signature of a function that takes ``**options``.

    So `inspect.signature`, ``help()`` and Sphinx see each keyword with its type and
    its default, although the function's source names none of them.

    :param options: the class that documents the options
    :param settings: the class that has their defaults

    """
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=settings.__dataclass_fields__[name].default,
            annotation=getattr(hint, "__forward_arg__", hint),
        )
        for name, hint in options.__annotations__.items()
    ]

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        *named, _ = signature.parameters.values()
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*named, *keywords]
        )
        return function

    return decorate


def checked(
    settings: type[_Settings], function: Callable[..., Any], options: Mapping[str, Any]
) -> _Settings:
    """Make settings of the options that a user passed.

    :param settings: the class of the settings
    :param function: the function that the user called, which `with_options` decorates;
        errors name it
    :param options: the keyword arguments
    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an option has a value of the wrong type, or does not exist

    """
    known: Mapping[str, object] = function.__signature__.parameters  # type: ignore[attr-defined]
    for name in options:
        if name not in known:
            raise TypeError(_unexpected(function, name, known))
    try:
        return settings(**options)
    except (TypeError, ValueError) as exc:
        error = ValueError if isinstance(exc, ValueError) else TypeError
        raise error(f"{_name(function)}(): {exc}") from exc.__cause__


def _unexpected(function: Callable[..., Any], name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # costs time; few programs need it

    text = f"{_name(function)}() got an unexpected keyword argument {name!r}"
    matches = get_close_matches(name, known, n=1)
    return text + "".join(f". Did you mean {match!r}?" for match in matches)


def _name(function: Callable[..., Any]) -> str:
    return function.__qualname__.removesuffix(".__init__")
