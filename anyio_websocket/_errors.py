"""The exceptions that users catch, and the reason why a connection ended.

::

    WebSocketError
    ├── HandshakeError              the connection was not opened
    │   ├── ConnectionTimeout       ... within ``connect_timeout``
    │   ├── ConnectionRejected      ... because the server responded with another status
    │   ├── ProxyError              ... because of the proxy
    │   └── DisconnectionTimeout    the server did not finish the closing handshake
    └── ConnectionClosed            the connection is closed or closing
"""

from __future__ import annotations

import enum
from typing import Final, Self


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


# After these, ``async for`` ends. Browsers send no code if a page gives none.
_CLEAN: Final = (1000, 1001, 1005)
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

    # Whether it would happen again: how the program uses another library is wrong.
    _is_mistake: bool = False


class ConnectionTimeout(HandshakeError):
    """The connection was not open within ``connect_timeout``."""


class ProxyError(HandshakeError):
    """The proxy could not be reached, or did not connect to the server.

    Its text names both. ``__cause__`` is the error of the network or of TLS, if there
    was one.

    :param message: what happened
    :param status_code: the HTTP status with which the proxy responded
    :param refused: whether a SOCKS proxy refused

    """

    #: the HTTP status with which the proxy responded, such as 407 if it wants a user
    #: name and a password; ``None`` if it did not respond, or is a SOCKS proxy
    status_code: int | None
    #: whether a SOCKS proxy refused, and would refuse again: it wants a user name and a
    #: password, or other ones, or does not allow or know such a connection. An HTTP
    #: proxy says that by its status
    refused: bool

    def __init__(
        self, message: str, status_code: int | None = None, *, refused: bool = False
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.refused = refused


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

    # The server that sent the response, and the path of the request; the library sets
    # them.
    _server: str = ""
    _path: str = ""
    # Why a redirect was not followed.
    _reason: str = ""

    def from_server(self, server: str, path: str) -> Self:
        self._server = server
        self._path = path
        return self

    def not_followed(self, reason: str) -> Self:
        self._reason = reason
        return self

    def __str__(self) -> str:
        # Headers and body are not shown because they may carry cookies and tokens.
        if self._server:
            text = (
                f"the server at {self._server} answered {self.status_code} to the "
                f"request for {self._path}"
            )
            if self._reason:
                text += f". The redirect was not followed: {self._reason}"
            return text
        return f"the server rejected the handshake with HTTP status {self.status_code}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}<status_code={self.status_code}>"


class ConnectionClosed(WebSocketError):
    """The connection is closed or closing, so the call cannot do its work.

    Its text is a sentence: which side closed, with which code and reason, or why the
    connection ended without a closing handshake (1006). ``__cause__`` is the error of
    the network or of TLS, if there was one.

    :param reason: why the connection ended

    """

    # Defaults of the class, because users have subclasses that do not call __init__.
    #: why the connection ended
    reason: CloseReason | None = None
    #: the Close of this side, even if it was lost with the stream; ``None`` if this
    #: side made none
    sent: CloseReason | None = None
    #: the Close of the peer; ``None`` if none was received
    received: CloseReason | None = None
    #: if a call that sends raised it: whether no byte of what it was to send has left,
    #: so that it is safe to send it again over another connection
    nothing_sent: bool = False
    _peer_first: bool = False
    _detail: str = ""  # what the Closes do not tell
    # Whether it would happen again: this side failed, and not the network.
    _failed_here: bool = False

    def __init__(self, reason: CloseReason | None) -> None:
        super().__init__(reason)
        self.reason = reason

    def with_facts(
        self,
        sent: CloseReason | None,
        received: CloseReason | None,
        *,
        peer_first: bool,
        detail: str,
        failed_here: bool = False,
    ) -> Self:
        self.sent = sent
        self.received = received
        self._peer_first = peer_first
        self._detail = detail
        self._failed_here = failed_here
        return self

    @property
    def clean(self) -> bool:
        """Whether it was a normal end: code 1000 or 1001, or a Close without a code.

        ``async for`` ends then instead of raising.
        """
        return self.reason is not None and self.reason.code in _CLEAN

    def __str__(self) -> str:
        reason, sent, received = self.reason, self.sent, self.received
        if reason is None:
            return "the connection is closed"
        if reason.code == CloseCode.ABNORMAL_CLOSURE:
            why = self._detail or reason.reason or "the stream ended"
            return f"the connection ended without a closing handshake (1006): {why}"
        if received is not None and self._peer_first:
            return f"the peer closed the connection with {_in_words(received)}"
        if sent is None:
            return f"the connection was closed with {_in_words(reason)}"
        text = f"this side closed the connection with {_in_words(sent)}"
        if received is not None and received != sent:
            text += f", and the peer with {_in_words(received)}"
        return f"{text}; {self._detail}" if self._detail else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.reason!r}>"


def _in_words(reason: CloseReason) -> str:
    if reason.code == CloseCode.NO_STATUS_RCVD:
        return "no code (1005)"
    text = f"code {reason.code:d} ({reason.name})"
    # Quoted, because the peer may have chosen it.
    return f"{text}, reason {reason.reason!r}" if reason.reason else text


def is_closed_by_us(exc: ConnectionClosed) -> bool:
    """Say whether this side's application closed first, by ``aclose()``."""
    return not exc._peer_first  # pyright: ignore[reportPrivateUsage]


def cause_in_words(cause: BaseException | None) -> str:
    """Say why a connection was lost; ``""`` if there is no exception that says it."""
    if cause is None:
        return ""
    # anyio's BrokenResourceError has no text, but its cause has.
    return str(cause) or cause_in_words(cause.__cause__) or type(cause).__name__
