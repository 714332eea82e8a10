"""A response in HTTP/2, which another server sends in its own frames."""

from __future__ import annotations

from ._http import BODILESS, Headers, check_response


class Http2Response(bytes):
    """The body, as bytes; and the head that goes before it, which is not serialized."""

    #: the status, as HTTP/2 has it in ``:status``
    status_code: int
    #: the headers, their names in lower case
    headers: list[tuple[bytes, bytes]]


def http2_response(
    status_code: int, headers: Headers, body: bytes | None, *, to_head: bool = False
) -> Http2Response:
    """Make a response that rejects a request.

    :param status_code: the status, 200 to 999
    :param headers: headers, checked already
    :param body: the body; ``None`` sends an empty one
    :param to_head: whether the method was HEAD: then the length of the body is sent,
        but not the body
    :raises ValueError: see `check_response`
    :raises TypeError: see `check_response`

    """
    check_response(status_code, body)
    fields = list(headers)
    if status_code not in BODILESS:
        fields.append((b"content-length", b"%d" % len(body or b"")))
    return http2_head(int(status_code), fields, b"" if to_head else body or b"")


def http2_head(status_code: int, headers: Headers, body: bytes = b"") -> Http2Response:
    """Make a response of any status; its parts were checked already."""
    response = Http2Response(body)
    response.status_code = status_code
    response.headers = [(name.lower(), value) for name, value in headers]
    return response
