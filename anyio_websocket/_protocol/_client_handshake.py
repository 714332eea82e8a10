"""The client's side of the opening handshake (RFC 6455 section 4.1), without I/O.

It makes the request, and parses and checks the server's response.
"""

from collections.abc import Container, Iterable
from typing import Final, NamedTuple

import h11

from ._extensions import MAX_SHOWN, NO_EXTENSIONS, BadExtensions, Extensions
from ._handshake_key import accept_key, generate_key
from ._head_reader import MAX_HEAD_SIZE
from ._http import (
    TARGET,
    BadHead,
    ExtraHeaders,
    check_host,
    group_headers,
    has_token,
    is_token,
    parse_list,
    validate_headers,
)
from ._responses import HandshakeFailure, ResponseReader

MAX_REJECT_BODY: Final = 65536  # bytes of the body that a rejection keeps


class Accepted(NamedTuple):
    """The server accepted the connection."""

    subprotocol: str | None
    headers: tuple[tuple[bytes, bytes], ...]  # without those of the handshake itself
    extensions: Extensions
    trailing: bytes  # received after the response


class Rejected(NamedTuple):
    """The server rejected the connection."""

    status_code: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class ClientHandshake:
    """The client's side of one handshake.

    :param host: the Host header, unless the extra headers have one
    :param target: path and query
    :param subprotocols: the subprotocols to offer, preferred ones first
    :param extra_headers: headers to add to the request
    :param extensions: the extensions to offer
    :param max_head_size: bytes of the head of a response
    :raises ValueError: if an argument cannot be sent, or if the handshake sets one of
        the extra headers itself
    :raises TypeError: if ``subprotocols`` is a ``str`` or has elements other than
        ``str``, or if a header is neither ``bytes`` nor ``str``

    """

    def __init__(
        self,
        *,
        host: str,
        target: str,
        subprotocols: Iterable[str] | None = None,
        extra_headers: ExtraHeaders = None,
        extensions: Extensions = NO_EXTENSIONS,
        max_head_size: int = MAX_HEAD_SIZE,
    ) -> None:
        # The texts do not show the values: there may be a password in one.
        _check_host(host)
        if not TARGET.fullmatch(target):
            raise ValueError("the target cannot be sent in a request line")
        #: path and query
        self.target = target
        self._subprotocols = check_subprotocols(subprotocols)
        header, self._extensions = extensions.offer()
        self._key = generate_key()
        extra = validate_headers(extra_headers)
        hosts = [value for name, value in extra if name.lower() == b"host"]
        if len(hosts) > 1:
            raise ValueError("extra_headers may have only one Host")
        if hosts and b"@" in hosts[0]:
            raise ValueError(
                "Host in extra_headers must not have a user name or a password"
            )
        headers = [
            (b"Host", hosts[0] if hosts else host.encode("ascii")),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", self._key),
            (b"Sec-WebSocket-Version", b"13"),
        ]
        if self._subprotocols:
            offered = ", ".join(self._subprotocols).encode()
            headers.append((b"Sec-WebSocket-Protocol", offered))
        if header:
            headers.append((b"Sec-WebSocket-Extensions", header.encode()))
        headers += [field for field in extra if field[0].lower() != b"host"]
        # h11 parses the response, and needs to know the request for that.
        self._connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=target, headers=headers)
        self._fields = headers
        self._request = b"".join(
            self._connection.send(event) or b""
            for event in (request, h11.EndOfMessage())
        )
        self._reader = ResponseReader(self._connection, max_head_size, "server")
        self._rejection: Rejected | None = None  # the body is in `_body`
        self._body = bytearray()

    def request(self) -> bytes:
        """Return the request, ready to be sent."""
        return self._request

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the request, for somebody else to send; Host first."""
        return self._fields

    def receive_data(self, data: bytes) -> Accepted | Rejected | None:
        """Add received bytes; return the response once it is complete.

        :raises HandshakeFailure: if the bytes are not a valid response

        """
        if self._rejection is not None:
            return self._read_body(data)
        response = self._reader.feed(data)
        if response is None:
            return None
        headers = [(bytes(name), bytes(value)) for name, value in response.headers]
        if response.status_code == 101:
            if response.http_version != b"1.1":
                raise HandshakeFailure("the server switches protocols over HTTP/1.0")
            return self.check_upgrade(headers, self._reader.trailing)
        self._rejection = Rejected(response.status_code, tuple(headers), b"")
        return self._read_body(self._reader.trailing)

    def receive_eof(self) -> Rejected:
        """Return the rejection whose body ends with the stream.

        :raises HandshakeFailure: if the stream ended before the end of a head

        """
        if (rejection := self.partial_rejection()) is None:
            raise HandshakeFailure(
                "the server closed the connection before it responded"
            )
        return rejection

    def partial_rejection(self) -> Rejected | None:
        """Return a rejection with the body so far; ``None`` if there is none."""
        if self._rejection is None:
            return None
        return self._rejection._replace(body=bytes(self._body[:MAX_REJECT_BODY]))

    def _read_body(self, data: bytes) -> Rejected | None:
        if data:
            self._connection.receive_data(data)
        try:
            while isinstance(event := self._connection.next_event(), h11.Data):
                self._body += event.data
            complete = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError:
            complete = True  # a broken body does not change the rejection
        complete = complete or len(self._body) >= MAX_REJECT_BODY
        return self.partial_rejection() if complete else None

    def check_upgrade(
        self, headers: list[tuple[bytes, bytes]], trailing: bytes
    ) -> Accepted:
        """Check a response with status 101.

        :param headers: its headers, with names in lower case
        :param trailing: what was received after it
        :raises HandshakeFailure: if it does not upgrade to a WebSocket, or agrees to
            something that was not offered

        """
        fields = group_headers(headers)
        try:
            # RFC 6455 section 4.1: this value alone; others would add more layers.
            upgrade = parse_list(fields, b"upgrade")
            if [protocol.lower() for protocol in upgrade] != ["websocket"]:
                raise HandshakeFailure("the response's Upgrade header is not websocket")
            if not has_token(fields, b"connection", "upgrade"):
                raise HandshakeFailure(
                    "the response's Connection header has no token Upgrade"
                )
            subprotocols = [
                value.decode("ascii")
                for value in fields.get(b"sec-websocket-protocol", ())
            ]
            chosen = parse_list(fields, b"sec-websocket-extensions")
        except UnicodeDecodeError:
            raise HandshakeFailure("a header of the response is not ASCII") from None
        if fields.get(b"sec-websocket-accept") != [accept_key(self._key)]:
            raise HandshakeFailure("the response's Sec-WebSocket-Accept is wrong")
        if len(subprotocols) > 1:
            raise HandshakeFailure("the server chose more than one subprotocol")
        if subprotocols and subprotocols[0] not in self._subprotocols:
            raise HandshakeFailure(
                f"the server chose subprotocol {subprotocols[0][:MAX_SHOWN]!r}, "
                "which was not offered"
            )
        try:
            extensions = self._extensions.accept_response(chosen)
        except BadExtensions as exc:
            raise HandshakeFailure(str(exc)) from exc.__cause__
        return Accepted(
            subprotocols[0] if subprotocols else None,
            tuple(field for field in headers if field[0] not in _HANDSHAKE_HEADERS),
            extensions,
            trailing,
        )


_HANDSHAKE_HEADERS: Final = frozenset(
    {
        b"connection",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"upgrade",
    }
)


def _check_host(host: str) -> None:
    if "@" in host:
        raise ValueError("the host must not have a user name or a password")
    try:
        check_host(host)
    except BadHead:
        raise ValueError(
            "the host cannot be sent in a Host header: it must be a name or an "
            "address, with or without a port"
        ) from None


def check_subprotocols(subprotocols: Iterable[str] | None) -> tuple[str, ...]:
    """Check the subprotocols that a client is to offer.

    :raises ValueError: if one cannot be sent, or is there twice
    :raises TypeError: if they are one text, or one of them is not a text

    """
    if subprotocols is None:
        return ()
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list of str, not a str")
    checked = tuple(subprotocols)
    for index, name in enumerate(checked):
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a subprotocol must be a str, not {type(name).__name__}")
        if not is_token(name):  # not shown: some servers take passwords there
            raise ValueError(
                f"element {index} of subprotocols is not a token of HTTP: letters, "
                "digits and !#$%&'*+-.^_`|~"
            )
    if len(set(checked)) < len(checked):
        raise ValueError("a subprotocol is offered twice")
    return checked


def first_proposed(subprotocols: Iterable[str], proposed: Container[str]) -> str | None:
    """Return the first subprotocol that the client proposes; ``None`` without one.

    :param subprotocols: those that the server speaks, the preferred one first
    :param proposed: those of the client
    :raises ValueError: see `check_subprotocols`
    :raises TypeError: see `check_subprotocols`

    """
    checked = check_subprotocols(subprotocols)
    return next((name for name in checked if name in proposed), None)
