"""The head of a client's request: from bytes to its parts, which nobody checked yet.

`HeadReader` finds its lines, within the limits and strictly formed. h11 checks them.
"""

from typing import NamedTuple

import h11

from ._head_reader import MAX_HEAD_SIZE, REQUEST_LINE, REQUEST_START, HeadReader
from ._http import COMMON_NAMES, BadHead


class RequestHead(NamedTuple):
    """The parts of the head of a request, whoever parsed it."""

    method: bytes
    target: bytes
    http_version: bytes  # such as 1.1
    headers: list[tuple[bytes, bytes]]  # in order, the names in lower case
    protocol: bytes | None = None  # of an extended CONNECT: HTTP/2, RFC 8441

    @property
    def is_http2(self) -> bool:
        """Whether it is of HTTP/2, where nothing is upgraded."""
        return self.http_version == b"2"


class RequestReader:
    """Collects the head of a request, and parses it.

    :param max_head_size: bytes of the head

    """

    __slots__ = ("_head",)

    def __init__(self, max_head_size: int = MAX_HEAD_SIZE) -> None:
        self._head = HeadReader(
            REQUEST_LINE, REQUEST_START, blank_line=True, max_size=max_head_size
        )

    def feed(self, data: bytes) -> RequestHead | None:
        """Add received bytes; return ``None`` until the head is complete.

        :raises BadHead: as soon as the bytes cannot become the head of a request

        """
        head = self._head.feed(data)
        return None if head is None else _parse(head)

    @property
    def is_head(self) -> bool:
        """Whether the method is HEAD, whose response has no body."""
        return self._head.starts_with(b"HEAD ")

    @property
    def trailing(self) -> bytes:
        """The bytes that were received after the head."""
        return self._head.trailing


def _parse(head: bytes) -> RequestHead:
    # `HeadReader` has found where each line ends. h11 checks what is in them; to have
    # an h11.Connection find the lines again takes two and a half times as long.
    start_line, *lines = head[:-4].split(b"\r\n")
    method, target, version = start_line.split(b" ")
    pairs = [line.split(b":", 1) for line in lines]
    try:
        event = h11.Request(
            method=method,
            target=target,
            headers=[(name, value.strip(b" \t")) for name, value in pairs],
            http_version=version.removeprefix(b"HTTP/"),
        )
    except ValueError:  # a line without a colon
        raise BadHead(400, "this is not an HTTP/1.1 request") from None
    except h11.LocalProtocolError:
        if head.lower().count(b"\nhost:") != 1:  # h11 names no cause
            raise BadHead(400, "there must be one Host header") from None
        raise BadHead(400, "this is not an HTTP/1.1 request") from None
    headers = [
        (COMMON_NAMES.get(name := raw.lower(), name), value)
        for raw, value in event.headers.raw_items()
    ]
    return RequestHead(method, target, event.http_version, headers)
