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
    fields = [
        (_to_bytes(name, "a header's name").lower(), _to_bytes(value, "a header"))
        for name, value in header_pairs(headers, "headers")
    ]
    version = _to_bytes(http_version, "http_version").removeprefix(b"HTTP/")
    if b"." not in version:  # servers of HTTP/2 and HTTP/3 say "2" and "3"
        raise ValueError(
            f"http_version must be 1.1, not {http_version!r}: in HTTP/2 and HTTP/3 "
            "there is no Upgrade, and RFC 8441 is not supported"
        )
    return RequestHead(
        _to_bytes(method, "method"),
        _to_bytes(target, "target"),
        version,
        # RFC 9110 section 5.5: spaces around a value are not part of it.
        [(COMMON_NAMES.get(name, name), value.strip(b" \t")) for name, value in fields],
    )


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
