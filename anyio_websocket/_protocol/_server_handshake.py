"""The server's side of the opening handshake (RFC 6455 section 4.2), without I/O.

It parses and checks the request, and makes the response that the application decides
on.

h11 parses a head once `HeadReader` has found it to be complete, within the limits and
strictly formed. The rules of the upgrade itself are here and in ``_client_handshake``,
and not left to a library, because each of them was a vulnerability somewhere.
"""

from __future__ import annotations

import binascii
from typing import Final, NamedTuple

import h11

from ._extensions import NO_EXTENSIONS, Extensions
from ._handshake_key import accept_key
from ._http import (
    COMMON_NAMES,
    MAX_HEAD_SIZE,
    REQUEST_LINE,
    REQUEST_START,
    BadHead,
    ExtraHeaders,
    Fields,
    HeadReader,
    check_host,
    group_headers,
    has_token,
    is_token,
    parse_list,
    parse_target,
    serialize_head,
    serialize_response,
    validate_headers,
)
from ._origins import Origins


class Request(NamedTuple):
    """A valid request for a WebSocket connection."""

    target: str  # path and query, not decoded
    # without Host, Sec-WebSocket-Protocol and Sec-WebSocket-Extensions
    headers: tuple[tuple[bytes, bytes], ...]
    subprotocols: tuple[str, ...]
    host: str
    origin: str | None


class Rejection(NamedTuple):
    """An invalid request: send the response, then close the connection."""

    status_code: int
    response: bytes
    reason: str  # for the log
    is_origin: bool = False  # whether it is because of the Origin


# of a list that is kept until the request is accepted. 16000 subprotocols fit into a
# head of 64 KiB, and take a MiB as objects; as many extensions take 17 ms to decline
_MAX_ELEMENTS: Final = 128


