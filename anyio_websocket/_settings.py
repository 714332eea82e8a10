"""What is made of the options: frozen settings, with their defaults and checks.

In: values for the options, which `_options` documents. Out: settings that hold only
values that can work.
"""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, NoReturn

from ._plain_http import HTTPHandler
from ._protocol import (
    MAX_HEAD_SIZE,
    Extension,
    Extensions,
    Identity,
    Origins,
    PerMessageDeflate,
    check_subprotocols,
)
from ._types import ByteStreamConnectable, Headers, SSLContext
from ._version import __version__

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
MAX_REDIRECTS: Final = 10  # as in websockets and most other clients
# bytes; holds most handshakes at once, and bounds what a peer that sends frames too
# early can make us keep
HANDSHAKE_RECEIVE_SIZE: Final = 8192


class ConnectionSettings:
    """What a connection needs to know, checked; see `ConnectionOptions`.

    An option that is not passed keeps its default, which is the attribute of the class.
    No dataclass, because to make four of them takes 5 % of the package's import time.

    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an option has a value of the wrong type

    """

    message_queue_size: float = MESSAGE_QUEUE_SIZE
    max_message_size: float = MAX_MESSAGE_SIZE
    receive_buffer_size: int | None = RECEIVE_BUFFER_SIZE
    connect_timeout: float | None = 10.0  # websockets' open timeout
    max_head_size: int = MAX_HEAD_SIZE
    disconnect_timeout: float | None = DISCONNECT_TIMEOUT
    send_timeout: float | None = 60.0  # nginx's send_timeout, Apache's Timeout
    compression: PerMessageDeflate | bool | None = None
    ping_interval: float | None = 20.0  # websockets'; below any proxy's idle time
    ping_timeout: float | None = 20.0  # websockets'
    decode_text: bool = True
    count_messages: bool = False
    on_event: Callable[[Any], object] | None = None
    #: what may be negotiated in the handshake
    negotiable: Extensions

    def __init__(self, **options: Any) -> None:
        vars(self).update(options)
        self._check()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings cannot be changed, such as {name}")

    def _check(self) -> None:
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
        check("send_timeout", self.send_timeout, none=True)
        check("ping_interval", self.ping_interval, none=True)
        check("ping_timeout", self.ping_timeout, none=True)
        check_flag("decode_text", self.decode_text)
        check_flag("count_messages", self.count_messages)
        _check_callback("on_event", self.on_event, "the event")
        vars(self).update(negotiable=Extensions.from_arguments(self.compression))

    @property
    def connect_seconds(self) -> float:
        """``connect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.connect_timeout is None else self.connect_timeout

    @property
    def disconnect_seconds(self) -> float:
        """``disconnect_timeout`` as a number that cancel scopes take."""
        return math.inf if self.disconnect_timeout is None else self.disconnect_timeout


class PingCallbacks(NamedTuple):
    """What an application wants to do about the Pings and Pongs of a peer."""

    on_ping: Callable[[bytes], object] | None
    on_pong: Callable[[bytes], object] | None
    auto_pong: bool

    @classmethod
    def checked(
        cls,
        on_ping: Callable[[bytes], object] | None,
        on_pong: Callable[[bytes], object] | None,
        auto_pong: bool,
    ) -> "PingCallbacks | None":
        """Check what a user passed; see `ClientStreamOptions`.

        :return: ``None`` if it is nothing, as with most connections
        :raises ValueError: if nobody could answer the Pings
        :raises TypeError: if one of them is of the wrong type
        """
        for name, callback in (("on_ping", on_ping), ("on_pong", on_pong)):
            _check_callback(name, callback, "the payload")
        check_flag("auto_pong", auto_pong)
        if not auto_pong and on_ping is None:
            raise ValueError(
                "auto_pong=False needs on_ping, a function that is told what to answer"
            )
        if auto_pong and on_ping is None and on_pong is None:
            return None
        return cls(on_ping, on_pong, auto_pong)


class ClientStreamSettings(ConnectionSettings):
    """What a client needs to know, checked; see `ClientStreamOptions`."""

    subprotocols: Iterable[str] | None = None
    extra_headers: Headers | None = None
    extensions: Iterable[Extension] | None = None
    auth: tuple[str, str] | None = None
    user_agent: str | None = f"anyio_websocket/{__version__}"
    origin: str | None = None
    cookies: Mapping[str, str] | None = None
    #: `auth`, `user_agent`, `origin`, `cookies` and `extra_headers`, checked
    identity: Identity
    on_ping: Callable[[bytes], object] | None = None
    on_pong: Callable[[bytes], object] | None = None
    auto_pong: bool = True
    #: these three, checked
    ping_callbacks: PingCallbacks | None

    def _check(self) -> None:
        super()._check()
        identity = Identity(
            auth=self.auth,
            user_agent=self.user_agent,
            origin=self.origin,
            cookies=self.cookies,
            extra_headers=self.extra_headers,
        )
        # An iterator can be read only once, so what was read is kept.
        vars(self).update(
            subprotocols=check_subprotocols(self.subprotocols),
            extra_headers=identity.extra,
            identity=identity,
            ping_callbacks=PingCallbacks.checked(
                self.on_ping, self.on_pong, self.auto_pong
            ),
        )
        if self.extensions is not None:
            vars(self).update(
                negotiable=Extensions.from_arguments(self.compression, self.extensions)
            )


class ClientSettings(ClientStreamSettings):
    """What a client needs to know that connects itself; see `ClientOptions`."""

    proxy: str | Literal[True] | None = True
    proxy_ssl: SSLContext | None = None
    server_hostname: str | None = None
    unix_path: str | os.PathLike[str] | None = None
    local_host: str | None = None
    via: ByteStreamConnectable | None = None
    max_redirects: int = 0
    cross_origin_redirects: bool = False

    def _check(self) -> None:
        super()._check()
        if self.proxy is not True:
            if self.proxy is not None and not isinstance(self.proxy, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    "proxy must be a URL, None for no proxy, or True for that of the "
                    "environment"
                )
            _check_text("proxy", self.proxy)
        _check_text("server_hostname", self.server_hostname)
        if self.unix_path is not None:
            path = self.unix_path
            if isinstance(path, os.PathLike):
                path = os.fspath(path)
            _check_text("unix_path", path)
            if "\0" in path[1:]:  # a leading one is Linux's "abstract"
                raise ValueError("unix_path has a NUL in it")
            vars(self).update(unix_path=path)
        _check_text("local_host", self.local_host)
        if self.local_host is not None:
            try:
                ip_address(self.local_host)
            except ValueError:
                raise ValueError(
                    f"local_host must be an IP address, not {self.local_host!r}"
                ) from None
        if self.via is not None and not isinstance(self.via, ByteStreamConnectable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "via must be an anyio.abc.ByteStreamConnectable or None, not "
                f"{type(self.via).__name__}"
            )
        check("max_redirects", self.max_redirects, kind=int, zero=True)
        if self.max_redirects > MAX_REDIRECTS:
            raise ValueError(
                f"max_redirects must be at most {MAX_REDIRECTS}, not "
                f"{self.max_redirects}"
            )
        check_flag("cross_origin_redirects", self.cross_origin_redirects)
        if self.cross_origin_redirects and self.max_redirects == 0:
            raise ValueError("cross_origin_redirects needs max_redirects, too")
        self._check_one_way()

    def _check_one_way(self) -> None:
        """Check that the options name one way to the server.

        :raises ValueError: if they contradict each other

        """
        ways = [
            name
            for name in ("unix_path", "via", "local_host")
            if getattr(self, name) is not None
        ]
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} exclude each other")
        by_proxy = ways in ([], ["local_host"])
        if self.proxy not in (True, None) and not by_proxy:
            raise ValueError(f"{ways[0]} and proxy exclude each other")
        if self.proxy_ssl is not None and (self.proxy is None or not by_proxy):
            raise ValueError("proxy_ssl is for a proxy, and there is none")
        if self.cross_origin_redirects and not by_proxy:
            raise ValueError(
                f"cross_origin_redirects cannot work with {ways[0]}, which leads to "
                "one server"
            )


class ServerSettings(ConnectionSettings):
    """What a server needs to know, checked; see `ServerOptions`."""

    origins: Iterable[str] | str | None = None
    handler_errors: Literal["log", "raise"] = "log"
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    # Mostly 8 KiB each, 80 with a full head; no other library has a limit to compare
    # with.
    max_pending_handshakes: int | None = 1000
    http_handler: HTTPHandler | None = None
    max_request_body: int = 65_536  # bytes; as much as a head may have
    #: `origins`, checked
    allowed_origins: Origins

    def _check(self) -> None:
        super()._check()
        vars(self).update(allowed_origins=Origins(self.origins))
        if self.handler_errors not in ("log", "raise"):
            raise ValueError(
                f'handler_errors must be "log" or "raise", not {self.handler_errors!r}'
            )
        check("max_connections", self.max_connections, kind=int, none=True)
        check(
            "max_connections_per_address",
            self.max_connections_per_address,
            kind=int,
            none=True,
        )
        check(
            "max_pending_handshakes", self.max_pending_handshakes, kind=int, none=True
        )
        check("max_request_body", self.max_request_body, kind=int, zero=True)


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


def _check_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str or None, not {type(value).__name__}")
    if value == "":
        raise ValueError(f"{name} must not be empty")


def _check_callback(name: str, callback: object, argument: str) -> None:
    if callback is None:
        return
    if not callable(callback) or inspect.iscoroutinefunction(callback):
        raise TypeError(
            f"{name} must be a plain function of {argument}, not {callback!r}; it can "
            "start a task in a nursery of yours"
        )


def check_flag(name: str, value: object) -> None:
    """Check a flag that a user passed: ``0`` may be meant as a number.

    :raises TypeError: if it is not a bool

    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {value!r}")
