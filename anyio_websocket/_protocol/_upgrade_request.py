"""Whether a request asks for a WebSocket, and may have one (RFC 6455 section 4.2.1).

It checks the parts of a head, whoever parsed them. The rules are here, and not left to
a library, because each of them was a vulnerability somewhere.
"""

import binascii
from typing import Final, NamedTuple

from ._http import (
    BadHead,
    Fields,
    check_host,
    group_headers,
    has_token,
    is_token,
    parse_list,
    parse_target,
)
from ._origins import Origins
from ._request_head import RequestHead


class Request(NamedTuple):
    """A valid request for a WebSocket connection."""

    target: str  # path and query, not decoded
    # without Host, Sec-WebSocket-Protocol and Sec-WebSocket-Extensions
    headers: tuple[tuple[bytes, bytes], ...]
    subprotocols: tuple[str, ...]
    host: str
    origin: str | None


class Upgrade(NamedTuple):
    """A valid request, and what the response to it is made of."""

    request: Request
    key: bytes
    offers: list[str]  # of extensions


class ForeignOrigin(BadHead):
    """The web page that wants to connect may not do so."""


# of a list that is kept until the request is accepted. 16000 subprotocols fit into a
# head of 64 KiB, and take a MiB as objects; as many extensions take 17 ms to decline
_MAX_ELEMENTS: Final = 128

_PARSED_HEADERS: Final = frozenset(
    {b"host", b"sec-websocket-extensions", b"sec-websocket-protocol"}
)


def check_upgrade(head: RequestHead, origins: Origins, *, is_ssl: bool) -> Upgrade:
    """Check a request.

    :param head: the parts of its head
    :param origins: which web pages may connect
    :param is_ssl: whether the client speaks TLS with this server, not with a proxy
    :raises BadHead: if it is not a valid request for a WebSocket
    :raises UnicodeDecodeError: if a header that is checked is not ASCII

    """
    fields = group_headers(head.headers)
    target, host = _check_http(head, fields)
    key = _check_connect(head, fields) if head.is_http2 else _check_switch(fields)
    subprotocols, offers = _check_websocket(fields)
    origin = _check_origin(fields, host, origins, is_ssl=is_ssl)
    headers = tuple(
        [field for field in head.headers if field[0] not in _PARSED_HEADERS]
    )
    return Upgrade(Request(target, headers, subprotocols, host, origin), key, offers)


def _check_http(head: RequestHead, fields: Fields) -> tuple[str, str]:
    """Check what any request needs that has no body; return its target and host."""
    if head.http_version not in (b"1.1", b"2"):
        raise BadHead(505, "the version of HTTP must be 1.1")
    method = b"CONNECT" if head.is_http2 else b"GET"
    if head.method != method:
        text = f"the method must be {method.decode()}"
        raise BadHead(405, text, (b"Allow", method))
    if b"transfer-encoding" in fields or any(
        value.strip(b"0") for value in fields.get(b"content-length", ())
    ):
        raise BadHead(400, "the request must not have a body")
    host = _single(fields, b"host").decode("ascii")
    check_host(host)
    target, authority = parse_target(head.target.decode("ascii"))
    if authority is not None:  # RFC 9112 section 3.2.2: it replaces the header
        host = authority
        check_host(host)
    return target, host


def _check_switch(fields: Fields) -> bytes:
    """Check what makes HTTP/1.1 switch to another protocol; return the key."""
    if not has_token(fields, b"connection", "upgrade"):
        raise BadHead(400, "the Connection header has no token Upgrade")
    if not has_token(fields, b"upgrade", "websocket"):
        raise BadHead(400, "the Upgrade header has no token websocket")
    _check_version(fields, (b"Upgrade", b"websocket"))  # RFC 9110 section 15.5.22
    key = _single(fields, b"sec-websocket-key")
    _check_key(key)
    return key


def _check_connect(head: RequestHead, fields: Fields) -> bytes:
    """Check what makes a stream of HTTP/2 a WebSocket (RFC 8441); there is no key."""
    if head.protocol != b"websocket":
        raise BadHead(501, "the :protocol must be websocket")  # RFC 9220 section 3
    _check_version(fields, status_code=400)  # HTTP/2 has no Upgrade, and so no 426
    return b""


def _check_version(
    fields: Fields, *headers: tuple[bytes, bytes], status_code: int = 426
) -> None:
    version = fields.get(b"sec-websocket-version")
    if version is None:
        raise BadHead(400, "there is no Sec-WebSocket-Version header")
    if version != [b"13"]:
        raise BadHead(
            status_code,
            "the version of WebSocket must be 13",
            *headers,
            (b"Sec-WebSocket-Version", b"13"),
        )


def _check_websocket(fields: Fields) -> tuple[tuple[str, ...], list[str]]:
    """Check what the client proposes; return subprotocols and offered extensions."""
    subprotocols = tuple(parse_list(fields, b"sec-websocket-protocol"))
    if len(subprotocols) > _MAX_ELEMENTS:
        raise BadHead(431, f"more than {_MAX_ELEMENTS} subprotocols")
    if not all(map(is_token, subprotocols)):
        raise BadHead(400, "a subprotocol is not a token of HTTP")
    # RFC 6455 section 9.1: a server may decline offers, so it declines the rest.
    offers = parse_list(fields, b"sec-websocket-extensions")[:_MAX_ELEMENTS]
    return subprotocols, offers


def _check_origin(
    fields: Fields, host: str, origins: Origins, *, is_ssl: bool
) -> str | None:
    origin = None
    if b"origin" in fields:
        origin = _single(fields, b"origin").decode("ascii")
    fetch_site = fields.get(b"sec-fetch-site", ())
    reason = origins.reason_to_reject(
        origin,
        host,
        is_ssl=is_ssl,
        fetch_site=fetch_site[0] if len(fetch_site) == 1 else None,
    )
    if reason is not None:
        raise ForeignOrigin(403, reason)
    return origin


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
