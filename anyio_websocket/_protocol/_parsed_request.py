"""The head of a request that somebody else parsed: an HTTP server around this library.

That server may be less strict than ours, and it may have decoded what it read. What it
hands over has to be a head again, as if it had been read here.
"""

from __future__ import annotations

from typing import cast

from ._http import COMMON_NAMES, FIELD_VALUE, TOKEN, BadHead, Headers, header_pairs
from ._request_head import RequestHead


def parsed_head(
    method: object, target: object, headers: object, http_version: object
) -> RequestHead:
    """Make a head of the parts that a user passed, as ``bytes`` or as ``str``.

    :raises TypeError: if a part is neither, or if the headers are not pairs
    :raises ValueError: if a text stands for no bytes, or if the request is not one of
        HTTP/1

    """
    pairs = [
        (_to_bytes(name, "a header's name").lower(), _to_bytes(value, "a header"))
        for name, value in header_pairs(headers, "headers")
    ]
    # RFC 9110 section 5.5: spaces around a value are not part of it.
    fields = [
        (COMMON_NAMES.get(name, name), value.strip(b" \t")) for name, value in pairs
    ]
    version = _to_bytes(http_version, "http_version").removeprefix(b"HTTP/")
    if b"." not in version and version != b"2":
        raise ValueError(f"http_version must be 1.1 or 2, not {http_version!r}")
    head = RequestHead(
        _to_bytes(method, "method"), _to_bytes(target, "target"), version, fields
    )
    return _without_pseudo_headers(head) if head.is_http2 else head


def _without_pseudo_headers(head: RequestHead) -> RequestHead:
    """Take out what HTTP/2 has among its headers (RFC 9113 section 8.3.1)."""
    pseudo = {name: value for name, value in head.headers if name.startswith(b":")}
    fields = [field for field in head.headers if not field[0].startswith(b":")]
    if b":authority" in pseudo:  # it replaces the header
        fields = [field for field in fields if field[0] != b"host"]
        fields.insert(0, (b"host", pseudo[b":authority"]))
    return head._replace(headers=fields, protocol=pseudo.get(b":protocol"))


def check_fields(headers: Headers) -> None:
    """Check what a parser of HTTP has to check, and some do not.

    :raises BadHead: if a name or a value has bytes that it cannot have

    """
    for name, value in headers:
        if not TOKEN.fullmatch(name):
            raise BadHead(400, "a header's name is not a token of HTTP")
        if not FIELD_VALUE.fullmatch(value):
            raise BadHead(400, "a header has control characters")


def _to_bytes(text: object, what: str) -> bytes:
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(cast("bytes", text))
    if not isinstance(text, str):
        raise TypeError(f"{what} must be bytes or str, not {type(text).__name__}")
    try:
        return text.encode("latin-1")  # as WSGI, ASGI and most servers decode it
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")  # as a few do
