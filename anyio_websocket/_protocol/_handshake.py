"""The opening handshake without I/O (RFC 6455 section 4), both sides.

In: received bytes, and what the application decides. Out: requests, answers, and what
the two sides agreed on.

h11 parses what the peer sends, once `HeadReader` has found it whole, within limits and
strict; wsproto makes the nonce and the accept token. All rules of the upgrade itself
are here, for each of them has been somebody's vulnerability.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from ._http import (
    REQUEST_LINE,
    REQUEST_START,
    STATUS_LINE,
    STATUS_START,
    TARGET,
    BadHead,
    HeadReader,
    answer,
    check_host,
    checked_headers,
    has_token,
    head,
    is_token,
    list_of,
    path_of,
    values_of,
)
from ._origins import Origins

MAX_REJECT_BODY: Final = 65536  # bytes that a client keeps of a refusal's body
MAX_INTERIM: Final = 10  # 1xx answers that a client skips
MAX_SHOWN: Final = 60  # characters of the peer's that an exception tells

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")

ExtraHeaders = Iterable[tuple[bytes, bytes] | tuple[str, str]] | None


class Request(NamedTuple):
    """What a client asks for."""

    target: str  # path and query, not decoded
    headers: list[tuple[bytes, bytes]]  # without those that stand for themselves here
    subprotocols: tuple[str, ...]
    extensions: tuple[str, ...]  # each offer as it came
    host: str
    origin: str | None


class Refusal(NamedTuple):
    """A request that is none: to be answered, and the connection closed."""

    status_code: int
    response: bytes
    reason: str  # for the log


class ServerHandshake:
    """The server's side of one handshake.

    :param origins: which web pages may connect, see `Origins`

    """

    def __init__(self, *, origins: Origins) -> None:
        self._origins = origins
        self._reader = HeadReader(REQUEST_LINE, REQUEST_START)
        self._key = b""
        self._subprotocols: tuple[str, ...] = ()

    def receive(self, data: bytes) -> Request | Refusal | None:
        """Take bytes; return what became of the request, ``None`` if more is needed."""
        try:
            request = self._reader.feed(data)
            return None if request is None else self._check(request)
        except BadHead as exc:
            return self._refuse(exc.status_code, exc.reason)
        except UnicodeDecodeError:
            return self._refuse(400, "a header of the handshake is not ASCII")

    @property
    def trailing(self) -> bytes:
        """What came behind the request: the first frames."""
        return self._reader.rest

    def _check(self, request: bytes) -> Request | Refusal:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(request)
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            if request.lower().count(b"\nhost:") != 1:  # h11 does not say it safely
                raise BadHead(400, "there must be one Host header") from None
            raise BadHead(400, "this is not an HTTP/1.1 request") from None
        assert isinstance(event, h11.Request)  # the head is complete
        headers = [(bytes(name), bytes(value)) for name, value in event.headers]
        if event.http_version != b"1.1":
            return self._refuse(505, "the version of HTTP must be 1.1")
        if event.method != b"GET":
            return self._refuse(405, "the method must be GET", (b"Allow", b"GET"))
        if values_of(headers, b"transfer-encoding") or any(
            value.strip(b"0") for value in values_of(headers, b"content-length")
        ):
            return self._refuse(400, "the request must not have a body")
        target = path_of(event.target.decode("ascii"))
        host = _only(headers, b"host").decode("ascii")
        check_host(host)
        if not has_token(headers, b"connection", "upgrade"):
            raise BadHead(400, "Connection has no token Upgrade")
        if not has_token(headers, b"upgrade", "websocket"):
            raise BadHead(400, "Upgrade has no token websocket")
        version = values_of(headers, b"sec-websocket-version")
        if not version:
            raise BadHead(400, "there is no Sec-WebSocket-Version")
        if version != [b"13"]:
            return self._refuse(
                426,
                "the version of WebSocket must be 13",
                (b"Upgrade", b"websocket"),  # RFC 9110 section 15.5.22
                (b"Sec-WebSocket-Version", b"13"),
            )
        self._key = _only(headers, b"sec-websocket-key")
        _check_key(self._key)
        self._subprotocols = tuple(list_of(headers, b"sec-websocket-protocol"))
        if not all(map(is_token, self._subprotocols)):
            raise BadHead(400, "a subprotocol is not a token")
        extensions = tuple(list_of(headers, b"sec-websocket-extensions"))
        origin = None
        if values_of(headers, b"origin"):
            origin = _only(headers, b"origin").decode("ascii")
        if not self._origins.allow(origin, host):
            return self._refuse(403, "pages of this origin may not connect")
        return Request(
            target,
            [field for field in headers if field[0] not in _KEPT_FROM_SERVERS],
            self._subprotocols,
            extensions,
            host,
            origin,
        )

    def accept(
        self, *, subprotocol: str | None = None, extra_headers: ExtraHeaders = None
    ) -> bytes:
        """Make the answer that opens the connection.

        :param subprotocol: one of those that were proposed, ``None`` for none
        :param extra_headers: headers to send as well
        :raises ValueError: if the subprotocol was not proposed, or a header may not
            be sent

        """
        headers = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", generate_accept_token(self._key)),
        ]
        if subprotocol is not None:
            if subprotocol not in self._subprotocols:
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not among those that the client "
                    f"proposed: {', '.join(self._subprotocols) or 'none'}"
                )
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        headers += checked_headers(extra_headers)
        return head(b"HTTP/1.1 101 Switching Protocols", headers)

    def reject(
        self,
        status_code: int,
        *,
        extra_headers: ExtraHeaders = None,
        body: bytes | None = None,
    ) -> bytes:
        """Make the answer that refuses the connection.

        :param status_code: the status, 200 to 999
        :param extra_headers: headers to send as well
        :param body: what to say, ``None`` for nothing
        :raises ValueError: if that is no final answer, or a header may not be sent
        :raises TypeError: if the status is no int, or the body no bytes

        """
        return answer(status_code, checked_headers(extra_headers), body)

    def _refuse(
        self, status_code: int, reason: str, *extra: tuple[bytes, bytes]
    ) -> Refusal:
        fields = [(b"Content-Type", b"text/plain; charset=utf-8"), *extra]
        body = f"{reason}\n".encode()
        return Refusal(status_code, answer(status_code, fields, body), reason)


_KEPT_FROM_SERVERS: Final = frozenset(
    {b"host", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


def _only(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    values = values_of(headers, name)
    if len(values) != 1:
        title = name.decode().title()
        raise BadHead(400, f"there must be one {title} header, not {len(values)}")
    return values[0]


def _check_key(key: bytes) -> None:
    try:
        nonce = binascii.a2b_base64(key, strict_mode=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != 16:  # RFC 6455 section 4.2.1
        raise BadHead(400, "Sec-WebSocket-Key is not 16 bytes in base64")


class Accepted(NamedTuple):
    """What the server agreed to."""

    subprotocol: str | None
    headers: tuple[tuple[bytes, bytes], ...]  # without the handshake's own
    extensions: tuple[str, ...]
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
    ) -> None:
        # Not shown: a user may have left a password in.
        if not _VISIBLE.fullmatch(host):
            raise ValueError("the host cannot stand in a Host header")
        if not TARGET.fullmatch(target):
            raise ValueError("the target cannot stand in a request line")
        #: path and query
        self.target = target
        self._subprotocols = _checked_subprotocols(subprotocols)
        self._key = generate_nonce()
        extra = checked_headers(extra_headers)
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
            offer = ", ".join(self._subprotocols).encode()
            headers.append((b"Sec-WebSocket-Protocol", offer))
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

    def receive(self, data: bytes) -> Accepted | Rejected | None:
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
            rest = self._reader.rest
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
        if response.http_version != b"1.1":
            raise HandshakeFailure("the server switches protocols over HTTP/1.0")
        try:
            # RFC 6455 section 4.1: this value alone, more would be more layers
            upgrade = list_of(headers, b"upgrade")
            if [protocol.lower() for protocol in upgrade] != ["websocket"]:
                raise HandshakeFailure("the answer's Upgrade is not websocket")
            if not has_token(headers, b"connection", "upgrade"):
                raise HandshakeFailure("the answer's Connection has no token Upgrade")
            subprotocols = [
                value.decode("ascii")
                for value in values_of(headers, b"sec-websocket-protocol")
            ]
            extensions = list_of(headers, b"sec-websocket-extensions")
        except UnicodeDecodeError:
            raise HandshakeFailure("a header of the answer is not ASCII") from None
        if values_of(headers, b"sec-websocket-accept") != [
            generate_accept_token(self._key)
        ]:
            raise HandshakeFailure("the answer's Sec-WebSocket-Accept is wrong")
        if len(subprotocols) > 1:
            raise HandshakeFailure("the server chose more than one subprotocol")
        if subprotocols and subprotocols[0] not in self._subprotocols:
            raise HandshakeFailure(
                f"the server chose subprotocol {subprotocols[0][:MAX_SHOWN]!r}, "
                "which was not offered"
            )
        if extensions:
            raise HandshakeFailure(
                f"the server chose extension {extensions[0][:MAX_SHOWN]!r}, "
                "which was not offered"
            )
        return Accepted(
            subprotocols[0] if subprotocols else None,
            tuple(field for field in headers if field[0] not in _KEPT_FROM_CLIENTS),
            (),
            rest,
        )


_KEPT_FROM_CLIENTS: Final = frozenset(
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
