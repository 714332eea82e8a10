"""The client's side of the opening handshake (RFC 6455 section 4.1), without I/O.

In: what the application asks for; received bytes. Out: a request, and what the server
made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from ._extensions import NO_EXTENSIONS, BadExtensions, Extensions
from ._http import (
    STATUS_LINE,
    STATUS_START,
    TARGET,
    BadHead,
    ExtraHeaders,
    HeadReader,
    group_headers,
    has_token,
    is_token,
    parse_list,
    validate_headers,
)

MAX_REJECT_BODY: Final = 65536  # bytes that a client keeps of a refusal's body
MAX_INTERIM: Final = 10  # 1xx answers that a client skips
MAX_SHOWN: Final = 60  # characters of the peer's that an exception tells

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


class Accepted(NamedTuple):
    """What the server agreed to."""

    subprotocol: str | None
    headers: tuple[tuple[bytes, bytes], ...]  # without the handshake's own
    extensions: Extensions
    trailing: bytes


class Rejected(NamedTuple):
    """How the server refused."""

    status_code: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class HandshakeFailure(Exception):
    """What the server sent is no answer to the handshake; the text says why."""


class ClientHandshake:
    """The client's side of one handshake.

    :param host: what to say in Host, unless the extra headers do
    :param target: path and query
    :param subprotocols: what to offer, best first
    :param extra_headers: headers to send as well
    :param extensions: what to offer of them
    :raises ValueError: if one of them cannot be sent, or a header may not be given
    :raises TypeError: if subprotocols are one text, or headers no pairs

    """

    def __init__(
        self,
        *,
        host: str,
        target: str,
        subprotocols: Iterable[str] | None = None,
        extra_headers: ExtraHeaders = None,
        extensions: Extensions = NO_EXTENSIONS,
    ) -> None:
        # Not shown: a user may have left a password in.
        if not _VISIBLE.fullmatch(host):
            raise ValueError("the host cannot stand in a Host header")
        if not TARGET.fullmatch(target):
            raise ValueError("the target cannot stand in a request line")
        #: path and query
        self.target = target
        self._subprotocols = _checked_subprotocols(subprotocols)
        header, self._extensions = extensions.offer()
        self._key = generate_nonce()
        extra = validate_headers(extra_headers)
        hosts = [value for name, value in extra if name.lower() == b"host"]
        if len(hosts) > 1:
            raise ValueError("there may be one Host among the extra headers")
        headers = [
            (b"Host", hosts[0] if hosts else host.encode("ascii")),
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Key", self._key),
            (b"Sec-WebSocket-Version", b"13"),
        ]
        if self._subprotocols:
            proposed = ", ".join(self._subprotocols).encode()
            headers.append((b"Sec-WebSocket-Protocol", proposed))
        if header:
            headers.append((b"Sec-WebSocket-Extensions", header.encode()))
        headers += [field for field in extra if field[0].lower() != b"host"]
        # h11 parses the answer, which depends on what was asked.
        self._connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=target, headers=headers)
        self._request = b"".join(
            self._connection.send(event) or b""
            for event in (request, h11.EndOfMessage())
        )
        self._reader = HeadReader(STATUS_LINE, STATUS_START)
        self._interim = 0
        self._rejection: Rejected | None = None  # without its body
        self._body = bytearray()

    def request(self) -> bytes:
        """Return the request."""
        return self._request

    def receive_data(self, data: bytes) -> Accepted | Rejected | None:
        """Take bytes; return the answer once it is complete.

        :raises HandshakeFailure: if it is none

        """
        if self._rejection is not None:
            return self._read_body(data)
        while True:
            try:
                found = self._reader.feed(data)
            except BadHead as exc:
                raise HandshakeFailure(
                    f"the server did not answer in HTTP/1.1: {exc.reason}"
                ) from None
            if found is None:
                return None
            rest = self._reader.trailing
            response = self._parse(found)
            if response.status_code == 101:
                return self._check(response, rest)
            headers = tuple((bytes(k), bytes(v)) for k, v in response.headers)
            if response.status_code >= 200:
                self._rejection = Rejected(response.status_code, headers, b"")
                return self._read_body(rest)
            # RFC 9110 section 15.2: 1xx may come before the answer.
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise HandshakeFailure(f"more than {MAX_INTERIM} interim answers")
            self._reader = HeadReader(STATUS_LINE, STATUS_START)
            data = rest

    def receive_eof(self) -> Rejected:
        """Return the answer that the end of the stream completes.

        :raises HandshakeFailure: if it leaves the answer incomplete

        """
        if (rejection := self.partial_rejection()) is None:
            raise HandshakeFailure(
                "the server closed the connection before it answered"
            )
        return rejection

    def partial_rejection(self) -> Rejected | None:
        """Return a refusal whose body is not complete, ``None`` if there is none."""
        if self._rejection is None:
            return None
        return self._rejection._replace(body=bytes(self._body[:MAX_REJECT_BODY]))

    def _parse(self, head: bytes) -> h11.Response | h11.InformationalResponse:
        self._connection.receive_data(head)
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            raise HandshakeFailure("the server did not answer in HTTP/1.1") from None
        assert isinstance(event, h11.Response | h11.InformationalResponse)
        return event

    def _read_body(self, data: bytes) -> Rejected | None:
        if data:
            self._connection.receive_data(data)
        complete = False
        try:
            while isinstance(event := self._connection.next_event(), h11.Data):
                self._body += event.data
            complete = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError:
            complete = True  # what is broken in there does not change the refusal
        complete = complete or len(self._body) >= MAX_REJECT_BODY
        return self.partial_rejection() if complete else None

    def _check(
        self, response: h11.Response | h11.InformationalResponse, rest: bytes
    ) -> Accepted:
        headers = [(bytes(name), bytes(value)) for name, value in response.headers]
        fields = group_headers(headers)
        if response.http_version != b"1.1":
            raise HandshakeFailure("the server switches protocols over HTTP/1.0")
        try:
            # RFC 6455 section 4.1: this value alone, more would be more layers
            upgrade = parse_list(fields, b"upgrade")
            if [protocol.lower() for protocol in upgrade] != ["websocket"]:
                raise HandshakeFailure("the answer's Upgrade is not websocket")
            if not has_token(fields, b"connection", "upgrade"):
                raise HandshakeFailure("the answer's Connection has no token Upgrade")
            subprotocols = [
                value.decode("ascii")
                for value in fields.get(b"sec-websocket-protocol", ())
            ]
            chosen = parse_list(fields, b"sec-websocket-extensions")
        except UnicodeDecodeError:
            raise HandshakeFailure("a header of the answer is not ASCII") from None
        if fields.get(b"sec-websocket-accept") != [generate_accept_token(self._key)]:
            raise HandshakeFailure("the answer's Sec-WebSocket-Accept is wrong")
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
            rest,
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


def _checked_subprotocols(subprotocols: Iterable[str] | None) -> tuple[str, ...]:
    if subprotocols is None:
        return ()
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list of texts, not one text")
    checked = tuple(subprotocols)
    for name in checked:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a subprotocol must be a str, not {name!r}")
        if not is_token(name):
            raise ValueError(f"subprotocol {name!r} is not a token of HTTP")
    if len(set(checked)) < len(checked):
        raise ValueError("a subprotocol is offered twice")
    return checked
