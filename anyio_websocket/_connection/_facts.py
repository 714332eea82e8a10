"""`ConnectionFacts`: what is known of an open connection; the attributes of users.

What the handshake agreed on comes in, and what the parts of the connection know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from anyio import TypedAttributeProvider

from .._endpoint import Endpoint, address_of
from .._errors import CloseReason
from .._protocol import PerMessageDeflate
from ._core import ConnectionCore
from ._statistics import ConnectionStatistics, statistics_of

SWITCHING_PROTOCOLS: Final = 101


class ConnectionFacts(TypedAttributeProvider):
    """The part of `WebSocketConnection` that only answers questions.

    :param core: the inside of the connection
    :param path: path and query of the request
    :param subprotocol: what was agreed on
    :param compression: what was agreed on
    :param handshake_headers: those of the peer

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

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection is closed or closing; ``None`` while it is open.

        After a call of `aclose` this is the reason that was passed, until the peer's
        Close replaces it (RFC 6455 section 7.1.5). 1005 stands for a Close without a
        code, and 1006 for a connection that ended without a Close.
        """
        return self._core.close_state.reason

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
        """This side's address, or a description of the stream if it has none."""
        return self._core.transport.local

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address, or a description of the stream if it has none."""
        return self._core.transport.remote

    @property
    def local_address(self) -> tuple[str, int] | None:
        """This side's IP address and port; ``None`` if the stream has none.

        It stays known when the connection is closed.
        """
        return address_of(self.local)

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The peer's IP address and port; ``None`` if the stream has none.

        UNIX sockets and streams in memory have none. It stays known when the connection
        is closed.
        """
        return address_of(self.remote)

    @property
    def path(self) -> str:
        """The requested path with its query, not decoded."""
        return self._path

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol; ``None`` if there is none."""
        return self._subprotocol

    @property
    def compression(self) -> PerMessageDeflate | None:
        """How messages are compressed, as negotiated; ``None`` if they are not.

        See RFC 7692.
        """
        return self._compression

    @property
    def handshake_status(self) -> int:
        """The HTTP status of the server's response to the opening handshake.

        That is 101 on both sides (RFC 6455 section 4.2.2): any other is a rejection,
        and there is no connection. It is in `ConnectionRejected.status_code` then.
        """
        return SWITCHING_PROTOCOLS

    @property
    def handshake_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of the peer's part of the opening handshake.

        Names are in lower case. On a client, the headers of the handshake itself are
        left out.
        """
        return self._handshake_headers

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """What ``extra()`` knows: the attributes, with functions that look them up."""
        from .._streams import attributes_of

        return {**self._core.transport.extra_attributes, **attributes_of(self)}

    @property
    def latency(self) -> float | None:
        """Seconds from the last answered Ping to its Pong; ``None`` before the first.

        The keepalive sends a Ping every ``ping_interval`` seconds. A Ping waits until
        the frame that is being sent is written, and that time is included.
        """
        return self._core.pings.latency

    def statistics(self) -> ConnectionStatistics:
        """Return the numbers of this moment: bytes, messages, what waits.

        Messages are counted if the option ``count_messages`` is set.
        """
        return statistics_of(self._core)