class ServerHandshake:
    """The server's side of one handshake.

    :param origins: which web pages may connect
    :param extensions: the extensions that the client may choose from
    :param is_ssl: whether the client speaks TLS with this server, not with a proxy
    :param max_head_size: bytes of the request

    """

    def __init__(
        self,
        *,
        origins: Origins,
        extensions: Extensions = NO_EXTENSIONS,
        is_ssl: bool = False,
        max_head_size: int = MAX_HEAD_SIZE,
    ) -> None:
        self._origins = origins
        self._extensions = extensions
        self._is_ssl = is_ssl
        self._reader = HeadReader(
            REQUEST_LINE, REQUEST_START, blank_line=True, max_size=max_head_size
        )
        self._key = b""
        self._subprotocols: tuple[str, ...] = ()
        self._offers: list[str] = []  # of extensions
        #: whether `receive_data` has returned a `Rejection`
        self.rejected: bool = False

    def receive_data(self, data: bytes) -> Request | Rejection | None:
        """Add received bytes; return ``None`` until the request is complete."""
        try:
            request = self._reader.feed(data)
            return None if request is None else self._check(request)
        except BadHead as exc:
            return self._rejection(exc.status_code, exc.reason)
        except UnicodeDecodeError:
            return self._rejection(400, "a header of the handshake is not ASCII")

    @property
    def trailing(self) -> bytes:
        """The bytes that were received after the request: the first frames."""
        return self._reader.trailing

    def _check(self, request: bytes) -> Request | Rejection:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(request)
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            if request.lower().count(b"\nhost:") != 1:  # h11 names no cause
                raise BadHead(400, "there must be one Host header") from None
            raise BadHead(400, "this is not an HTTP/1.1 request") from None
        assert isinstance(event, h11.Request)  # the head is complete
        lowered = ((raw.lower(), value) for raw, value in event.headers.raw_items())
        headers = [(COMMON_NAMES.get(name, name), value) for name, value in lowered]
        fields = group_headers(headers)
        if event.http_version != b"1.1":
            return self._rejection(505, "the version of HTTP must be 1.1")
        if event.method != b"GET":
            return self._rejection(405, "the method must be GET", (b"Allow", b"GET"))
        if b"transfer-encoding" in fields or any(
            value.strip(b"0") for value in fields.get(b"content-length", ())
        ):
            return self._rejection(400, "the request must not have a body")
        host = _single(fields, b"host").decode("ascii")
        check_host(host)
        target, authority = parse_target(event.target.decode("ascii"))
        if authority is not None:  # RFC 9112 section 3.2.2: it replaces the header
            host = authority
            check_host(host)
        if not has_token(fields, b"connection", "upgrade"):
            raise BadHead(400, "the Connection header has no token Upgrade")
        if not has_token(fields, b"upgrade", "websocket"):
            raise BadHead(400, "the Upgrade header has no token websocket")
        version = fields.get(b"sec-websocket-version")
        if version is None:
            raise BadHead(400, "there is no Sec-WebSocket-Version header")
        if version != [b"13"]:
            return self._rejection(
                426,
                "the version of WebSocket must be 13",
                (b"Upgrade", b"websocket"),  # RFC 9110 section 15.5.22
                (b"Sec-WebSocket-Version", b"13"),
            )
        self._key = _single(fields, b"sec-websocket-key")
        _check_key(self._key)
        self._subprotocols = tuple(parse_list(fields, b"sec-websocket-protocol"))
        if len(self._subprotocols) > _MAX_ELEMENTS:
            raise BadHead(431, f"more than {_MAX_ELEMENTS} subprotocols")
        if not all(map(is_token, self._subprotocols)):
            raise BadHead(400, "a subprotocol is not a token of HTTP")
        # RFC 6455 section 9.1: a server may decline offers, so it declines the rest.
        self._offers = parse_list(fields, b"sec-websocket-extensions")[:_MAX_ELEMENTS]
        origin = None
        if b"origin" in fields:
            origin = _single(fields, b"origin").decode("ascii")
        fetch_site = fields.get(b"sec-fetch-site", ())
        reason = self._origins.reason_to_reject(
            origin,
            host,
            is_ssl=self._is_ssl,
            fetch_site=fetch_site[0] if len(fetch_site) == 1 else None,
        )
        if reason is not None:
            return self._rejection(403, reason)._replace(is_origin=True)
        return Request(
            target,
            tuple(field for field in headers if field[0] not in _PARSED_HEADERS),
            self._subprotocols,
            host,
            origin,
        )

    def accept(
        self,
        *,
        subprotocol: str | None = None,
        extra_headers: ExtraHeaders = None,
        extensions: Extensions | None = None,
    ) -> tuple[bytes, Extensions]:
        """Make the response that opens the connection.

        :param subprotocol: one of the subprotocols that the client proposed; ``None``
            selects none
        :param extra_headers: headers to add to the response
        :param extensions: the extensions that the client may choose from; ``None``
            uses those of the constructor
        :return: the response, and the extensions that were agreed on
        :raises ValueError: if the client did not propose the subprotocol, or if a
            header may not be sent

        """
        headers = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", accept_key(self._key)),
        ]
        if subprotocol is not None:
            if subprotocol not in self._subprotocols:
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not among the "
                    f"{len(self._subprotocols)} that the client proposed"
                )
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        headers += validate_headers(extra_headers)
        if extensions is None:
            extensions = self._extensions
        chosen, agreed = extensions.respond(self._offers)
        if chosen:
            headers.append((b"Sec-WebSocket-Extensions", chosen.encode()))
        return serialize_head(b"HTTP/1.1 101 Switching Protocols", headers), agreed

    def reject(
        self,
        status_code: int,
        *,
        extra_headers: ExtraHeaders = None,
        body: bytes | None = None,
    ) -> bytes:
        """Make the response that rejects the connection.

        :param status_code: the status, 200 to 999
        :param extra_headers: headers to add to the response
        :param body: the body; ``None`` sends an empty one
        :raises ValueError: if the status is not that of a final response, if a response
            with this status has no body, or if a header may not be sent
        :raises TypeError: if the status is not an int, or the body is not ``bytes``

        """
        return serialize_response(status_code, validate_headers(extra_headers), body)

    def _rejection(
        self, status_code: int, reason: str, *extra: tuple[bytes, bytes]
    ) -> Rejection:
        fields = [(b"Content-Type", b"text/plain; charset=utf-8"), *extra]
        body = f"{reason}\n".encode()
        response = serialize_response(status_code, fields, body)
        if self._reader.starts_with(b"HEAD "):  # RFC 9110 section 9.3.2: no body
            response = response.removesuffix(body)
        self.rejected = True
        return Rejection(status_code, response, reason)


_PARSED_HEADERS: Final = frozenset(
    {b"host", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


def _single(fields: Fields, name: bytes) -> bytes:
    values = fields.get(name, [])
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
