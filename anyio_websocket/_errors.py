"""The exceptions that users catch, and the reason why a connection ended.

::

    WebSocketError
    ├── HandshakeError              the connection was not opened
    │   ├── ConnectionTimeout       ... within ``connect_timeout``
    │   ├── ConnectionRejected      ... because the server responded with another status
    │   └── DisconnectionTimeout    the server did not finish the closing handshake
    └── ConnectionClosed            the connection is closed or closing
"""

from __future__ import annotations

import enum
from typing import Final


class CloseCode(enum.IntEnum):
    """The registered close codes (RFC 6455 sections 7.4.1 and 11.7).

    A member is an ``int``: it equals the number, and can be passed to
    `WebSocketConnection.aclose`. 3000 to 3999 are registered by libraries, and 4000 to
    4999 are free for applications; these are plain numbers.

    """

    # IANA's registry. The names are those of wsproto's CloseReason, because users of
    # trio-websocket compare with them; wsproto does not have 1014.
    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_FRAME_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXT = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE_FAILED = 1015


_KNOWN: Final = {int(code): code for code in CloseCode}


class CloseReason:
    """Why a connection ended (RFC 6455 sections 7.1.5 and 7.1.6).

    Two reasons are equal if they have the same code and the same text.

    :param code: the close code; 1005 if the peer's Close had none, 1006 if the
        connection ended without a Close
    :param reason: the text that came with the code; ``None`` if there was none

    """

    __slots__ = ("_code", "_reason")

    def __init__(self, code: int, reason: str | None) -> None:
        self._code: CloseCode | int = _KNOWN.get(code) or int(code)
        self._reason = reason

    @property
    def code(self) -> CloseCode | int:
        """The close code: a member of `CloseCode`, or a number if it has none."""
        return self._code

    @property
    def name(self) -> str:
        """The registered name of the code, or the name of the range that it is in."""
        code = self._code
        if isinstance(code, CloseCode):
            return code.name
        if 1000 <= code <= 2999:
            return "RFC_RESERVED"
        if 3000 <= code <= 3999:
            return "IANA_RESERVED"
        if 4000 <= code <= 4999:
            return "PRIVATE_RESERVED"
        return "INVALID_CODE"

    @property
    def reason(self) -> str | None:
        """The text that came with the code; ``None`` if there was none."""
        return self._reason

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CloseReason):
            return NotImplemented
        return (self._code, self._reason) == (other._code, other._reason)

    def __hash__(self) -> int:
        return hash((self._code, self._reason))

    def __reduce__(self) -> tuple[type[CloseReason], tuple[int, str | None]]:
        return CloseReason, (int(self._code), self._reason)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}<code={self.code:d}, name={self.name}, "
            f"reason={self.reason!r}>"
        )


class WebSocketError(Exception):
    """The base class of the exceptions that a peer or the network can cause."""


class HandshakeError(WebSocketError):
    """The opening handshake failed, so there is no connection.

    ``__cause__`` is the error of the network or of TLS, if there was one.

    """


class ConnectionTimeout(HandshakeError):
    """The connection was not open within ``connect_timeout``."""


class DisconnectionTimeout(HandshakeError):
    """The peer did not finish the closing handshake within ``disconnect_timeout``.

    The connection is closed nevertheless.

    """


class ConnectionRejected(HandshakeError):
    """The server responded to the handshake with a status other than 101.

    :param status_code: the HTTP status
    :param headers: the response's headers in order, with names in lower case
    :param body: the response's body, which may be cut; ``None`` if it had none

    """

    #: the HTTP status
    status_code: int
    #: the response's headers in order, with names in lower case
    headers: tuple[tuple[bytes, bytes], ...]
    #: the response's body; ``None`` if it had none. It is cut if it is long, slow or
    #: endless
    body: bytes | None

    def __init__(
        self,
        status_code: int,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        body: bytes | None = None,
    ) -> None:
        super().__init__(status_code, headers, body)
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        # Headers and body are not shown because they may carry cookies and tokens.
        return f"the server rejected the handshake with HTTP status {self.status_code}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}<status_code={self.status_code}>"


class ConnectionClosed(WebSocketError):
    """The connection is closed or closing, so the call cannot do its work.

    ``__cause__`` is the error of the network or of TLS, if there was one.

    :param reason: why the connection ended

    """

    #: why the connection ended
    reason: CloseReason | None

    def __init__(self, reason: CloseReason | None) -> None:
        super().__init__(reason)
        self.reason = reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.reason!r}>"
