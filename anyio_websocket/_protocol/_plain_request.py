"""Requests that want no WebSocket: their heads are checked, and their bodies read.

h11 reads the body. A connection serves one such request, and is closed after the
response. What follows the body is dropped, so it is never taken for another request,
whatever a proxy in front takes it for.
"""

from typing import Final, NamedTuple

import h11

from ._http import (
    BadHead,
    Fields,
    check_host,
    group_headers,
    has_token,
    parse_target,
)
from ._request_head import RequestHead


class PlainRequest(NamedTuple):
    """A whole request that wants no WebSocket."""

    method: str
    target: str  # path and query, not decoded; "*" if OPTIONS asks about the server
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


# A body of chunks with a byte each, which some programs send, takes six times its size.
_WIRE_BYTES_FOR_A_BYTE: Final = 6
# bytes besides, of chunk extensions and trailers, which nobody needs
_SPARE_WIRE_BYTES: Final = 4096
# bytes that are parsed at once: h11 takes 7 us for a chunk, and it may have 6 bytes
_STEP: Final = 1024


def wants_websocket(head: RequestHead) -> bool:
    """Say whether a request is for a WebSocket, even if it is not a valid one.

    A proxy that is not told to pass the upgrade on drops ``Upgrade`` and leaves the
    key. Its operator needs an error that says so, and not a page.

    :raises UnicodeDecodeError: if the Upgrade header is not ASCII

    """
    names = {name for name, _ in head.headers}
    return b"sec-websocket-key" in names or (
        b"upgrade" in names
        and has_token(group_headers(head.headers), b"upgrade", "websocket")
    )


class PlainRequestReader:
    """Checks the head of a request that wants no WebSocket, and reads its body.

    :param head: the head of the request
    :param max_body: bytes that the body may have
    :raises BadHead: if the request cannot be served
    :raises UnicodeDecodeError: if a header that is checked is not ASCII

    """

    def __init__(self, head: RequestHead, max_body: int) -> None:
        fields = group_headers(head.headers)
        self._max_body = max_body
        self._request = _checked(head, fields)
        self._wire_bytes_left = _SPARE_WIRE_BYTES + _WIRE_BYTES_FOR_A_BYTE * max_body
        self._parser = self._parser_of_body(head, fields)
        self._body = bytearray()
        self._unparsed = b""
        #: whether the client waits for a 100 before it sends the body
        self.client_waits: bool = (
            self._parser is not None
            and head.http_version != b"1.0"  # RFC 9110 section 10.1.1
            and has_token(fields, b"expect", "100-continue")
        )

    def feed(self, data: bytes) -> PlainRequest | None:
        """Add received bytes; return the request once its body is complete.

        See `has_more`.

        :raises BadHead: if the body is malformed, or too large

        """
        if self._parser is None:
            return self._request
        data = self._unparsed + data
        self._unparsed = data[_STEP:]
        # Not more, so that it makes no difference how the bytes were cut.
        taken = data[: min(_STEP, self._wire_bytes_left)]
        self._wire_bytes_left -= len(taken)
        if taken:  # no data would be the end of the stream
            self._parser.receive_data(taken)
            self.client_waits = False
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError:
                raise BadHead(400, "the body is malformed") from None
            if isinstance(event, h11.Data):
                self._body += event.data
                self._check_size(len(self._body))
            elif isinstance(event, h11.EndOfMessage):
                return self._request._replace(body=bytes(self._body))
            else:
                if self._wire_bytes_left == 0:
                    raise self._too_large()
                return None

    @property
    def has_more(self) -> bool:
        """Whether `feed` is to be called again, without waiting for more bytes.

        Other tasks can run before that. A call takes a millisecond or so at most.
        """
        return bool(self._unparsed)

    def _parser_of_body(
        self, head: RequestHead, fields: Fields
    ) -> h11.Connection | None:
        length = fields.get(b"content-length", [b"0"])[0]  # h11 has checked it
        if b"transfer-encoding" in fields:
            # RFC 9112 section 6.1: either may be an attempt to smuggle a request.
            if b"content-length" in fields:
                raise BadHead(
                    400, "there are both Transfer-Encoding and Content-Length"
                )
            if head.http_version == b"1.0":
                raise BadHead(400, "there is no Transfer-Encoding in HTTP/1.0")
            framing = b"Transfer-Encoding: chunked"  # h11 takes no other
        elif length.strip(b"0"):
            self._check_size(int(length))
            framing = b"Content-Length: " + length
        else:
            return None
        # h11's default limits a line, but only while it is incomplete. So whether a
        # body passes would depend on where the reads happened to cut it.
        limit = self._wire_bytes_left
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
        parser.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % framing)
        parser.next_event()
        return parser

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise self._too_large()

    def _too_large(self) -> BadHead:
        # The reason is all that the operator sees of it, so it names the option.
        return BadHead(
            413, f"the body is too large (max_request_body={self._max_body})"
        )


def _checked(head: RequestHead, fields: Fields) -> PlainRequest:
    if head.http_version not in (b"1.0", b"1.1"):
        raise BadHead(505, "the version of HTTP must be 1.0 or 1.1")
    if head.method == b"CONNECT":  # a proxy would take a 200 for a tunnel
        raise BadHead(501, "there is no CONNECT, because this is not a proxy")
    for host in fields.get(b"host", ()):  # HTTP/1.0 need not have it
        check_host(host.decode("ascii"))
    headers = head.headers
    if head.target == b"*" and head.method == b"OPTIONS":
        target = "*"  # RFC 9112 section 3.2.4
    else:
        target, authority = parse_target(head.target.decode("ascii"))
        if authority is not None:  # section 3.2.2: it replaces the header
            check_host(authority)
            rest = (field for field in headers if field[0] != b"host")
            headers = [(b"host", authority.encode()), *rest]
    return PlainRequest(head.method.decode("ascii"), target, tuple(headers), b"")
