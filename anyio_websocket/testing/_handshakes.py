"""The two heads of a handshake by hand, valid or not (RFC 6455 section 1.3)."""

from __future__ import annotations

import base64
import hashlib

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3


def handshake_request(
    *lines: bytes,
    line: bytes = b"GET / HTTP/1.1",
    host: bytes | None = b"example.org",
    key: bytes | None = KEY,
    version: bytes | None = b"13",
    connection: bytes | None = b"Upgrade",
    upgrade: bytes | None = b"websocket",
) -> bytes:
    """Build a client's request, valid or not; ``None`` leaves a header out.

    :param lines: further headers, such as ``b"Origin: https://example.org"``
    :param line: the request line
    :param host: the value of ``Host``
    :param key: the value of ``Sec-WebSocket-Key``
    :param version: the value of ``Sec-WebSocket-Version``
    :param connection: the value of ``Connection``
    :param upgrade: the value of ``Upgrade``

    """
    headers = [
        (b"Host", host),
        (b"Upgrade", upgrade),
        (b"Connection", connection),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", version),
    ]
    head = [name + b": " + value for name, value in headers if value is not None]
    return b"\r\n".join([line, *head, *lines]) + b"\r\n\r\n"


def handshake_response(request: bytes, *lines: bytes) -> bytes:
    """Build the response that accepts a client's request.

    :param request: the head of the request, whose key is answered
    :param lines: further headers, such as ``b"Sec-WebSocket-Protocol: chat"``
    :raises ValueError: if the request does not have one ``Sec-WebSocket-Key``

    """
    keys = [
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    if len(keys) != 1:
        raise ValueError(f"the request has {len(keys)} Sec-WebSocket-Key, not one")
    head = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept_of(keys[0]),
    ]
    return b"\r\n".join([*head, *lines]) + b"\r\n\r\n"


def accept_of(key: bytes) -> bytes:
    """Compute what the server must answer to a key (RFC 6455 section 4.2.2)."""
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + magic).digest())
